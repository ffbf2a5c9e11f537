"""`manifestgen preflight` against a real registry, and against the sandbox's with its tokens and its device."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.hurry import limit
from fakes.registry_server import PASSWORD, USER, Front, RegistryServer, front_of, registry_server, require_programs
from integration.command_line import Completed, complaint, in_this_process

GOLDEN = Path(__file__).parents[1] / "golden" / "preflight"
PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")


def manifest_of(images: Mapping[str, str], credentials: Mapping[str, Any]) -> str:
    """A manifest with these images by module and these registry credentials."""
    modules = {
        name: {
            "type": "docker",
            "version": "1.0",
            "status": "running",
            "restartPolicy": "always",
            "settings": {"image": image, "createOptions": "{}"},
        }
        for name, image in images.items()
    }
    runtime = {"type": "docker", "settings": {"registryCredentials": credentials}}
    agent = {"schemaVersion": "1.1", "runtime": runtime, "systemModules": {}, "modules": modules}
    hub = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    parts = {"$edgeAgent": agent, "$edgeHub": hub}
    return json.dumps({"modulesContent": {name: {"properties.desired": part} for name, part in parts.items()}})


def login(address: str, username: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"address": address, "username": username, "password": password}


@dataclass(frozen=True)
class Registries:
    """A real registry, a front before it, another one without TLS, and what is in the first."""

    server: RegistryServer
    front: Front
    plain: RegistryServer
    digest: str


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    require_programs()
    folder = tmp_path_factory.mktemp("registry")
    with ExitStack() as stack:
        server = stack.enter_context(registry_server(folder / "tls"))
        plain = stack.enter_context(registry_server(folder / "plain", tls=False))
        front = stack.enter_context(front_of(server))
        server.push("scorer:1.4.1", layer=b"older")
        digest = server.push("scorer:1.4.2")
        server.push("team/gateway:2.0", PLATFORMS)
        yield Registries(server, front, plain, digest)


@pytest.fixture
def preflight(registries: Registries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """Runs `preflight` on a manifest of one image, with a client that trusts the registry and is in a hurry."""
    # Pauses are not waited for, and they alone take time: how busy this machine is shows in no text. What is measured
    # is as patient as users are.
    passed = [0.0]
    limit(monkeypatch, "registry_api", sleep=passed.append, clock=lambda: math.fsum(passed))
    for name in ("HTTPS_PROXY", "https_proxy", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(registries.server.ca))
    registries.front.refusals.clear()
    registries.front.asked.clear()
    registries.front.delay = 0.0

    def run(image: str, credentials: Mapping[str, Any], *options: str) -> Completed:
        file = tmp_path / "deployment.json"
        file.write_text(manifest_of({"scorer": image}, credentials))
        return in_this_process("preflight", file, *options)

    return run


@dataclass(frozen=True)
class Situation:
    """What is wrong, or right.

    Attributes:
        image: with HOST for the registry's host and port.
        address: of the one registry credential; None for none.
    """

    image: str
    code: int
    address: str | None = "HOST"
    username: str = USER
    password: str = PASSWORD
    options: tuple[str, ...] = ()
    prepare: Callable[[Registries, pytest.MonkeyPatch], None] = lambda registries, patch: None


def _distrust(registries: Registries, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("REQUESTS_CA_BUNDLE", str(registries.plain.ca))


def _slow(registries: Registries, patch: pytest.MonkeyPatch) -> None:
    limit(patch, "registry_api", answer=0.1)
    registries.front.delay = 0.5


def _limited_once(registries: Registries, patch: pytest.MonkeyPatch) -> None:
    registries.front.refusals += [(429, {"Retry-After": "1"})]


def _limited(registries: Registries, patch: pytest.MonkeyPatch) -> None:
    registries.front.refusals += [(429, {"Retry-After": "3600"})]


def _failing(registries: Registries, patch: pytest.MonkeyPatch) -> None:
    registries.front.refusals += [(503, {"Retry-After": "1"}), (503, {"Retry-After": "3600"})]


SITUATIONS = {
    "right": Situation("HOST/scorer:1.4.2", 0),
    "right, by digest": Situation("HOST/scorer@DIGEST", 0),
    "right, address in other case": Situation("LOCALHOST/scorer:1.4.2", 0, "LocalHost:PORT"),
    "index, with the platform": Situation("HOST/team/gateway:2.0", 0, options=("--platform", "linux/arm64")),
    "index, an older ARM will do": Situation("HOST/team/gateway:2.0", 0, options=("--platform", "linux/arm/v8")),
    "index, without the platform": Situation("HOST/team/gateway:2.0", 1, options=("--platform", "linux/s390x")),
    "one platform, another one": Situation("HOST/scorer:1.4.2", 1, options=("--platform", "linux/arm/v7")),
    "wrong password": Situation("HOST/scorer:1.4.2", 1, password="canary-wrong-password"),
    "unknown user": Situation("HOST/scorer:1.4.2", 1, username="nobody"),
    "no entry": Situation("HOST/scorer:1.4.2", 1, None),
    "entry for another host": Situation("HOST/scorer:1.4.2", 1, "acme.azurecr.io"),
    "address with a scheme": Situation("HOST/scorer:1.4.2", 1, "https://HOST"),
    "address with a slash": Situation("HOST/scorer:1.4.2", 1, "HOST/"),
    "address without the port": Situation("HOST/scorer:1.4.2", 1, "127.0.0.1"),
    "missing tag": Situation("HOST/scorer:1.4.3", 1),
    "missing tag, none like it": Situation("HOST/scorer:stable", 1),
    "missing repository": Situation("HOST/scorre:1.4.2", 1),
    "missing digest": Situation("HOST/scorer@sha256:" + "0" * 64, 1),
    "no image name": Situation("HOST/Scorer:1.4.2", 1),
    "certificate not trusted": Situation("HOST/scorer:1.4.2", 1, prepare=_distrust),
    "registry down": Situation("127.0.0.1:DOWN/scorer:1.4.2", 1, "127.0.0.1:DOWN"),
    "no such host": Situation("registry.invalid/scorer:1.4.2", 1, "registry.invalid"),
    "slow": Situation("FRONT/scorer:1.4.2", 1, "FRONT", prepare=_slow),
    "rate-limited, then not": Situation("FRONT/scorer:1.4.2", 0, "FRONT", prepare=_limited_once),
    "rate-limited for an hour": Situation("FRONT/scorer:1.4.2", 1, "FRONT", prepare=_limited),
    "out of order": Situation("FRONT/scorer:1.4.2", 1, "FRONT", prepare=_failing),
    "without TLS, on this machine": Situation("PLAIN/scorer:1", 1, "PLAIN"),
    "the parent of a nested device": Situation("$upstream:443/scorer:1.4.2", 0, "$upstream:443"),
}


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def test_what_is_wrong_is_said_exactly(
    registries: Registries,
    preflight: Callable[..., Completed],
    closed_port: int,
    golden: Callable[[Path, str], None],
) -> None:
    port = registries.server.host.rpartition(":")[2]
    names = {
        "LOCALHOST": f"localhost:{port}",
        "HOST": registries.server.host,
        "FRONT": registries.front.host,
        "PLAIN": registries.plain.host,
        "DOWN": str(closed_port),
        "PORT": port,
        "DIGEST": registries.digest,
    }
    table = []
    for name, situation in SITUATIONS.items():
        with pytest.MonkeyPatch.context() as patch:
            situation.prepare(registries, patch)
            image, address = _filled(situation.image, names), situation.address
            entry = login(_filled(address, names), situation.username, situation.password) if address else None
            ended = preflight(image, {"mine": entry} if entry else {}, *situation.options)
        registries.front.refusals.clear()
        registries.front.delay = 0.0
        assert ended.code == situation.code, (name, ended)
        assert ended.stderr == "", name
        assert "canary" not in ended.output
        lines = ended.stdout.splitlines()
        shown = "\n".join(f"    {_unfilled(line, names)}" for line in lines[:-1])
        table.append(f"{name}: exit {ended.code}\n{shown}\n")
    text = "\n".join(table)
    print(text)
    golden(GOLDEN / "situations.txt", text)


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def _unfilled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(value, name)
    return " ".join(text.split())


def test_the_result_is_one_json_document(registries: Registries, preflight: Callable[..., Completed]) -> None:
    host = registries.server.host
    ended = preflight(
        f"{host}/team/gateway:2.0", {"mine": login(host)}, "--platform", "linux/arm64", "--output", "json"
    )
    assert ended.code == 0
    (image,) = ended.json["images"]
    assert image["digest"].startswith("sha256:")
    assert image["platforms"] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert image["size"]["platform"] == "linux/arm64"
    assert image["size"]["bytes"] > len(b"layer")
    assert (image["state"], image["trouble"], image["modules"]) == ("found", None, ["scorer"])
    assert image["credential"] == {"key": "mine", "username": USER}
    assert ended.json["platform"] == "linux/arm64"
    assert ended.json["summary"] == {"found": 1, "failed": 0, "not_asked": 0}


def test_each_registry_is_logged_in_to_once(registries: Registries, tmp_path: Path, preflight: Any) -> None:
    host = registries.front.host
    images = {f"m{number}": f"{host}/scorer:1.4.{number % 2 + 1}" for number in range(8)} | {
        "g": f"{host}/team/gateway:2.0"
    }
    file = tmp_path / "many.json"
    file.write_text(manifest_of(images, {"mine": login(host)}))
    ended = in_this_process("preflight", file, "--output", "json")
    assert ended.code == 0, ended
    assert len(ended.json["images"]) == 3
    greetings = [kind for method, path, kind in registries.front.asked if path == "/v2/"]
    assert greetings == ["", "Basic"]


def test_a_wrong_password_is_tried_once_for_all_images(registries: Registries, tmp_path: Path, preflight: Any) -> None:
    host = registries.front.host
    file = tmp_path / "many.json"
    images = {f"m{number}": f"{host}/scorer:{number}" for number in range(8)}
    file.write_text(manifest_of(images, {"mine": login(host, password="canary-wrong-password")}))
    ended = in_this_process("preflight", file, "--output", "json")
    assert ended.code == 1
    assert {image["trouble"] for image in ended.json["images"]} == {"login-refused"}
    assert [kind for _, _, kind in registries.front.asked] == ["", "Basic"]


def test_a_placeholder_is_resolved_as_apply_does(
    registries: Registries, preflight: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = registries.server.host
    entry = login(host, "${ACR_USERNAME_MINE}", "${ACR_PASSWORD_MINE}")
    refused = complaint(preflight(f"{host}/scorer:1.4.2", {"mine": entry}), 2)
    assert "ACR_USERNAME_MINE is not set" in refused
    monkeypatch.setenv("ACR_USERNAME_MINE", USER)
    monkeypatch.setenv("ACR_PASSWORD_MINE", PASSWORD)
    assert preflight(f"{host}/scorer:1.4.2", {"mine": entry}).code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--platform", "arm64"], "'arm64' is not a platform"),
        (["--platform", "linux/arm64", "--device", "edge-01"], "cannot be used together"),
    ],
)
def test_wrong_use_is_two_lines(options: list[str], words: str, preflight: Callable[..., Completed]) -> None:
    assert words in complaint(preflight("ubuntu", {}, *options), 2)


def test_a_file_of_certificates_that_is_not_there_is_two_lines(
    preflight: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    assert "REQUESTS_CA_BUNDLE: cannot read certificates" in complaint(preflight("ubuntu", {}), 2)


@pytest.mark.parametrize("content", ["[]", "{", '{"modulesContent": []}', '{"a": "{{ b }}"'])
def test_what_is_no_manifest_is_two_lines(content: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    complaint(in_this_process("preflight", file), 2)
    complaint(in_this_process("preflight", tmp_path / "nowhere.json"), 2)


# What follows is asked of the sandbox's registry, which knows tokens, and tried by its device.


@pytest.fixture
def token(quick: Any) -> Callable[..., dict[str, str]]:
    """Makes a token of the sandbox's registry that may pull one repository; returns a registry credential with it."""
    from manifestgen.sandbox import accounts

    names = quick.world.names

    def make(repository: str, *, expiry: str | None = None) -> dict[str, str]:
        world, registry = quick.world, names.registry
        accounts.put_scope_map(world, registry, "pull-one", [f"repositories/{repository}/content/read"], "")
        accounts.put_token(world, registry, "pull-one", scope_map="pull-one")
        made = accounts.generate_token_passwords(world, registry, "pull-one", ["password1"], expiry)
        return login(names.login_server, "pull-one", made["passwords"]["password1"]["value"])

    return make


