"""Azure Resource Manager, by plain HTTP: what is checked, and what is answered."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

from manifestgen.sandbox.entra import ARM, HUB, issue_token

_VERSION = "2025-04-01"


class Client:
    """Asks ARM with a token of the sandbox's service principal."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.registry = sandbox.world.names.registry_arm_id
        self.workspace = sandbox.world.names.workspace_arm_id
        self.token = issue_token(sandbox.world, ARM)[0]

    def __call__(
        self, method: str, path: str, body: Any = None, *, version: str | None = _VERSION, token: str | None = None
    ) -> requests.Response:
        return requests.request(
            method,
            f"https://management.azure.com{path}",
            params={"api-version": version} if version else {},
            json=body,
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=10,
        )


class Fixed:
    """A credential that hands out one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **settings: Any) -> AccessToken:
        return AccessToken(self._token, 4102444800)


@pytest.fixture
def arm(sandbox: Any) -> Client:
    return Client(sandbox)


def _code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_without_a_token_nothing_is_reported(arm: Client) -> None:
    response = requests.get("https://management.azure.com/subscriptions?api-version=2022-12-01", timeout=10)
    assert _code(response) == (401, "AuthenticationFailed")
    assert response.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_a_token_for_the_hub_is_refused(arm: Client) -> None:
    response = arm("GET", arm.registry, token=issue_token(arm.sandbox.world, HUB)[0])
    assert _code(response) == (401, "InvalidAuthenticationTokenAudience")


def test_the_endpoints_of_the_cloud_need_no_token(arm: Client) -> None:
    url = "https://management.azure.com/metadata/endpoints?api-version=2019-05-01"
    assert requests.get(url, timeout=10).json()[0]["name"] == "AzureCloud"


@pytest.mark.parametrize("version", ["2023-07-01", "2025-04-01", "2025-11-01", "2026-09-01-preview"])
def test_the_api_versions_of_the_sdks_and_of_az_are_served(arm: Client, version: str) -> None:
    assert arm("GET", arm.registry, version=version).ok


def test_an_unknown_api_version_is_refused_with_the_known_ones(arm: Client) -> None:
    response = arm("GET", arm.registry, version="2001-01-01")
    assert _code(response) == (400, "NoRegisteredProviderFound")
    assert "2025-04-01" in response.json()["error"]["message"]
    assert _code(arm("GET", "/subscriptions", version="2001-01-01")) == (400, "InvalidApiVersionParameter")


def test_a_missing_api_version_is_refused(arm: Client) -> None:
    assert _code(arm("GET", arm.registry, version=None)) == (400, "MissingApiVersionParameter")


def test_paths_have_no_case(arm: Client) -> None:
    shouted = arm.registry.replace("resourceGroups", "RESOURCEGROUPS").replace("Microsoft", "microsoft").upper()
    subscription = arm.sandbox.world.names.subscription_id
    assert arm("GET", shouted.replace(subscription.upper(), subscription)).json()["id"] == arm.registry


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("sandboxmodels", "nosuch", "ResourceNotFound"),
        ("sandbox-shared", "sandbox", "ResourceNotFound"),
        ("sandbox-shared", "nosuch", "ResourceGroupNotFound"),
        ("5ab5c710", "00000000", "SubscriptionNotFound"),
    ],
)
def test_what_is_not_there_is_not_found(arm: Client, old: str, new: str, code: str) -> None:
    assert _code(arm("GET", arm.registry.replace(old, new))) == (404, code)


def test_the_subscription_its_groups_and_resources_are_listed(arm: Client) -> None:
    subscription = f"/subscriptions/{arm.sandbox.world.names.subscription_id}"
    assert [one["id"] for one in arm("GET", "/subscriptions", version="2022-12-01").json()["value"]] == [subscription]
    assert arm("GET", subscription, version="2022-12-01").json()["state"] == "Enabled"
    assert arm("GET", "/tenants", version="2022-12-01").json()["value"]
    groups = arm("GET", f"{subscription}/resourcegroups", version="2021-04-01").json()["value"]
    assert {group["name"] for group in groups} == {"sandbox", "sandbox-shared"}
    assert arm("GET", groups[0]["id"], version="2021-04-01").json() == groups[0]
    for version in ("2021-04-01", "2015-11-01"):  # the latter is az's
        everything = arm("GET", f"{subscription}/resources", version=version).json()["value"]
        assert {one["id"] for one in everything} >= {arm.registry, arm.workspace}
        assert "sandbox-vault" in {one["name"] for one in everything}
    assert arm("HEAD", groups[0]["id"], version="2021-04-01").status_code == 204
    assert arm("HEAD", f"{subscription}/resourcegroups/none", version="2021-04-01").status_code == 404


def test_resources_are_filtered(arm: Client) -> None:
    subscription = arm.sandbox.world.names.subscription_id
    url = f"https://management.azure.com/subscriptions/{subscription}/resources"
    condition = "resourceType eq 'microsoft.containerregistry/registries' and name eq 'sandboxmodels'"
    found = requests.get(
        url,
        params={"api-version": "2021-04-01", "$filter": condition},
        headers={"Authorization": f"Bearer {arm.token}"},
        timeout=10,
    )
    assert [one["id"] for one in found.json()["value"]] == [arm.registry]


def test_a_list_has_no_effect(new_sandbox: Any) -> None:
    arm = Client(new_sandbox)
    before = new_sandbox.admin("GET", "/state")["documents"]
    subscription = f"/subscriptions/{new_sandbox.world.names.subscription_id}"
    registries = arm("GET", f"{subscription}/providers/Microsoft.ContainerRegistry/registries").json()["value"]
    assert [one["id"] for one in registries] == [arm.registry]
    for path in ("resources", "resourcegroups"):
        assert arm("GET", f"{subscription}/{path}", version="2021-04-01").json()["value"]
    assert new_sandbox.admin("GET", "/state")["documents"] == before


def test_the_workspace_has_no_registry_before_its_first_image(arm: Client) -> None:
    store = arm.sandbox.world.store
    store.delete("workspace", "registry")
    assert arm("GET", arm.workspace, version="2022-05-01").json()["properties"]["containerRegistry"] is None
    keys = arm("POST", f"{arm.workspace}/listKeys", version="2019-06-01").json()
    assert "containerRegistryCredentials" not in keys
    store.put("workspace", "registry", {"id": arm.registry})
    assert arm("GET", arm.workspace, version="2022-05-01").json()["properties"]["containerRegistry"] == arm.registry
    keys = arm("POST", f"{arm.workspace}/listKeys", version="2019-06-01").json()
    assert keys["containerRegistryCredentials"]["username"] == "sandboxmodels"
    assert _code(arm("GET", arm.workspace + "x", version="2022-05-01")) == (404, "ResourceNotFound")


def test_the_hub_and_its_keys_are_there(arm: Client) -> None:
    names = arm.sandbox.world.names
    subscription = f"/subscriptions/{names.subscription_id}"
    listed = arm("GET", f"{subscription}/providers/Microsoft.Devices/IotHubs", version="2023-06-30").json()["value"]
    hub = arm("GET", listed[0]["id"], version="2023-06-30").json()
    assert hub["properties"]["hostName"] == names.hub_host
    key = arm("POST", f"{hub['id']}/IotHubKeys/iothubowner/listkeys", version="2023-06-30").json()["primaryKey"]
    assert arm.sandbox.environment["IOTHUB_CONNECTION_STRING"].endswith(f"SharedAccessKey={key}")
    both = arm("POST", f"{hub['id']}/listkeys", version="2023-06-30").json()["value"]
    assert {len(base64.b64decode(key[name])) for key in both for name in ("primaryKey", "secondaryKey")} == {32}
    assert len(arm("POST", f"{hub['id']}/listkeys", version="2023-06-30").json()["value"]) == 5
    assert arm("POST", f"{hub['id']}/IotHubKeys/nosuch/listkeys", version="2023-06-30").status_code == 404


def test_a_change_is_followed_through_its_operation(arm: Client) -> None:
    response = arm("PATCH", arm.registry, {"properties": {"adminUserEnabled": False}})
    assert response.json()["properties"]["adminUserEnabled"] is False
    operation = response.headers["Azure-AsyncOperation"]
    assert requests.get(operation, headers={"Authorization": f"Bearer {arm.token}"}, timeout=10).json() == {
        "status": "Succeeded"
    }
    assert _code(arm("POST", f"{arm.registry}/listCredentials")) == (400, "UnAuthorizedForCredentialOperations")
    assert arm("PATCH", arm.registry, {"properties": {"adminUserEnabled": True}}).ok
    assert len(arm("POST", f"{arm.registry}/listCredentials").json()["passwords"]) == 2


def test_an_admin_password_is_regenerated_and_the_other_stays(arm: Client) -> None:
    def passwords(response: requests.Response) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in response.json()["passwords"]}

    before = passwords(arm("POST", f"{arm.registry}/listCredentials"))
    after = passwords(arm("POST", f"{arm.registry}/regenerateCredential", {"name": "password2"}))
    assert before["password"] == after["password"]
    assert before["password2"] != after["password2"]
    assert _code(arm("POST", f"{arm.registry}/regenerateCredential", {"name": "x"})) == (400, "InvalidCredentialName")


@pytest.mark.parametrize("body", ['{"properties": {"adminUserEnabled": "yes"}}', "[1]", "{"])
def test_a_malformed_change_is_refused(arm: Client, body: str) -> None:
    response = requests.patch(
        f"https://management.azure.com{arm.registry}?api-version={_VERSION}",
        data=body,
        headers={"Authorization": f"Bearer {arm.token}"},
        timeout=10,
    )
    assert _code(response) == (400, "InvalidRequestContent")


def _token_for(arm: Client, name: str, *actions: str) -> str:
    scope = arm("PUT", f"{arm.registry}/scopeMaps/{name}-map", {"properties": {"actions": list(actions)}})
    assert scope.status_code == 201
    token = arm("PUT", f"{arm.registry}/tokens/{name}", {"properties": {"scopeMapId": scope.json()["id"]}})
    assert token.status_code == 201
    return str(token.json()["id"])


def test_a_token_gets_passwords_that_expire(arm: Client) -> None:
    token_id = _token_for(arm, "edge-one", "repositories/scorer/content/read")
    expiry = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    response = arm("POST", f"{arm.registry}/generateCredentials", {"tokenId": token_id, "expiry": expiry})
    assert response.status_code == 202
    location = response.headers["Location"]
    result = requests.get(location, headers={"Authorization": f"Bearer {arm.token}"}, timeout=10).json()
    assert result["username"] == "edge-one"
    assert {password["name"] for password in result["passwords"]} == {"password1", "password2"}
    shown = arm("GET", token_id).json()["properties"]["credentials"]["passwords"]
    assert all(password["expiry"] and "value" not in password for password in shown)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"tokenId": "nonsense"}, 404),
        ({"name": "password3"}, 400),
        ({"expiry": "tomorrow"}, 400),
        ({"expiry": "2001-01-01T00:00:00Z"}, 400),
    ],
)
def test_wrong_demands_for_passwords_are_refused(arm: Client, body: dict[str, str], status: int) -> None:
    token_id = f"{arm.registry}/tokens/edge-two"
    if not arm("GET", token_id).ok:
        _token_for(arm, "edge-two", "repositories/scorer/content/read")
    response = arm("POST", f"{arm.registry}/generateCredentials", {"tokenId": token_id, **body})
    assert response.status_code == status


def test_scope_maps_and_tokens_are_listed_changed_and_deleted(arm: Client) -> None:
    token_id = _token_for(arm, "edge-three", "repositories/scorer/content/read")
    scopes = arm("GET", f"{arm.registry}/scopeMaps").json()["value"]
    assert {"_repositories_pull", "edge-three-map"} <= {scope["name"] for scope in scopes}
    assert token_id in {token["id"] for token in arm("GET", f"{arm.registry}/tokens").json()["value"]}
    assert arm("PATCH", token_id, {"properties": {"status": "disabled"}}).json()["properties"]["status"] == "disabled"
    assert arm("PATCH", token_id, {"properties": {"status": "maybe"}}).status_code == 400
    for path in (token_id, f"{arm.registry}/scopeMaps/edge-three-map"):
        assert [arm("DELETE", path).status_code for _ in range(2)] == [200, 204]
        assert _code(arm("GET", path)) == (404, "ResourceNotFound")
        assert _code(arm("PATCH", path, {})) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("scopeMaps/wrong-action", {"actions": ["repositories/x/content/eat"]}),
        ("scopeMaps/no-actions", {"actions": []}),
        ("scopeMaps/x", {"actions": ["repositories/x/content/read"]}),
        ("tokens/no-scope-map", {}),
        ("tokens/unknown-map", {"scopeMapId": "/subscriptions/x"}),
    ],
)
def test_wrong_scope_maps_and_tokens_are_refused(arm: Client, path: str, properties: dict[str, Any]) -> None:
    assert arm("PUT", f"{arm.registry}/{path}", {"properties": properties}).status_code == 400


def _passwords(arm: Client, token_id: str, **body: Any) -> dict[str, str]:
    response = arm("POST", f"{arm.registry}/generateCredentials", {"tokenId": token_id, **body})
    made = requests.get(
        response.headers["Location"], headers={"Authorization": f"Bearer {arm.token}"}, timeout=10
    ).json()
    return {entry["name"]: entry["value"] for entry in made["passwords"]}


def _accepted(arm: Client, name: str, password: str) -> bool:
    host = arm.sandbox.world.names.login_server
    return requests.get(f"https://{host}/v2/", auth=(name, password), timeout=10).ok


def test_a_new_password_leaves_the_other_one_working(arm: Client) -> None:
    token_id = _token_for(arm, "edge-four", "repositories/scorer/content/read")
    before = _passwords(arm, token_id)
    after = _passwords(arm, token_id, name="password2")
    assert set(after) == {"password2"}
    assert _accepted(arm, "edge-four", before["password1"])
    assert _accepted(arm, "edge-four", after["password2"])
    assert not _accepted(arm, "edge-four", before["password2"])


def test_an_update_does_away_with_the_passwords_that_it_does_not_name(arm: Client) -> None:
    token_id = _token_for(arm, "edge-five", "repositories/scorer/content/read")
    before = _passwords(arm, token_id)
    kept = {"credentials": {"passwords": [{"name": "password2"}]}}
    shown = arm("PATCH", token_id, {"properties": kept}).json()["properties"]
    assert [entry["name"] for entry in shown["credentials"]["passwords"]] == ["password2"]
    assert not _accepted(arm, "edge-five", before["password1"])
    assert _accepted(arm, "edge-five", before["password2"])
    assert shown["scopeMapId"].endswith("/edge-five-map")
    wrong = {"credentials": {"passwords": [{"name": "password3"}]}}
    assert _code(arm("PATCH", token_id, {"properties": wrong})) == (400, "InvalidCredentialName")


def test_the_sdk_deletes_one_password_of_a_token(arm: Client) -> None:
    token_id = _token_for(arm, "edge-six", "repositories/scorer/content/read")
    before = _passwords(arm, token_id)
    credential = Fixed(arm.token)
    with ContainerRegistryManagementClient(credential, arm.sandbox.world.names.subscription_id) as client:
        names = (arm.sandbox.world.names.registry_group, arm.sandbox.world.names.registry, "edge-six")
        update = {"properties": {"credentials": {"passwords": [{"name": "password2"}]}}}
        client.tokens.begin_update(*names, update, polling=False).result()
    assert not _accepted(arm, "edge-six", before["password1"])


def test_what_the_system_defines_cannot_be_changed(arm: Client) -> None:
    path = f"{arm.registry}/scopeMaps/_repositories_pull"
    actions = {"properties": {"actions": ["repositories/x/content/read"]}}
    assert _code(arm("PUT", path, actions)) == (400, "InvalidOperation")
    assert _code(arm("DELETE", path)) == (400, "InvalidOperation")
    assert arm("GET", path).json()["properties"]["actions"] == ["repositories/*/content/read"]


def test_a_password_expires_when_the_admin_api_says_so(arm: Client) -> None:
    token_id = _token_for(arm, "edge-seven", "repositories/scorer/content/read")
    password = _passwords(arm, token_id, name="password1")["password1"]
    path = f"/registries/{arm.sandbox.world.names.registry}/tokens/edge-seven/password1"
    assert arm.sandbox.admin("PUT", path, {"expiry": "2100-01-01T00:00:00Z"})["expiry"].startswith("2100-01-01T00:00")
    assert _accepted(arm, "edge-seven", password)
    arm.sandbox.admin("PUT", path, {"expiry": "2001-01-01T00:00:00Z"})
    assert not _accepted(arm, "edge-seven", password)
