"""`manifestgen preflight` against a real registry, and against the sandbox's with its tokens and its device."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
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
    from manifestgen.azure import registry_http

    defaults = (2.0, 0.3, 1.5, 0.01, 0.1, *registry_http.Patience.__init__.__defaults__[5:])
    monkeypatch.setattr(registry_http.Patience.__init__, "__defaults__", defaults)
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
        (["--platform", "arm64"], "'arm64' is no platform"),
        (["--platform", "linux/arm64", "--device", "edge-01"], "exclude each other"),
    ],
)
def test_wrong_use_is_two_lines(options: list[str], words: str, preflight: Callable[..., Completed]) -> None:
    assert words in complaint(preflight("ubuntu", {}, *options), 2)


def test_a_file_of_certificates_that_is_not_there_is_two_lines(
    preflight: Callable[..., Completed], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    assert "REQUESTS_CA_BUNDLE: no certificates can be read" in complaint(preflight("ubuntu", {}), 2)


@pytest.mark.parametrize("content", ["[]", "{", '{"modulesContent": []}', '{"a": "{{ b }}"'])
def test_what_is_no_manifest_is_two_lines(content: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    complaint(in_this_process("preflight", file), 2)
    complaint(in_this_process("preflight", tmp_path / "nowhere.json"), 2)
