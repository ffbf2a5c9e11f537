"""Container registries: the distribution API by plain HTTP, and the pull of a simulated device."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
import requests

from manifestgen.sandbox import accounts
from manifestgen.sandbox.entra import ARM, HUB, issue_token
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.registry.pull import PullResult
from manifestgen.sandbox.registry.pull import pull as pull_image

_OCI = images.OCI_MANIFEST
_ACCEPT = {"Accept": f"{images.OCI_MANIFEST}, {images.OCI_INDEX}"}


class Client:
    """The admin user of the sandbox's registry."""

    def __init__(self, sandbox: Any) -> None:
        self.world = sandbox.world
        self.host = self.world.names.login_server
        self.name = self.world.names.registry
        self.login = (self.name, accounts.admin_passwords(self.world, self.name)[0]["value"])

    def __call__(self, method: str, path: str, **settings: Any) -> requests.Response:
        url = path if path.startswith("https://") else f"https://{self.host}{path}"
        return requests.request(method, url, timeout=10, **{"auth": self.login, **settings})

    def make(self, repository: str, tag: str, kind: images.ImageKind | None = None) -> str:
        return images.make_image(self.world, self.host, repository, tag, kind)

    def put_blob(self, repository: str, data: bytes) -> str:
        digest = images.digest_of(data)
        response = self("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data=data)
        assert response.status_code == 201, response.text
        return digest

    def manifest(self, repository: str, config: bytes = b"{}") -> bytes:
        entry = {"digest": self.put_blob(repository, config), "size": len(config), "mediaType": "x"}
        return json.dumps({"schemaVersion": 2, "mediaType": _OCI, "config": entry, "layers": []}).encode()

    def token(self, name: str, *actions: str, expiry: str | None = None) -> tuple[str, str]:
        accounts.put_scope_map(self.world, self.name, f"{name}-map", actions, "")
        accounts.put_token(self.world, self.name, name, scope_map=f"{name}-map")
        made = accounts.generate_token_passwords(self.world, self.name, name, ("password1",), expiry)
        return name, made["passwords"]["password1"]["value"]


@pytest.fixture
def client(sandbox: Any) -> Client:
    return Client(sandbox)


def _error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errors"][0]["code"]


def test_without_a_login_the_token_service_is_named(client: Client) -> None:
    response = client("GET", "/v2/scorer/manifests/1", auth=None)
    assert _error(response) == (401, "UNAUTHORIZED")
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="https://{client.host}/oauth2/token",service="{client.host}",scope="repository:scorer:pull"'
    )


def test_basic_is_taken_directly(client: Client) -> None:
    assert client("GET", "/v2/").json() == {}
    assert _error(client("GET", "/v2/", auth=(client.name, "wrong"))) == (401, "UNAUTHORIZED")
    assert _error(client("GET", "/v2/", auth=None, headers={"Authorization": "Basic ///"})) == (401, "UNAUTHORIZED")


def test_the_admin_user_logs_in_only_while_it_is_on(client: Client) -> None:
    accounts.set_admin(client.world, client.name, False)
    assert client("GET", "/v2/").status_code == 401
    accounts.set_admin(client.world, client.name, True)
    assert client("GET", "/v2/").status_code == 200


def test_a_monolithic_upload_and_a_manifest_make_an_image(client: Client) -> None:
    data = client.manifest("mono")
    put = client("PUT", "/v2/mono/manifests/v1", data=data, headers={"Content-Type": _OCI})
    assert put.status_code == 201
    digest = put.headers["Docker-Content-Digest"]
    for reference in ("v1", digest):
        head = client("HEAD", f"/v2/mono/manifests/{reference}", headers=_ACCEPT)
        assert (head.status_code, head.headers["Docker-Content-Digest"], head.headers["Content-Type"]) == (
            200,
            digest,
            _OCI,
        )
        assert head.headers["Content-Length"] == str(len(data))
    assert client("GET", "/v2/mono/manifests/v1", headers=_ACCEPT).content == data


