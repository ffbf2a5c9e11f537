"""What needs no cloud works without one: no network, and no SDK installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.command_line import Completed, complaint, in_this_process

_SAMPLES = Path(__file__).parents[2] / "samples"

# Whatever touches a socket or the modules in MISSING fails, by Python's own audit hooks: nothing can go round them.
_ISOLATED = """\
import runpy, sys

missing = set(filter(None, sys.argv.pop(1).split(",")))

def refuse(event, arguments):
    if event.startswith("socket."):
        raise OSError(f"no network here: {event}{arguments}")
    if event == "import" and arguments[0].partition(".")[0] in missing:
        raise ModuleNotFoundError(f"No module named {arguments[0]!r}", name=arguments[0])

sys.addaudithook(refuse)
sys.argv[0] = "manifestgen"
runpy.run_module("manifestgen", run_name="__main__")
"""
_SDKS = ("azure", "azureml", "msrest", "requests", "aiohttp")


def isolated(*arguments: str | Path, cwd: Path, missing: tuple[str, ...] = _SDKS) -> Completed:
    """Run the command in a process without network, in which some modules are not installed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("AZURE", "IOTHUB", "ACR_", "MANIFESTGEN_"))
    }
    ended = subprocess.run(
        [sys.executable, "-c", _ISOLATED, ",".join(missing), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Completed(ended.stdout, ended.stderr, ended.returncode)


def test_the_isolation_is_one(tmp_path: Path) -> None:
    reaches = "import socket; socket.create_connection(('127.0.0.1', 9))"
    script = _ISOLATED.replace('runpy.run_module("manifestgen", run_name="__main__")', reaches)
    ended = subprocess.run([sys.executable, "-c", script, ""], capture_output=True, text=True, check=False)
    assert "no network here" in ended.stderr


def test_an_image_built_elsewhere_renders_without_azure(tmp_path: Path) -> None:
    rendered = isolated("render", _SAMPLES / "bring-your-own-image", "-o", "-", cwd=tmp_path)
    assert rendered.code == 0, rendered
    assert rendered.stderr == ""
    agent = rendered.json["modulesContent"]["$edgeAgent"]["properties.desired"]
    assert agent["modules"]["scorer"]["settings"]["image"] == "acme.azurecr.io/vibration-scorer:1.4.2"
    (credential,) = agent["runtime"]["settings"]["registryCredentials"].values()
    assert credential == {
        "address": "acme.azurecr.io",
        "username": "${ACR_USERNAME_ACME}",
        "password": "${ACR_PASSWORD_ACME}",
    }
    assert list(tmp_path.iterdir()) == []


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (isolated("render", _SAMPLES / "bring-your-own-image", "-o", "-", cwd=tmp_path) for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stdout.endswith("}\n")


def test_a_new_project_starts_renders_and_is_checked_without_azure(tmp_path: Path) -> None:
    assert isolated("init", "mine", cwd=tmp_path).code == 0
    assert isolated("render", "mine", cwd=tmp_path).code == 0
    content = json.loads((tmp_path / "mine" / "deployment.json").read_text())
    assert "mine" in content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    assert isolated("check", "mine/deployment.json", "--fail-on", "error", cwd=tmp_path).code == 0


def test_the_schema_needs_nothing(tmp_path: Path) -> None:
    assert "$schema" in isolated("schema", cwd=tmp_path).json


@pytest.mark.parametrize("command", [["image"], ["model", "list"]], ids=" ".join)
def test_azure_ml_that_is_not_installed_says_how_to_install(command: list[str], tmp_path: Path) -> None:
    sample = _SAMPLES / "anomaly-detection"
    ended = isolated(*command, sample, cwd=tmp_path, missing=("azureml",))
    said = complaint(ended, 2)
    assert "Azure ML support is not installed" in said
    assert "pip install 'manifestgen[azureml]'" in said.fix


def test_a_sandbox_that_is_not_installed_says_how_to_install(tmp_path: Path) -> None:
    ended = isolated("sandbox", "run", "--", "true", cwd=tmp_path, missing=("aiohttp",))
    assert "pip install 'manifestgen[sandbox]'" in complaint(ended, 2).fix


def test_a_name_for_messages_that_are_not_given_is_an_error() -> None:
    ended = in_this_process("run", _SAMPLES / "anomaly-detection", "--as", "camera/frames")
    assert complaint(ended, 2).fix == "add --input FILE, or drop --as"


def test_what_runs_modules_and_is_not_installed_says_how_to_install(tmp_path: Path) -> None:
    ended = isolated("run", _SAMPLES / "anomaly-detection", cwd=tmp_path, missing=("trustme",))
    assert "pip install 'manifestgen[runner]'" in complaint(ended, 2).fix