def test_a_token_of_another_repository_is_refused_before_and_by_the_device(
    quick: Any, ready_made: Any, token: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    host = quick.world.names.login_server
    quick.admin("PUT", f"/images/{host}/other:1", {})
    file = tmp_path / "token.json"

    def manifest(image: str) -> None:
        content = json.loads(manifest_of({"scorer": image}, {"acr": token("scorer")}))
        desired = content["modulesContent"]["$edgeAgent"]["properties.desired"]
        desired["systemModules"] = {
            name: {
                "type": "docker",
                "status": "running",
                "restartPolicy": "always",
                "settings": {"image": f"mcr.microsoft.com/azureiotedge-{image}:1.6", "createOptions": "{}"},
            }
            for name, image in (("edgeAgent", "agent"), ("edgeHub", "hub"))
        }
        file.write_text(json.dumps(content))

    manifest(f"{host}/scorer:1")
    assert in_this_process("preflight", file, "--device", ready_made.device).code == 0
    set_ = ["apply", file, "--device", ready_made.device, "--yes", "--force", "--timeout", "30"]
    assert in_this_process(*set_).code == 0
    manifest(f"{host}/other:1")
    ended = in_this_process("preflight", file, "--device", ready_made.device, "--output", "json")
    assert ended.code == 1
    (refused,) = [image for image in ended.json["images"] if image["state"] != "found"]
    assert refused["trouble"] == "not-allowed"
    assert "user 'pull-one' is not allowed to read 'other'" in refused["message"]
    forced = in_this_process(*set_[:-1], "5")
    assert forced.code == 1
    assert "unauthorized" in forced.output


def test_an_expired_password_may_be_wrong_too_and_that_is_said(
    quick: Any, token: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "expired.json"
    host = quick.world.names.login_server
    entry = token("scorer", expiry="2020-01-01T00:00:00+00:00")
    file.write_text(manifest_of({"scorer": f"{host}/scorer:1"}, {"acr": entry}))
    ended = in_this_process("preflight", file)
    assert ended.code == 1
    assert "rejected the login of user 'pull-one'" in ended.stdout
    assert "may have expired" in ended.stdout
    assert entry["password"] not in ended.output


def test_a_devices_platform_is_the_one_it_reports(quick: Any, ready_made: Any, tmp_path: Path) -> None:
    host, registry = quick.world.names.login_server, quick.world.names.registry
    quick.admin("PUT", f"/images/{host}/arm-only:1", {"architecture": "arm64"})
    from manifestgen.sandbox.accounts import admin_passwords

    entry = login(host, registry, admin_passwords(quick.world, registry)[0]["value"])
    file = tmp_path / "arm.json"
    file.write_text(manifest_of({"scorer": f"{host}/arm-only:1"}, {"acr": entry}))
    early = in_this_process("preflight", file, "--device", ready_made.device)
    if early.code == 2:
        assert "has not reported its platform yet" in complaint(early, 2)
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    ended = in_this_process("preflight", file, "--device", ready_made.device, "--output", "json")
    assert ended.code == 1, ended
    assert ended.json["platform"] == "linux/amd64"
    assert ended.json["images"][0]["trouble"] == "platform-missing"
    unknown = complaint(in_this_process("preflight", file, "--device", "nobody"), 3)
    assert "nobody" in unknown


def test_deploy_stops_before_the_device_would(ready_made: Any, quick: Any, asked: Any) -> None:
    ready_made.edit("scorer:1", "scorre:1")
    stopped = in_this_process("deploy", ready_made, "--yes")
    assert "scorre" in complaint(stopped, 1)
    assert asked.applied == 0
    passed = in_this_process("deploy", ready_made, "--yes", "--no-preflight", "--no-wait")
    assert passed.code == 0, passed
    assert "preflight" not in passed.stderr


def _lock(project: Any) -> Any:
    return json.loads((project.root / "manifestgen.lock.json").read_text())


def test_a_tag_that_moved_is_not_sent_unless_told(ready_made: Any, quick: Any, asked: Any) -> None:
    host = quick.world.names.login_server
    image = f"{host}/scorer:1"
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    before = _lock(ready_made)["images"][image]
    assert before["platforms"] == ["linux/amd64"]
    quick.admin("PUT", f"/images/{image}", {"labels": {"moved": ready_made.device}})
    refused = complaint(in_this_process("deploy", ready_made, "--yes"), 1)
    assert before["digest"] in refused
    assert "--allow-moved-tag" in refused
    assert asked.applied == 1
    assert _lock(ready_made)["images"][image] == before
    assert in_this_process("deploy", ready_made, "--yes", "--allow-moved-tag").code == 0
    assert _lock(ready_made)["images"][image] != before
    assert in_this_process("deploy", ready_made, "--yes").code == 0


@pytest.mark.parametrize("secrets", ["inline", "placeholder"])
def test_a_pinned_manifest_names_digests_that_the_lock_keeps(secrets: str, ready_made: Any, quick: Any) -> None:
    ended = in_this_process("render", ready_made, "--pin", "--secrets", secrets, "--output", "json")
    assert ended.code == 0, ended
    locked = _lock(ready_made)["images"]
    images = {module["name"]: module["image"] for module in ended.json["modules"]}
    assert len(images) == len(locked)
    for image, entry in locked.items():
        assert f"{image.rpartition(':')[0]}@{entry['digest']}" in images.values()
    assert locked["mcr.microsoft.com/azureiotedge-agent:1.6"]["platforms"] == [
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
    ]
    assert in_this_process("check", ready_made.root / "deployment.json").code == 0


def test_a_project_that_pins_deploys_digests(
    ready_made: Any, quick: Any, desired: Callable[[str], Mapping[str, Any]]
) -> None:
    ready_made.edit("template: anomaly-detection", "template: anomaly-detection, pin: true")
    ended = in_this_process("deploy", ready_made, "--yes")
    assert ended.code == 0, ended
    agent = desired(ready_made.device)
    modules = [*agent["modules"].values(), *agent["systemModules"].values()]
    assert all("@sha256:" in module["settings"]["image"] for module in modules)
    quick.admin("PUT", f"/images/{quick.world.names.login_server}/scorer:1", {"labels": {"moved": ready_made.device}})
    assert "the tag has moved" in complaint(in_this_process("deploy", ready_made, "--yes"), 1)
    # Pinning anew is how a new image is taken.
    assert in_this_process("render", ready_made).code == 0
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    assert "--no-preflight" in complaint(in_this_process("deploy", ready_made, "--yes", "--no-preflight"), 2)


def test_what_cannot_be_pulled_is_not_pinned(ready_made: Any) -> None:
    ready_made.edit("scorer:1", "scorer:9")
    assert "there is no tag '9'" in complaint(in_this_process("render", ready_made, "--pin"), 1)
    assert not (ready_made.root / "deployment.json").exists()
    assert not (ready_made.root / "manifestgen.lock.json").exists()