def test_a_chunked_upload_keeps_its_order(client: Client) -> None:
    data = b"one" * 1000 + b"two" * 1000
    start = client("POST", "/v2/chunks/blobs/uploads/")
    assert start.status_code == 202
    location = start.headers["Location"]
    first = client("PATCH", location, data=data[:3000], headers={"Content-Range": "0-2999"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-2999")
    again = client("PATCH", location, data=b"x", headers={"Content-Range": "0-0"})
    assert (again.status_code, again.headers["Range"]) == (416, "0-2999")
    assert client("GET", location).headers["Range"] == "0-2999"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert client("PUT", location, data=data[3000:], params={"digest": digest}).status_code == 201
    blob = client("GET", f"/v2/chunks/blobs/{digest}")
    assert (blob.content, blob.headers["Docker-Content-Digest"]) == (data, digest)
    part = client("GET", f"/v2/chunks/blobs/{digest}", headers={"Range": "bytes=3000-3002"})
    assert (part.status_code, part.content) == (206, b"two")
    assert _error(client("PUT", location, params={"digest": digest})) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_wrong_digest_is_refused_and_the_upload_forgotten(client: Client) -> None:
    wrong = "sha256:" + "0" * 64
    assert _error(client("POST", f"/v2/x/blobs/uploads/?digest={wrong}", data=b"data")) == (400, "DIGEST_INVALID")
    assert not list((client.world.blobs / "registry-uploads").iterdir())


def test_an_upload_is_cancelled(client: Client) -> None:
    location = client("POST", "/v2/x/blobs/uploads/").headers["Location"]
    assert client("DELETE", location).status_code == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert client(method, location).status_code == 404


def test_a_blob_is_mounted_from_another_repository(client: Client) -> None:
    digest = client.put_blob("here", b"layer")
    mounted = client("POST", "/v2/there/blobs/uploads/", params={"mount": digest, "from": "here"})
    assert mounted.status_code == 201
    assert client("HEAD", f"/v2/there/blobs/{digest}").ok
    assert _error(client("GET", f"/v2/nowhere/blobs/{digest}")) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("media_type", "data", "code"),
    [
        (_OCI, b"{", "MANIFEST_INVALID"),
        (_OCI, b"[]", "MANIFEST_INVALID"),
        ("text/plain", b"{}", "MANIFEST_INVALID"),
        (_OCI, b'{"config": {"digest": "sha256:0"}, "layers": []}', "MANIFEST_BLOB_UNKNOWN"),
        (images.OCI_INDEX, b'{"manifests": [{"digest": "sha256:0"}]}', "MANIFEST_BLOB_UNKNOWN"),
    ],
)
def test_a_manifest_that_is_wrong_or_names_what_is_missing_is_refused(
    client: Client, media_type: str, data: bytes, code: str
) -> None:
    response = client("PUT", "/v2/wrong/manifests/v1", data=data, headers={"Content-Type": media_type})
    assert _error(response) == (400, code)


def test_a_manifest_under_another_digest_is_refused(client: Client) -> None:
    data = client.manifest("wrong")
    response = client("PUT", f"/v2/wrong/manifests/sha256:{'0' * 64}", data=data, headers={"Content-Type": _OCI})
    assert _error(response) == (400, "DIGEST_INVALID")


def test_a_client_that_does_not_accept_the_stored_type_finds_nothing(client: Client) -> None:
    client.make("typed", "v1")
    response = client("GET", "/v2/typed/manifests/v1", headers={"Accept": images.DOCKER_MANIFEST})
    assert _error(response) == (404, "MANIFEST_UNKNOWN")


def test_tags_and_repositories_are_listed_in_pages(client: Client) -> None:
    for tag in ("a", "b", "c"):
        client.make("paged", tag)
    first = client("GET", "/v2/paged/tags/list?n=2")
    assert first.json() == {"name": "paged", "tags": ["a", "b"]}
    rest = client("GET", first.headers["Link"].partition(">")[0].removeprefix("<"))
    assert (rest.json()["tags"], "Link" in rest.headers) == (["c"], False)
    assert "paged" in client("GET", "/v2/_catalog").json()["repositories"]
    assert _error(client("GET", "/v2/nosuch/tags/list")) == (404, "NAME_UNKNOWN")


def test_tags_and_manifests_are_deleted(client: Client) -> None:
    digest = client.make("deleted", "v1")
    client.make("deleted", "v2")
    assert client("DELETE", "/v2/deleted/manifests/v1").status_code == 202
    assert client("GET", "/v2/deleted/tags/list").json()["tags"] == ["v2"]
    assert client("DELETE", f"/v2/deleted/manifests/{digest}").status_code == 202
    assert client("GET", "/v2/deleted/tags/list").json()["tags"] == []
    assert _error(client("DELETE", f"/v2/deleted/manifests/{digest}")) == (404, "MANIFEST_UNKNOWN")


def test_a_token_may_do_what_its_scope_map_says_and_no_more(client: Client) -> None:
    client.make("mine", "v1")
    client.make("theirs", "v1")
    login = client.token("reader", "repositories/mine/content/read")
    assert client("GET", "/v2/mine/manifests/v1", auth=login, headers=_ACCEPT).ok
    for method, path in (
        ("GET", "/v2/theirs/manifests/v1"),
        ("GET", "/v2/mine/tags/list"),
        ("POST", "/v2/mine/blobs/uploads/"),
        ("DELETE", "/v2/mine/manifests/v1"),
    ):
        response = client(method, path, auth=login, headers=_ACCEPT)
        assert _error(response) == (401, "UNAUTHORIZED")
        assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


def test_wildcards_in_scope_maps_cover_what_is_below_them(client: Client) -> None:
    access = accounts.Access("x", ["repositories/team/*/content/read", "repositories/*/metadata/read"])
    assert access.allows("team/a/b", "content/read")
    assert not access.allows("teammate", "content/read")
    assert access.allows("anything", "metadata/read")
    assert not access.allows("team/a", "content/write")


def test_an_expired_password_is_refused(client: Client) -> None:
    client.make("mine", "v1")
    now = client.world.now()
    for expiry, status in ((now + 60, 200), (now - 1, 401)):
        login = client.token("expiring", "repositories/mine/content/read", expiry=accounts.iso(expiry))
        assert client("GET", "/v2/mine/manifests/v1", auth=login, headers=_ACCEPT).status_code == status


def test_a_disabled_token_and_one_without_its_scope_map_are_refused(client: Client) -> None:
    client.make("mine", "v1")
    login = client.token("disabled", "repositories/mine/content/read")
    accounts.put_token(client.world, client.name, "disabled", status="disabled")
    assert client("GET", "/v2/", auth=login).status_code == 401
    accounts.put_token(client.world, client.name, "disabled", status="enabled", scope_map="gone")
    assert client("GET", "/v2/mine/manifests/v1", auth=login, headers=_ACCEPT).status_code == 401


def _bearer(client: Client, scope: str, login: tuple[str, str] | None = None) -> dict[str, str]:
    params = {"service": client.host, "scope": scope}
    answer = client("GET", "/oauth2/token", params=params, auth=login or client.login).json()
    return {"Authorization": f"Bearer {answer['access_token']}", **_ACCEPT}


def test_the_token_service_grants_what_was_asked_and_is_allowed(client: Client) -> None:
    client.make("mine", "v1")
    pull = _bearer(client, "repository:mine:pull")
    assert client("GET", "/v2/mine/manifests/v1", auth=None, headers=pull).ok
    assert client("GET", "/v2/mine/tags/list", auth=None, headers=pull).ok
    assert client("POST", "/v2/mine/blobs/uploads/", auth=None, headers=pull).status_code == 401
    login = client.token("puller", "repositories/mine/content/read")
    greedy = _bearer(client, "repository:mine:pull,push repository:other:pull", login)
    assert client("GET", "/v2/mine/manifests/v1", auth=None, headers=greedy).ok
    assert client("POST", "/v2/mine/blobs/uploads/", auth=None, headers=greedy).status_code == 401


def test_the_token_service_refuses_wrong_logins(client: Client) -> None:
    assert _error(client("GET", "/oauth2/token", auth=("x", "y"))) == (401, "UNAUTHORIZED")
    form = {"grant_type": "password", "username": client.name, "password": "wrong", "service": client.host}
    assert client("POST", "/oauth2/token", auth=None, data=form).status_code == 401
    assert client("POST", "/oauth2/token", auth=None, data={**form, "password": client.login[1]}).ok


def test_an_entra_token_is_exchanged_and_then_works_as_a_password_too(client: Client) -> None:
    client.make("mine", "v1")

    def exchange(audience: str) -> requests.Response:
        form = {"grant_type": "access_token", "service": client.host}
        form["access_token"] = issue_token(client.world, audience)[0]
        return client("POST", "/oauth2/exchange", auth=None, data=form)

    assert exchange(HUB).status_code == 401
    refresh = exchange(ARM).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": client.host, "refresh_token": refresh}
    form["scope"] = "repository:mine:pull"
    access = client("POST", "/oauth2/token", auth=None, data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {access}", **_ACCEPT}
    assert client("GET", "/v2/mine/manifests/v1", auth=None, headers=headers).ok
    login = ("00000000-0000-0000-0000-000000000000", refresh)
    assert client("GET", "/v2/mine/manifests/v1", auth=login, headers=_ACCEPT).ok
    wrong = {"Authorization": f"Bearer {refresh}", **_ACCEPT}
    assert client("GET", "/v2/mine/manifests/v1", auth=None, headers=wrong).status_code == 401


def test_microsofts_registry_is_public_and_read_only(client: Client) -> None:
    base = "https://mcr.microsoft.com/v2/azureiotedge-hub"
    index = client("GET", f"{base}/manifests/1.6", auth=None, headers=_ACCEPT).json()
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64", "arm"]
    assert {"1.5", "1.6", "1.6.1"} <= set(client("GET", f"{base}/tags/list", auth=None).json()["tags"])
    assert _error(client("GET", f"{base}/manifests/9.9", auth=None, headers=_ACCEPT)) == (404, "MANIFEST_UNKNOWN")
    assert client("POST", f"{base}/blobs/uploads/", auth=None).status_code == 401


def test_versions_of_the_runtime_are_different_images(client: Client) -> None:
    digests = {
        client(
            "HEAD", f"https://mcr.microsoft.com/v2/azureiotedge-agent/manifests/{tag}", auth=None, headers=_ACCEPT
        ).headers["Docker-Content-Digest"]
        for tag in ("1.4", "1.5", "1.6")
    }
    assert len(digests) == 3


@pytest.fixture
def pulled(sandbox: Any) -> Any:
    def pull(image: str, credentials: dict[str, str] | None = None) -> PullResult:
        result: PullResult = sandbox.call(pull_image(sandbox.world, image, credentials))
        return result

    return pull


def test_a_device_pulls_with_the_right_credentials_only(client: Client, pulled: Any) -> None:
    digest = client.make("scorer", "v1", images.ImageKind(("linux/arm/v7",), {"a": "b"}))
    credentials = {"username": client.login[0], "password": client.login[1]}
    result = pulled(f"{client.host}/scorer:v1", credentials)
    assert result.ok
    assert (result.digest, result.labels, result.platforms) == (digest, {"a": "b"}, ("linux/arm/v7",))
    assert pulled(f"{client.host}/scorer@{digest}", credentials).ok
    for wrong in (None, {**credentials, "password": "x"}, {"username": "x"}):
        refused = pulled(f"{client.host}/scorer:v1", wrong)
        assert not refused.ok
        assert "unauthorized: authentication required" in refused.error


def test_a_device_pulls_what_its_token_may_read(client: Client, pulled: Any) -> None:
    for name in ("mine", "theirs"):
        client.make(name, "v1")
    username, password = client.token("device", "repositories/mine/content/read")
    credentials = {"username": username, "password": password}
    assert pulled(f"{client.host}/mine:v1", credentials).ok
    assert "unauthorized" in pulled(f"{client.host}/theirs:v1", credentials).error


def test_public_images_are_pulled_without_credentials(sandbox: Any, pulled: Any) -> None:
    assert pulled("mcr.microsoft.com/azureiotedge-agent:1.6").platforms == (
        "linux/amd64",
        "linux/arm64/v8",
        "linux/arm/v7",
    )
    sandbox.admin("PUT", "/images/docker.io/acme/scorer:1", {"architecture": "arm64"})
    assert pulled("acme/scorer:1").platforms == ("linux/arm64",)
    assert pulled("docker.io/acme/scorer:1").ok


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("mcr.microsoft.com/azureiotedge-agent:9.9", 'manifest unknown: manifest tagged by "9.9" is not found'),
        ("mcr.microsoft.com/azureiotedge-agent", 'manifest tagged by "latest" is not found'),
        ("mcr.microsoft.com/nosuch:1", "pull access denied for nosuch|manifest unknown"),
        (f"mcr.microsoft.com/azureiotedge-agent@sha256:{'0' * 64}", f"manifest sha256:{'0' * 64} is not found"),
        ("nosuch.azurecr.io/x:1", "lookup nosuch.azurecr.io: no such host"),
        ("registry.example.com/x:1", "lookup registry.example.com: no such host"),
        ("nosuch:1", "pull access denied for nosuch, repository does not exist or may require 'docker login'"),
        ("acme.azurecr.io/Scorer:1", r"repository name \(Scorer\) must be lowercase"),
        ("a b", "invalid reference format"),
        ("", "invalid reference format"),
        ("x:y:z", "invalid reference format"),
    ],
)
def test_a_failed_pull_says_what_docker_says(pulled: Any, image: str, words: str) -> None:
    result = pulled(image)
    assert not result.ok
    assert re.search(words, result.error), result.error


