"""The sandbox's key vaults, as a client without an SDK sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from manifestgen.sandbox.entra import ARM, VAULTS, issue_token

HOST = "https://sandbox-vault.vault.azure.net"
Ask = Callable[..., requests.Response]


@pytest.fixture
def ask(sandbox: Any) -> Iterator[Ask]:
    token, _ = issue_token(sandbox.world, VAULTS[0])
    session = requests.Session()

    def send(method: str, path: str, body: Any = None, *, bearer: str = token, **query: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        query = {"api-version": "7.4", **query}
        return session.request(method, HOST + path, json=body, params=query, headers=headers, timeout=10)

    yield send
    session.close()


def error(response: requests.Response) -> tuple[int, str, str]:
    body = response.json()["error"]
    return response.status_code, body["code"], body["message"]


def test_who_has_no_token_says_where_to_get_one(ask: Ask, sandbox: Any) -> None:
    response = ask("GET", "/secrets/any", bearer="")
    assert error(response) == (401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
    tenant = sandbox.environment["AZURE_TENANT_ID"]
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="https://vault.azure.net"'
    )


def test_a_token_for_someone_else_is_refused(ask: Ask, sandbox: Any) -> None:
    for audience in (ARM, VAULTS[1]):
        token, _ = issue_token(sandbox.world, audience)
        status, code, words = error(ask("GET", "/secrets/any", bearer=token))
        assert (status, code) == (401, "Unauthorized")
        assert words == f"AKV10022: Invalid audience. Expected https://vault.azure.net, found: {audience}."


def test_an_unknown_api_version_is_refused(ask: Ask) -> None:
    for version in ("", "7.9", "2025-04-01"):
        status, code, words = error(ask("GET", "/secrets/any", **{"api-version": version}))
        assert (status, code) == (400, "BadParameter")
        assert f"The specified version ({version}) is not recognized" in words


def test_a_secret_has_versions_and_attributes(ask: Ask) -> None:
    first = ask("PUT", "/secrets/Versioned", {"value": "one", "tags": {"a": "b"}, "contentType": "password"}).json()
    second = ask("PUT", "/secrets/versioned", {"value": "two", "attributes": {"exp": 4102444800}}).json()
    assert ask("GET", "/secrets/versioned/").json() == second
    assert ask("GET", first["id"].removeprefix(HOST)).json()["value"] == "one"
    assert first["id"].startswith(f"{HOST}/secrets/Versioned/")
    assert (first["tags"], first["contentType"], first["attributes"]["enabled"]) == ({"a": "b"}, "password", True)
    assert (second["attributes"]["exp"], "nbf" in second["attributes"]) == (4102444800, False)
    listed = ask("GET", "/secrets/VERSIONED/versions").json()["value"]
    assert sorted(item["id"] for item in listed) == sorted((first["id"], second["id"]))
    assert not any("value" in item for item in listed)
    assert error(ask("GET", "/secrets/versioned/" + "0" * 32))[:2] == (404, "SecretNotFound")


def test_attributes_can_be_changed_and_the_value_not(ask: Ask) -> None:
    ask("PUT", "/secrets/changed", {"value": "one"})
    changed = ask(
        "PATCH", "/secrets/changed/", {"attributes": {"enabled": False}, "value": "two", "tags": {"x": "y"}}
    ).json()
    assert (changed["attributes"]["enabled"], changed["tags"]) == (False, {"x": "y"})
    assert "value" not in changed
    refused = ask("GET", "/secrets/changed")
    assert error(refused) == (403, "Forbidden", "Operation get is not allowed on a disabled secret.")
    assert refused.json()["error"]["innererror"] == {"code": "SecretDisabled"}
    ask("PATCH", "/secrets/changed", {"attributes": {"enabled": True}, "contentType": "password"})
    assert ask("GET", "/secrets/changed").json()["value"] == "one"


def test_secrets_are_listed_page_by_page_without_their_values(ask: Ask) -> None:
    for number in range(5):
        ask("PUT", f"/secrets/paged-{number}", {"value": "canary"})
    found, page = [], ask("GET", "/secrets", maxresults=2).json()
    while True:
        assert len(page["value"]) <= 2
        found += page["value"]
        if page["nextLink"] is None:
            break
        assert page["nextLink"].startswith(f"{HOST}:443/secrets?")
        page = ask("GET", "/secrets", maxresults=2, **{"$skiptoken": str(len(found))}).json()
    assert [item["id"] for item in found if "paged" in item["id"]] == [f"{HOST}/secrets/paged-{n}" for n in range(5)]
    assert "canary" not in str(found)
    assert ask("GET", "/secrets/none/versions").json()["value"] == []
    assert error(ask("GET", "/secrets", maxresults=26))[:2] == (400, "BadParameter")


def test_a_deleted_secret_keeps_its_name_until_it_is_purged(ask: Ask) -> None:
    ask("PUT", "/secrets/deleted", {"value": "one"})
    gone = ask("DELETE", "/secrets/deleted").json()
    assert gone["recoveryId"] == f"{HOST}/deletedsecrets/deleted"
    assert gone["scheduledPurgeDate"] - gone["deletedDate"] == 90 * 24 * 3600
    assert error(ask("GET", "/secrets/deleted"))[:2] == (404, "SecretNotFound")
    assert ask("GET", "/secrets/deleted/versions").json()["value"] == []
    assert ask("GET", "/deletedsecrets/deleted").json() == gone
    assert gone in ask("GET", "/deletedsecrets").json()["value"]
    taken = ask("PUT", "/secrets/deleted", {"value": "two"})
    assert error(taken)[:2] == (409, "Conflict")
    assert taken.json()["error"]["innererror"] == {"code": "ObjectIsDeletedButRecoverable"}
    assert ask("POST", "/deletedsecrets/deleted/recover").status_code == 200
    assert ask("GET", "/secrets/deleted").json()["value"] == "one"
    ask("DELETE", "/secrets/deleted")
    assert ask("DELETE", "/deletedsecrets/deleted").status_code == 204
    assert error(ask("GET", "/deletedsecrets/deleted")) == (404, "SecretNotFound", "Deleted Secret not found: deleted")
    assert ask("PUT", "/secrets/deleted", {"value": "two"}).status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("under_score", {"value": "x"}),
        ("n" * 128, {"value": "x"}),
        ("fine", {}),
        ("fine", {"value": 3}),
        ("fine", {"value": "x" * 25601}),
        ("fine", {"value": "x", "attributes": {"enabled": "no"}}),
        ("fine", {"value": "x", "attributes": {"exp": "2030-01-01"}}),
        ("fine", ["value"]),
    ],
)
def test_what_is_not_a_secret_is_refused(ask: Ask, name: str, body: Any) -> None:
    assert error(ask("PUT", f"/secrets/{name}", body))[:2] == (400, "BadParameter")
    assert ask("GET", "/secrets/fine").status_code == 404


def test_a_body_that_is_not_json_is_refused(sandbox: Any) -> None:
    token, _ = issue_token(sandbox.world, VAULTS[0])
    url, headers = f"{HOST}/secrets/fine?api-version=7.4", {"Authorization": f"Bearer {token}"}
    assert error(requests.put(url, data="{", headers=headers, timeout=10))[:2] == (400, "BadParameter")


def test_a_vault_that_lets_no_one_set_says_which_permission_is_missing(ask: Ask, sandbox: Any) -> None:
    sandbox.admin("PUT", "/vaults/sandbox-vault", {"denies": "role"})
    response = ask("PUT", "/secrets/mine", {"value": "x"})
    listed = ask("GET", "/secrets")
    sandbox.admin("PUT", "/vaults/sandbox-vault", {})
    assert response.json()["error"]["innererror"] == {"code": "ForbiddenByRbac"}
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/setSecret/action'" in error(response)[2]
    assert "vaults/sandbox-vault/secrets/mine'" in error(response)[2]
    assert "vaults/sandbox-vault'\r\n" in error(listed)[2]
    assert ask("PUT", "/secrets/mine", {"value": "x"}).status_code == 200


def test_a_vault_has_to_be_made_before_it_answers(sandbox: Any) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://another.vault.usgovcloudapi.net/secrets", timeout=10)
    sandbox.admin("PUT", "/vaults/another", {"host": "another.vault.usgovcloudapi.net"})
    response = requests.get("https://another.vault.usgovcloudapi.net/secrets", timeout=10)
    assert 'resource="https://vault.usgovcloudapi.net"' in response.headers["WWW-Authenticate"]
    # Named again, it is the same vault.
    assert sandbox.admin("PUT", "/vaults/another", {"denies": "firewall"})["host"] == "another.vault.usgovcloudapi.net"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/vaults/x", {}, "a vault is NAME"),
        ("/vaults/third", {"host": "third.example.com"}, "a vault is NAME"),
        ("/vaults/third", {"host": "other.vault.azure.net"}, "a vault is NAME"),
        ("/vaults/third", {"denies": "everything"}, "role, policy, firewall, private"),
        ("/vaults/nosuch/secrets/a", {"value": "x"}, "there is no vault 'nosuch'"),
        ("/vaults/sandbox-vault/secrets/a_b", {"value": "x"}, "invalid name: a_b"),
        ("/vaults/sandbox-vault/secrets/a", {}, "value must be str"),
        ("/vaults/sandbox-vault/secrets/a", {"value": "x", "expires": "soon"}, "soon"),
    ],
)
def test_the_admin_api_refuses_what_cannot_be(sandbox: Any, path: str, body: Any, words: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        response = session.put(sandbox.environment["MANIFESTGEN_SANDBOX"] + path, json=body, timeout=10)
    assert response.status_code == 400
    assert words in response.json()["error"]
