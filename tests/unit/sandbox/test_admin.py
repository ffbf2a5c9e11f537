"""The admin API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from manifestgen.sandbox import accounts, faults


def _refused(sandbox: Any, method: str, path: str, **sent: Any) -> str:
    with requests.Session() as session:
        session.trust_env = False
        response = session.request(method, sandbox.environment["MANIFESTGEN_SANDBOX"] + path, timeout=10, **sent)
    assert response.status_code == 400
    return str(response.json()["error"])


def test_it_says_that_it_is_not_azure_and_what_it_serves(sandbox: Any) -> None:
    index = sandbox.admin("GET", "/")
    assert "not Azure" in index["service"]
    assert index["hosts"]["management.azure.com"] == sandbox.sandbox.port("management.azure.com")


def test_the_environment_is_what_a_client_is_given(sandbox: Any) -> None:
    assert sandbox.admin("GET", "/environment") == sandbox.environment


def test_the_state_is_counted(sandbox: Any) -> None:
    sandbox.world.store.put("thing", "one", {})
    assert sandbox.admin("GET", "/state")["documents"]["thing"] == 1


def test_requests_are_logged_with_their_outcome_and_can_be_forgotten(sandbox: Any) -> None:
    url = "https://login.microsoftonline.com/common/discovery/instance?api-version=1.1"
    requests.get(url, headers={"x-ms-client-request-id": "abc"}, timeout=10)
    logged = sandbox.admin("GET", "/requests")[-1]
    assert (logged["method"], logged["status"], logged["client_request_id"]) == ("GET", 200, "abc")
    assert (logged["path"], logged["query"]) == ("/common/discovery/instance", "api-version=1.1")
    sandbox.admin("DELETE", "/requests")
    assert sandbox.admin("GET", "/requests") == []


def test_faults_are_listed_and_removed_one_by_one(sandbox: Any) -> None:
    first = sandbox.admin("POST", "/faults", {"kind": "reset", "match": {"host": "x"}, "times": "forever"})
    second = sandbox.admin("POST", "/faults", {"kind": "latency", "seconds": 2})
    assert (first["host"], first["times"], second["times"]) == ("x", None, 1)
    sandbox.admin("DELETE", f"/faults/{first['id']}")
    assert [rule["id"] for rule in sandbox.admin("GET", "/faults")] == [second["id"]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({}, "kind must be one of status, reset"),
        ({"kind": "explode"}, "not 'explode'"),
        ({"kind": "status", "statsu": 500}, "unknown key 'statsu'"),
        ({"kind": "status", "status": "500"}, "status must be int, not '500'"),
        ({"kind": "status", "times": True}, "times must be int or NoneType"),
        ({"kind": "status", "path": "("}, "path is not a regular expression"),
    ],
)
def test_a_wrong_fault_is_refused_with_the_reason(sandbox: Any, fault: dict[str, Any], words: str) -> None:
    assert words in _refused(sandbox, "POST", "/faults", json=fault)
    assert sandbox.admin("GET", "/faults") == []


def test_what_is_not_json_is_refused(sandbox: Any) -> None:
    assert "not JSON" in _refused(sandbox, "POST", "/faults", data="{")
    assert "must be a JSON object" in _refused(sandbox, "POST", "/faults", data="[]")


def test_the_next_builds_fail_as_often_as_requested(sandbox: Any) -> None:
    sandbox.admin("POST", "/builds/fail", {"times": 2, "log": ["line"], "message": "no"})
    failures = [faults.build_failure(sandbox.world) for _ in range(3)]
    assert failures[:2] == [faults.BuildFailure(("line",), "no")] * 2
    assert failures[2] is None
    assert "log must be a list" in _refused(sandbox, "POST", "/builds/fail", json={"log": "line"})


def test_a_device_is_cut_off_and_connected_again(sandbox: Any) -> None:
    assert faults.device_online(sandbox.world, "edge-7")
    sandbox.admin("PUT", "/devices/edge-7", {"online": False})
    assert not faults.device_online(sandbox.world, "edge-7")
    sandbox.admin("PUT", "/devices/edge-7", {"online": True})
    assert faults.device_online(sandbox.world, "edge-7")
    assert "online must be bool" in _refused(sandbox, "PUT", "/devices/edge-7", json={})


def test_a_module_fails_until_it_is_healed(sandbox: Any) -> None:
    world = sandbox.world
    sandbox.admin("PUT", "/devices/edge-8/modules/m", {"kind": "exit", "exit_code": 3, "image": "bad:1"})
    assert faults.module_fault(world, "edge-8", "m", "bad:1") == faults.ModuleFault("exit", "", 3, "bad:1")
    assert faults.module_fault(world, "edge-8", "m", "good:1") is None
    assert faults.module_fault(world, "edge-8", "other", "bad:1") is None
    sandbox.admin("DELETE", "/devices/edge-8/modules/m")
    assert faults.module_fault(world, "edge-8", "m", "bad:1") is None
    assert "kind must be pull" in _refused(sandbox, "PUT", "/devices/edge-8/modules/m", json={"kind": "x"})


def test_a_fault_can_hit_every_module(sandbox: Any) -> None:
    sandbox.admin("PUT", "/devices/edge-9/modules/*", {"kind": "pull", "message": "toomanyrequests"})
    fault = faults.module_fault(sandbox.world, "edge-9", "any", "image:1")
    assert fault is not None
    assert (fault.kind, fault.message) == ("pull", "toomanyrequests")


def test_the_admin_user_is_switched(sandbox: Any) -> None:
    name = sandbox.world.names.registry
    assert sandbox.admin("PUT", f"/registries/{name}", {"admin_enabled": False})["admin_enabled"] is False
    registry = accounts.registry(sandbox.world, name)
    assert registry is not None
    assert registry["login_server"] == sandbox.world.names.login_server
    sandbox.admin("PUT", f"/registries/{name}", {"admin_enabled": True})


def test_an_image_needs_a_tag(sandbox: Any) -> None:
    assert "REPOSITORY:TAG" in _refused(sandbox, "PUT", "/images/ghcr.io/acme", json={})


def test_token_lifetimes_are_set(sandbox: Any) -> None:
    from manifestgen.sandbox.entra import issue_token

    sandbox.admin("PUT", "/tokens/lifetime", {"seconds": 60})
    assert issue_token(sandbox.world, "x")[1] == 60
    sandbox.admin("PUT", "/tokens/lifetime", {"seconds": 3599})


def test_the_hub_s_size_is_read_changed_and_reset(sandbox: Any) -> None:
    hub = sandbox.admin("PUT", "/hub", {"tier": "S3", "units": 2, "throttled": True, "speed": 2})
    assert (hub["tier"], hub["units"], hub["agents"]) == ("S3", 2, True)
    assert hub["limits"]["twin-write"] == {"requests": 1000, "seconds": 1.0}
    assert sandbox.admin("PUT", "/hub", {"agents": False})["tier"] == "S3"
    assert sandbox.admin("GET", "/hub")["agents"] is False
    reset = sandbox.admin("DELETE", "/hub")
    assert (reset["tier"], reset["throttled"], reset["limits"], reset["agents"]) == ("S1", False, {}, True)
    assert "tier must be one of" in _refused(sandbox, "PUT", "/hub", json={"tier": "B1"})
    assert "agents must be bool" in _refused(sandbox, "PUT", "/hub", json={"agents": 1})


def test_many_devices_are_registered_at_once_and_what_they_are_given_is_reported(sandbox: Any) -> None:
    made = sandbox.admin("POST", "/devices", {"id": "bus-{number}", "count": 100_000, "tags": {"site": ["a", "b"]}})
    assert made == {"first": "bus-000001", "last": "bus-100000", "count": 100_000}
    assert "already registered" in _refused(sandbox, "POST", "/devices", json={"id": "bus-{number}", "count": 100_000})
    assert "count must be int" in _refused(sandbox, "POST", "/devices", json={"id": "x{number}"})
    assert sandbox.admin("GET", "/hub/applied?limit=5") == {"devices": {}, "next": None}
    assert "limit must be" in _refused(sandbox, "GET", "/hub/applied?limit=0")


def test_a_fault_may_hit_by_chance_and_the_same_seed_hits_the_same(sandbox: Any) -> None:
    def hits(seed: int) -> list[int]:
        fault = {"kind": "status", "status": 429, "probability": 0.3, "seed": seed, "times": "forever"}
        made = sandbox.admin("POST", "/faults", fault)
        url = "https://login.microsoftonline.com/common/discovery/instance?api-version=1.1"
        with requests.Session() as session:
            found = [session.get(url, timeout=10).status_code for _ in range(40)]
        sandbox.admin("DELETE", f"/faults/{made['id']}")
        return found

    first = hits(1)
    assert set(first) == {200, 429}
    assert hits(1) == first
    assert hits(2) != first
    assert "probability must be from 0 to 1" in _refused(
        sandbox, "POST", "/faults", json={"kind": "reset", "probability": 2}
    )


def _manifest(sandbox: Any, host: str, repository: str, reference: str) -> Any:
    from manifestgen.sandbox.registry import images

    found = images.find_manifest(sandbox.world, host, repository, reference)
    assert found is not None
    return json.loads(found.path.read_bytes())


def test_an_image_for_several_platforms_is_an_index(sandbox: Any) -> None:
    body = {"platforms": ["linux/amd64", "linux/arm/v7", "unknown/unknown"], "docker": True, "layer_bytes": 4096}
    digest = sandbox.admin("PUT", "/images/ghcr.io/acme/scorer:2", body)["digest"]
    index = _manifest(sandbox, "ghcr.io", "acme/scorer", digest)
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
        {"os": "unknown", "architecture": "unknown"},
    ]
    image = _manifest(sandbox, "ghcr.io", "acme/scorer", index["manifests"][1]["digest"])
    assert image["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert image["layers"][0]["size"] == 4096


def test_labels_make_another_image(sandbox: Any) -> None:
    path = "/images/ghcr.io/acme/moved:1"
    first, again, other = (
        sandbox.admin("PUT", path, {"labels": {"build": build}})["digest"] for build in ("1", "1", "2")
    )
    assert first == again != other
    assert _manifest(sandbox, "ghcr.io", "acme/moved", "1") == _manifest(sandbox, "ghcr.io", "acme/moved", other)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"platforms": []}, "platforms must be a list such as"),
        ({"platforms": ["amd64"]}, "platforms must be a list such as"),
        ({"layer_bytes": 10}, "layer_bytes must be from 1024"),
        ({"docker": 1}, "docker must be bool"),
    ],
)
def test_an_image_that_cannot_be_made_is_refused(sandbox: Any, body: dict[str, Any], words: str) -> None:
    assert words in _refused(sandbox, "PUT", "/images/ghcr.io/acme/wrong:1", json=body)


def test_a_password_that_is_not_there_cannot_expire(sandbox: Any) -> None:
    path = "/registries/sandboxmodels/tokens/nobody/password1"
    assert "has no 'password1'" in _refused(sandbox, "PUT", path, json={"expiry": "2001-01-01"})


def test_a_share_of_the_devices_fails(sandbox: Any) -> None:
    sandbox.admin("PUT", "/devices/*/modules/scorer", {"kind": "exit", "share": 0.5})
    failing = [faults.module_fault(sandbox.world, f"truck-{number}", "scorer") is not None for number in range(100)]
    assert 25 < sum(failing) < 75
    sandbox.admin("DELETE", "/devices/*/modules/scorer")
    assert faults.module_fault(sandbox.world, "truck-1", "scorer") is None
    for share in (2, True, "half"):
        body = {"kind": "exit", "share": share}
        assert "share must be from 0 to 1" in _refused(sandbox, "PUT", "/devices/*/modules/scorer", json=body)


@pytest.mark.parametrize("host", ["ghcr.io", "quay.io", "sandboxmodels.azurecr.io", "mcr.microsoft.com"])
def test_a_fault_of_a_registry_speaks_as_registries_do(sandbox: Any, host: str) -> None:
    sandbox.fault("status", status=429, retry_after=7, match={"host": host})
    answer = requests.get(f"https://{host}/v2/", timeout=10)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"


def _asked(sandbox: Any, *, token: str | None = None, **headers: str) -> requests.Response:
    """GET /environment, which has every secret of the sandbox in it."""
    address = urlsplit(sandbox.environment["MANIFESTGEN_SANDBOX"])
    with requests.Session() as session:
        session.trust_env = False
        login = None if token == "" else ("sandbox", token or address.password or "")
        url = f"http://127.0.0.1:{address.port}/environment"
        return session.get(url, auth=login, headers=headers, timeout=10)


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9"])
def test_without_its_token_it_says_nothing(sandbox: Any, token: str) -> None:
    response = _asked(sandbox, token=token)
    assert response.status_code == 401
    assert "MANIFESTGEN_SANDBOX" in response.json()["error"]
    assert "AZURE_CLIENT_SECRET" not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:PORT"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "https://rebound.example"},
        {"Origin": "http://127.0.0.1:PORT"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_is_refused_even_with_the_token(sandbox: Any, headers: dict[str, str]) -> None:
    port = str(urlsplit(sandbox.environment["MANIFESTGEN_SANDBOX"]).port)
    response = _asked(sandbox, **{name: value.replace("PORT", port) for name, value in headers.items()})
    assert response.status_code == 403
    assert "AZURE_CLIENT_SECRET" not in response.text


def test_both_names_of_this_machine_are_accepted(sandbox: Any) -> None:
    port = urlsplit(sandbox.environment["MANIFESTGEN_SANDBOX"]).port
    assert _asked(sandbox, Host=f"localhost:{port}").json() == sandbox.environment
    assert _asked(sandbox).json() == sandbox.environment