def test_another_registry_has_its_own_accounts_and_images(sandbox: Any, client: Client) -> None:
    sandbox.admin("PUT", "/registries/second", {"group": "elsewhere"})
    client.make("scorer", "v1")
    assert client("GET", "https://second.azurecr.io/v2/").status_code == 401
    login = ("second", accounts.admin_passwords(client.world, "second")[0]["value"])
    url = "https://second.azurecr.io/v2/scorer/manifests/v1"
    assert _error(client("GET", url, auth=login, headers=_ACCEPT)) == (404, "MANIFEST_UNKNOWN")
    bearer = _bearer(client, "repository:scorer:pull")
    assert client("GET", url, auth=None, headers=bearer).status_code == 401


def test_a_registry_that_is_not_there_has_no_host(client: Client) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        client("GET", "https://nosuch.azurecr.io/v2/")


def test_escaped_slashes_are_part_of_the_name(client: Client) -> None:
    digest = client.make("team/app", "v1")
    assert client("GET", "/v2/team%2Fapp/manifests/v1", headers=_ACCEPT).headers["Docker-Content-Digest"] == digest
    assert client("GET", "/acr/v1/team%2fapp/_tags/v1").json()["tag"]["digest"] == digest
    assert client("GET", "/v2/team%2Fapp/tags/list").json() == {"name": "team/app", "tags": ["v1"]}


