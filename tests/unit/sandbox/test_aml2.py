"""Azure ML's second API in the sandbox, by plain HTTP: models and datastores in ARM, the container of their files."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import requests

from manifestgen.sandbox.entra import ARM, HUB, issue_token

_MODELS, _STORES = "2023-08-01-preview", "2024-10-01-preview"


class Client:
    """Asks ARM about the sandbox's workspace, and Blob Storage with a datastore's secret."""

    def __init__(self, sandbox: Any) -> None:
        self.names = sandbox.world.names
        self.token = issue_token(sandbox.world, ARM)[0]
        self.other_token = issue_token(sandbox.world, HUB)[0]
        self.secret = ""

    def __call__(
        self, method: str, path: str, body: Any = None, *, version: str = _MODELS, token: str = "", **query: str
    ) -> requests.Response:
        url = path if path.startswith("https:") else f"https://management.azure.com{self.names.workspace_arm_id}{path}"
        headers = {"Authorization": f"Bearer {token or self.token}"}
        sent = {
            "api-version": version,
            **{f"${name}" if name in ("top", "orderBy") else name: query[name] for name in query},
        }
        return requests.request(method, url, params=sent, json=body, headers=headers, timeout=10)

    def blob(self, method: str, path: str, data: bytes = b"", query: str = "", **headers: str) -> requests.Response:
        if not self.secret:
            found = self(
                "POST", "/datastores/workspaceblobstore/listSecrets", {"expirableSecret": True}, version=_STORES
            )
            self.secret = found.json()["sasToken"]
        url = f"https://{self.names.storage_account}.blob.core.windows.net/azureml{path}?{query}&{self.secret}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, url, data=data, headers=sent, timeout=10)

    def upload(self, path: str, data: bytes = b"x") -> str:
        assert self.blob("PUT", f"/{path}", data, x_ms_blob_type="BlockBlob").status_code == 201
        return f"azureml://datastores/workspaceblobstore/paths/{path}"

    def put(self, name: str, version: str, uri: Any, **properties: Any) -> requests.Response:
        return self("PUT", f"/models/{name}/versions/{version}", {"properties": {"modelUri": uri, **properties}})


@pytest.fixture
def aml(sandbox: Any) -> Client:
    return Client(sandbox)


def _code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_model_is_registered_read_and_listed(aml: Client) -> None:
    uri = aml.upload("LocalUpload/aa/model.pkl")
    made = aml.put("pump", "1", uri, tags={"a": "b"}, description="d", properties={"p": "q"}, modelType="custom_model")
    assert made.status_code == 201
    model = made.json()
    assert model["id"].endswith("/models/pump/versions/1")
    assert model["properties"]["modelUri"].endswith("/datastores/workspaceblobstore/paths/LocalUpload/aa/model.pkl")
    assert (model["properties"]["tags"], model["properties"]["properties"]) == ({"a": "b"}, {"p": "q"})
    assert aml("GET", "/models/pump/versions/1").json() == model
    container = aml("GET", "/models/pump").json()["properties"]
    assert (container["latestVersion"], container["nextVersion"]) == ("1", "2")
    assert [one["name"] for one in aml("GET", "/models/pump/versions").json()["value"]] == ["1"]
    assert "pump" in [one["name"] for one in aml("GET", "/models").json()["value"]]


def test_what_may_change_of_a_model_changes_and_its_path_does_not(aml: Client) -> None:
    uri, other = aml.upload("LocalUpload/bb/model.pkl"), aml.upload("LocalUpload/cc/model.pkl")
    assert aml.put("fixed", "1", uri, tags={"a": "b"}, properties={"p": "q"}).status_code == 201
    changed = aml.put("fixed", "1", uri, tags={"c": "d"}, description="new", properties={"p": "other"})
    assert changed.status_code == 200
    properties = changed.json()["properties"]
    assert (properties["tags"], properties["description"], properties["properties"]) == ({"c": "d"}, "new", {"p": "q"})
    refused = aml.put("fixed", "1", other)
    assert (_code(refused), refused.json()["error"]["message"]) == (
        (400, "UserError"),
        "Asset paths cannot be updated.",
    )


def test_versions_are_listed_in_pages_newest_first(aml: Client) -> None:
    uri = aml.upload("LocalUpload/dd/model.pkl")
    for version in ("1", "2", "10"):
        assert aml.put("many", version, uri).status_code == 201
    page = aml("GET", "/models/many/versions", top="2", orderBy="createdtime desc").json()
    assert [one["name"] for one in page["value"]] == ["10", "2"]
    rest = aml("GET", page["nextLink"]).json()
    assert [one["name"] for one in rest["value"]] == ["1"]
    assert "nextLink" not in rest
    assert aml("GET", "/models/many").json()["properties"]["nextVersion"] == "11"
    assert _code(aml("GET", "/models/many/versions", orderBy="name")) == (400, "UserError")


def test_an_archived_model_is_listed_only_on_request(aml: Client) -> None:
    uri = aml.upload("LocalUpload/ee/model.pkl")
    assert aml.put("old", "1", uri, isArchived=True).status_code == 201

    def listed(view: str) -> list[str]:
        return [one["name"] for one in aml("GET", "/models/old/versions", listViewType=view).json()["value"]]

    assert (listed("ActiveOnly"), listed("ArchivedOnly"), listed("All")) == ([], ["1"], ["1"])
    assert _code(aml("GET", "/models", listViewType="Some")) == (400, "UserError")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/models/bad/versions/v1", {}),
        ("/models/bad/versions/0", {}),
        ("/models/bad/versions/1", {"modelUri": None}),
        ("/models/bad/versions/1", {"modelUri": "https://example.com/model.pkl"}),
        ("/models/bad/versions/1", {"modelUri": "azureml://datastores/other/paths/LocalUpload/ff/model.pkl"}),
        ("/models/bad/versions/1", {"modelUri": "azureml://datastores/workspaceblobstore/paths/never/uploaded"}),
        ("/models/bad/versions/1", {"tags": {"a": 1}}),
        ("/models/bad/versions/1", {"tags": ["a"]}),
        ("/models/-bad/versions/1", {}),
    ],
)
def test_a_malformed_model_is_rejected(aml: Client, path: str, change: dict[str, Any]) -> None:
    body = {"properties": {"modelUri": aml.upload("LocalUpload/ff/model.pkl"), **change}}
    assert _code(aml("PUT", path, body)) == (400, "UserError")
    assert _code(aml("GET", "/models/bad")) == (404, "UserError")


def test_only_known_versions_of_the_api_and_tokens_for_arm_are_accepted(aml: Client) -> None:
    assert _code(aml("GET", "/models", version="2022-02-01")) == (400, "NoRegisteredProviderFound")
    assert aml("GET", "/models", token=aml.other_token).status_code == 401
    assert _code(aml("GET", "/models/none/versions/1")) == (404, "UserError")


def test_the_default_datastore_gives_its_secrets_on_request_only(aml: Client) -> None:
    (default,) = aml("GET", "/datastores", version=_STORES, isDefault="true").json()["value"]
    assert default["name"] == "workspaceblobstore"
    assert default["properties"]["credentials"] == {"credentialsType": "AccountKey"}
    assert len(aml("GET", "/datastores", version=_STORES).json()["value"]) == 2
    assert aml("GET", "/datastores/workspaceblobstore", version=_STORES).json() == default
    secrets = aml("POST", "/datastores/workspaceblobstore/listSecrets", {}, version=_STORES).json()
    assert secrets["secretsType"] == "AccountKey"
    assert _code(aml("GET", "/datastores/other", version=_STORES)) == (404, "UserError")


def test_a_container_is_listed_with_folders_and_metadata(aml: Client) -> None:
    for path in ("tree/a.txt", "tree/in/b.txt", "tree/in/c.txt", "treetop.txt"):
        aml.upload(path)
    noted = aml.blob(
        "PUT", "/tree/a.txt", query="comp=metadata", x_ms_meta_name="pump", x_ms_meta_upload_status="completed"
    )
    assert noted.status_code == 200
    assert aml.blob("HEAD", "/tree/a.txt").headers["x-ms-meta-name"] == "pump"

    def listed(query: str) -> ElementTree.Element:
        response = aml.blob("GET", "", query=f"restype=container&comp=list&{query}")
        assert response.status_code == 200, response.text
        return ElementTree.fromstring(response.text)  # noqa: S314 - the sandbox's own answer

    def names(query: str) -> list[str | None]:
        return [element.text for element in listed(query).iter("Name")]

    assert names("prefix=tree/") == ["tree/a.txt", "tree/in/b.txt", "tree/in/c.txt"]
    assert names("prefix=tree/&delimiter=/") == ["tree/a.txt", "tree/in/"]
    assert listed("prefix=tree/a&include=metadata").findtext("Blobs/Blob/Metadata/name") == "pump"
    assert listed("prefix=tree/a").findtext("Blobs/Blob/Metadata/name") is None
    assert aml.blob("PUT", "/tree/none", query="comp=metadata").status_code == 404
    assert aml.blob("GET", "", query="restype=container&comp=acl").status_code == 400


def test_a_containers_signature_is_good_for_that_container_alone(aml: Client) -> None:
    aml.upload("signed.txt")
    account = f"https://{aml.names.storage_account}.blob.core.windows.net"
    assert requests.get(f"{account}/azureml/signed.txt?{aml.secret}", timeout=10).status_code == 200
    assert requests.get(f"{account}/other/signed.txt?{aml.secret}", timeout=10).status_code == 403
    changed = aml.secret.replace("sp=rcwl", "sp=rcwld")
    assert requests.get(f"{account}/azureml/signed.txt?{changed}", timeout=10).status_code == 403
