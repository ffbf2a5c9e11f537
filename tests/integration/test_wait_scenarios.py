"""What waiting makes of what a device can do with its modules: words, exit code. `pytest -s` prints the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from integration.command_line import complaint, in_this_process

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
ACME = "sandboxmodels.azurecr.io"

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Scenario:
    """What is applied, what goes wrong on the device, and what is said in the end.

    Attributes:
        image: of module `scorer`.
        change: changes the manifest before it is applied.
        device: what the admin API is told of the device, by path below it.
    """

    words: str
    code: int = 1
    image: str = SENSOR
    change: Callable[[dict[str, Any]], object] = lambda manifest: None
    device: dict[str, Any] = field(default_factory=dict)


def agent(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["modulesContent"]["$edgeAgent"]["properties.desired"]  # type: ignore[no-any-return]


def hub(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["modulesContent"]["$edgeHub"]["properties.desired"]  # type: ignore[no-any-return]


def log_in(password: str) -> Callable[[dict[str, Any]], object]:
    entry = {"address": ACME, "username": "sandboxmodels", "password": password}
    return lambda manifest: agent(manifest)["runtime"]["settings"].update(registryCredentials={"acme": entry})


def refused_by_docker(message: str) -> dict[str, Any]:
    return {"modules/scorer": {"kind": "create", "message": message}}


SCENARIOS = {
    "runs": Scenario("healthy", code=0),
    "is stopped as desired": Scenario(
        "stopped", code=0, change=lambda manifest: agent(manifest)["modules"]["scorer"].update(status="stopped")
    ),
    "wrong password": Scenario(
        "the registry rejects the credentials", image=f"{ACME}/scorer:1", change=log_in("not-the-password")
    ),
    "no credential": Scenario("the registry rejects the credentials", image=f"{ACME}/scorer:1"),
    "no such tag": Scenario("the image does not exist", image=SENSOR.replace("1.5", "0.0.0-none")),
    "no such registry": Scenario("the device cannot reach the registry", image="nowhere.azurecr.io/scorer:1"),
    "wrong platform": Scenario("not built for the device's platform", image="ghcr.io/acme/arm-only:1"),
    "port taken": Scenario(
        "a port that the module publishes is already in use",
        device=refused_by_docker("Bind for 0.0.0.0:443 failed: port is already allocated"),
    ),
    "Docker refuses the name": Scenario(
        "the image's name is not valid", device=refused_by_docker("invalid reference format")
    ),
    "Docker says something new": Scenario(
        "edgeAgent says: ", device=refused_by_docker("something that nobody has seen before")
    ),
    "ends again and again": Scenario("exit code 137", device={"modules/scorer": {"kind": "exit", "exit_code": 137}}),
    "schema version not supported": Scenario(
        "the device rejected it: 412", change=lambda manifest: agent(manifest).update(schemaVersion="1.2")
    ),
    "configuration cannot be read": Scenario(
        "the device rejected it: 400", change=lambda manifest: agent(manifest)["modules"]["scorer"].pop("type")
    ),
    "edgeHub refuses a route": Scenario(
        "edgeHub rejected its properties", change=lambda manifest: hub(manifest)["routes"].update(up="FROM nowhere")
    ),
    "offline": Scenario("the device is offline", device={"": {"online": False}}),
}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick: Any) -> Any:
    from manifestgen.device import apply
    from manifestgen.target import Patience

    monkeypatch.setattr(apply, "PATIENCE", Patience(30.0, 1.0, 0.05, 0.2))
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    quick.admin("PUT", f"/images/{ACME}/scorer:1", {})
    quick.admin("PUT", "/images/ghcr.io/acme/arm-only:1", {"architecture": "arm64"})
    return quick


@pytest.mark.parametrize("name", SCENARIOS)
def test_waiting_says_what_became_of_it(name: str, hasty: Any, new_device: Callable[[], str], tmp_path: Path) -> None:
    scenario, device = SCENARIOS[name], new_device()
    for path, data in scenario.device.items():
        hasty.admin("PUT", f"/devices/{device}/{path}".rstrip("/"), data)
    manifest = content({"scorer": module(scenario.image)})
    scenario.change(manifest)
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(manifest))
    timeout = "2" if name == "offline" else "30"
    ended = in_this_process("apply", file, "--device", device, "--yes", "--force", "-q", "--timeout", timeout)
    assert ended.code == scenario.code, ended
    if scenario.code:
        complaint(ended, scenario.code)
    said = ended.stderr if scenario.code else ended.stdout
    print(f"\n{name:<30} exit {ended.code}  {said.splitlines()[0][:150]}")
    assert scenario.words in said