def test_a_repository_its_tags_and_manifests_have_attributes(client: Client) -> None:
    kind = images.ImageKind(("linux/amd64", "linux/arm64"))
    digest, arm = (
        client.make("listed/app", "v1", kind),
        client.make("listed/app", "arm", images.ImageKind(("linux/arm64",))),
    )
    found = client("GET", "/acr/v1/listed/app").json()
    assert (found["registry"], found["imageName"]) == (client.host, "listed/app")
    assert (found["manifestCount"], found["tagCount"]) == (3, 2)
    assert found["createdTime"] <= found["lastUpdateTime"]
    tags = client("GET", "/acr/v1/listed/app/_tags").json()["tags"]
    assert [(tag["name"], tag["digest"]) for tag in tags] == [("arm", arm), ("v1", digest)]
    only = client("GET", f"/acr/v1/listed/app/_tags?digest={digest}").json()["tags"]
    assert [tag["name"] for tag in only] == ["v1"]
    one = client("GET", f"/acr/v1/listed/app/_manifests/{arm}").json()["manifest"]
    assert (one["os"], one["architecture"], one["tags"], one["mediaType"]) == (
        "linux",
        "arm64",
        ["arm"],
        images.OCI_MANIFEST,
    )
    assert one["imageSize"] > 0
    index = client("GET", f"/acr/v1/listed/app/_manifests/{digest}").json()["manifest"]
    assert [entry["architecture"] for entry in index["references"]] == ["amd64", "arm64"]
    all_of_them = client("GET", "/acr/v1/listed/app/_manifests").json()["manifests"]
    assert {entry["digest"] for entry in all_of_them} >= {digest, arm}
    newest = client("GET", "/acr/v1/listed/app/_manifests?orderby=timedesc").json()["manifests"]
    times = [entry["lastUpdateTime"] for entry in newest]
    assert times == sorted(times, reverse=True)


