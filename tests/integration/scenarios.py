"""Commands that can be run again and again and ask for the same each time, for tests that walk over their requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from fakes.hub_service import content, module
from integration.command_line import building_project, in_this_process

from manifestgen.sandbox import accounts

HUB: Final = "sandbox-hub.azure-devices.net"
_SENSOR: Final = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"


class Stage:
    """A command that can be run again and again, and always asks for the same."""

    def __init__(self, project: Any, quick: Any, folder: Path) -> None:
        self.project, self.quick, self.folder = project, quick, folder
        self.runs = 0
        self.manifests = [self._write("one.json", "alpha"), self._write("two.json", "alpha", "beta")]

    def _write(self, name: str, *modules: str) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content({one: module(_SENSOR) for one in modules})))
        return path

    @property
    def device(self) -> str:
        return str(self.project.device)

    def source(self, text: str) -> None:
        """Give the project's registry a source of logins."""
        self.project.file.write_text(f"{self.project.file.read_text()}registry: {text}\n")

    def without_token(self) -> None:
        world = self.quick.world
        for entry in accounts.tokens(world, world.names.registry):
            world.store.delete("acr-token", f"{world.names.registry}/{entry['name']}".lower())
        for key in list(world.store.keys("acr-scope-map")):
            world.store.delete("acr-scope-map", key)


#: Prepares a stage, and returns what gives the arguments of each run.
Scenario = Callable[[Stage], Callable[[], Sequence[object]]]


def _always(*arguments: object) -> Scenario:
    return lambda stage: (
        lambda: [str(stage.project) if one is Path else stage.device if one is str else one for one in arguments]
    )


def _rendered(*arguments: object) -> Scenario:
    def scenario(stage: Stage) -> Callable[[], Sequence[object]]:
        assert in_this_process("render", stage.project).code == 0
        return lambda: [
            arguments[0],
            stage.project.root / "deployment.json",
            *arguments[1:],
            *_device(stage, arguments[0]),
        ]

    return scenario


def _device(stage: Stage, command: object) -> Sequence[object]:
    return ("--device", stage.device)


def _apply(stage: Stage) -> Callable[[], Sequence[object]]:
    def arguments() -> Sequence[object]:
        stage.runs += 1
        return [
            "apply",
            stage.manifests[stage.runs % 2],
            "--device",
            stage.device,
            "--yes",
            "--prune",
            "--force",
            "--timeout",
            "1",
        ]

    return arguments


def _rollback(stage: Stage) -> Callable[[], Sequence[object]]:
    for file in stage.manifests:
        done = in_this_process("apply", file, "--device", stage.device, "--yes", "--prune", "--force", "--no-wait")
        assert done.code == 0, done
    return lambda: ["rollback", "--device", stage.device, "--yes", "--timeout", "1"]


def _deploy(stage: Stage) -> Callable[[], Sequence[object]]:
    host = stage.quick.world.names.login_server
    stage.quick.admin("PUT", f"/images/{host}/scorer:2", {})
    text = stage.project.file.read_text()

    def arguments() -> Sequence[object]:
        stage.runs += 1
        stage.project.file.write_text(text.replace("scorer:1", f"scorer:{1 + stage.runs % 2}"))
        return ["deploy", stage.project, "--yes", "--timeout", "1"]

    return arguments


def _register(stage: Stage) -> Callable[[], Sequence[object]]:
    def arguments() -> Sequence[object]:
        stage.runs += 1
        return ["device", "register", f"new-{stage.runs}", "--tag", "site=lab", "--parent", stage.device]

    return arguments


def _deployment(stage: Stage) -> Callable[[], Sequence[object]]:
    def arguments() -> Sequence[object]:
        stage.runs += 1
        file = stage.manifests[stage.runs % 2]
        condition = f"deviceId = '{stage.device}'"
        return [
            "apply",
            file,
            "--deployment",
            "fleet",
            "--target-condition",
            condition,
            "--yes",
            "--force",
            "--timeout",
            "2",
        ]

    return arguments


def _deployment_status(stage: Stage) -> Callable[[], Sequence[object]]:
    done = in_this_process(*map(str, _deployment(stage)()))
    assert done.code in (0, 1), done
    return lambda: ["status", "--deployment", "fleet"]


def _create_token(stage: Stage) -> Callable[[], Sequence[object]]:
    stage.source("{credentials: token, token: of-edge-test-0}")

    def arguments() -> Sequence[object]:
        stage.without_token()
        return ["credentials", "create-token", stage.project]

    return arguments


def _rotate(stage: Stage) -> Callable[[], Sequence[object]]:
    stage.source("{credentials: token, token: of-edge-test-0}")
    stage.without_token()
    done = in_this_process("deploy", stage.project, "--yes", "--create-token", "--no-wait", "--force")
    assert done.code == 0, done
    return lambda: ["credentials", "rotate", stage.project, "--yes", "--timeout", "1"]


def with_a_vault(stage: Stage) -> Callable[[], Sequence[object]]:
    """A project whose password is in a vault."""
    pytest.importorskip("azure.keyvault.secrets")
    stage.quick.admin("PUT", "/vaults/sandbox-vault/secrets/canary", {"value": "canary-in-a-key-vault"})
    stage.source("{credentials: keyvault, keyvault: {vault: sandbox-vault, name: canary, username: robot}}")
    return lambda: ["render", stage.project]


def _building(stage: Stage) -> Path:
    pytest.importorskip("azureml.core")
    return building_project(stage.folder / "building", "answered")


def _models(stage: Stage) -> Callable[[], Sequence[object]]:
    folder = _building(stage)
    assert in_this_process("image", folder).code == 0
    return lambda: ["model", "list", folder]


def _image(stage: Stage) -> Callable[[], Sequence[object]]:
    folder = _building(stage)

    def arguments() -> Sequence[object]:
        stage.runs += 1
        (folder / "model.pkl").write_bytes(b"model %d" % stage.runs)
        return ["image", folder, "--rebuild", "--timeout", "3"]

    return arguments


SCENARIOS: dict[str, Scenario] = {
    "render": _always("render", Path),
    "render with a vault": with_a_vault,
    "deploy": _deploy,
    "doctor": _always("doctor", Path),
    "preflight": _rendered("preflight"),
    "plan": _rendered("plan", "--force"),
    "apply": _apply,
    "apply a deployment": _deployment,
    "status": _always("status", "--device", str),
    "status with a role": _always("status", "--device", str, "--hub", HUB),
    "status of a deployment": _deployment_status,
    "export": _always("export", "--device", str),
    "rollback": _rollback,
    "device show": _always("device", "show", str),
    "device list": _always("device", "list"),
    "device register": _register,
    "device connection-string": _always("device", "connection-string", str),
    "credentials show": _always("credentials", "show", Path),
    "credentials create-token": _create_token,
    "credentials rotate": _rotate,
    "model list": _models,
    "image": _image,
}