def test_what_a_repository_lacks_is_unknown_by_its_kind(client: Client) -> None:
    client.make("lacking", "v1")
    digest = "sha256:" + "0" * 64
    unknown = {
        "/acr/v1/nothing": "NAME_UNKNOWN",
        "/acr/v1/nothing/_tags": "NAME_UNKNOWN",
        "/acr/v1/nothing/_manifests": "NAME_UNKNOWN",
        "/acr/v1/lacking/_tags/v2": "TAG_UNKNOWN",
        f"/acr/v1/lacking/_manifests/{digest}": "MANIFEST_UNKNOWN",
    }
    assert {path: _error(client("GET", path)) for path in unknown} == {
        path: (404, code) for path, code in unknown.items()
    }
    assert _error(client("DELETE", "/acr/v1/nothing")) == (404, "NAME_UNKNOWN")
    assert _error(client("DELETE", "/acr/v1/lacking/_tags/v2")) == (404, "TAG_UNKNOWN")


def test_a_tag_is_deleted_alone_and_a_repository_with_all_it_has(client: Client) -> None:
    digest = client.make("going/away", "v1")
    assert client("DELETE", "/acr/v1/going/away/_tags/v1").status_code == 202
    assert client("GET", f"/acr/v1/going/away/_manifests/{digest}").json()["manifest"]["tags"] == []
    gone = client("DELETE", "/acr/v1/going/away")
    assert (gone.status_code, gone.json()) == (202, {"manifestsDeleted": [digest], "tagsDeleted": []})
    assert "going/away" not in client("GET", "/acr/v1/_catalog").json()["repositories"]
    assert client("GET", f"/v2/going/away/manifests/{digest}", headers=_ACCEPT).status_code == 404


def test_the_list_of_repositories_names_its_scope(client: Client) -> None:
    refused = client("GET", "/acr/v1/_catalog", auth=("nobody", "x"))
    assert refused.status_code == 401
    assert 'scope="registry:catalog:*"' in refused.headers["WWW-Authenticate"]


def test_attributes_need_the_right_to_read_metadata(client: Client) -> None:
    client.make("hidden", "v1")
    reader = client.token("puller", "repositories/hidden/content/read")
    assert client("GET", "/acr/v1/hidden/_tags", auth=reader).status_code == 401
    lister = client.token("lister", "repositories/hidden/content/read", "repositories/hidden/metadata/read")
    assert client("GET", "/acr/v1/hidden/_tags", auth=lister).status_code == 200
    assert client("DELETE", "/acr/v1/hidden/_tags/v1", auth=lister).status_code == 401
