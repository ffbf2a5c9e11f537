"""A project's target counts in every command that takes a device, and is said; what deletes never takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.cli import run

MANIFEST = (Path(__file__).parents[2] / "rules/route-syntax/pass/plain.json").read_text("utf-8")
PROJECT = """\
version: 1
target: {device: edge-01}
environments:
  prod: {target: {device: edge-77}}
  fleet: {target: {device: null, deployment: scorer, condition: "tags.site = 'lab'"}}
"""
FOR_A_DEVICE = [
    ["plan", "deployment.json"],
    ["apply", "deployment.json", "--yes"],
    ["export"],
    ["logs", "scorer"],
    ["restart", "scorer"],
    ["ping"],
    ["score", "--data", "deployment.json"],
    ["bundle", "--to", "SUPPORT_SAS"],
    ["device", "show"],
    ["device", "connection-string"],
    ["device", "register"],
]
FOR_BOTH = [["status"], ["history"], ["rollback", "--yes"], ["view", "-o", "page.html"]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "deployment.json").write_text(MANIFEST)
    monkeypatch.setenv("SUPPORT_SAS", "https://acme.blob.core.windows.net/bundles?sv=2024-11-04&sp=cw&sig=c2ln")
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(arguments) == 2  # no hub is specified, which is found after the target
    return [line for line in capsys.readouterr().err.splitlines() if "warning: " not in line]


@pytest.mark.parametrize("command", [*FOR_A_DEVICE, *FOR_BOTH], ids=" ".join)
def test_the_device_is_the_projects_and_is_said(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, *command)
    assert said[0] == "device edge-01 of manifestgen.yaml"
    assert said[-2] == "error: no IoT hub is specified"
    assert _said(capsys, *command, "-e", "prod")[0] == "device edge-77 of manifestgen.yaml, environment prod"
    assert "device edge-01 of" not in "".join(_said(capsys, *command, "-q"))


@pytest.mark.parametrize("command", FOR_BOTH, ids=" ".join)
def test_the_deployment_is_the_projects(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, *command, "-e", "fleet")
    assert said[0] == "deployment scorer of manifestgen.yaml, environment fleet"
    assert _said(capsys, "deployment", "show", "-e", "fleet")[0] == said[0]


@pytest.mark.parametrize("command", FOR_A_DEVICE, ids=" ".join)
def test_a_deployment_is_not_a_device(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error, fix = _said(capsys, *command, "-e", "fleet")[-2:]
    assert error == "error: manifestgen.yaml: the project's target is the automatic deployment 'scorer', not a device"
    assert ("add --deployment scorer" in fix) == (command[0] == "apply")
    many = command[0] in ("logs", "restart", "ping", "score", "bundle")
    assert ("--target-condition \"tags.site = 'lab'\"" in fix) == many


@pytest.mark.parametrize("command", [*FOR_A_DEVICE, *FOR_BOTH], ids=" ".join)
def test_without_a_target_the_fix_names_both_ways(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "manifestgen.yaml").write_text(PROJECT.replace("target: {device: edge-01}\n", ""))
    error, fix = _said(capsys, *command)[-2:]
    assert error == "error: manifestgen.yaml: no device is named"
    assert "'target: {device: ID}'" in fix and "choose an environment with --environment: prod, fleet" in fix


def test_a_manifest_of_an_environment_goes_to_the_target_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "deployment.prod.json").write_text(MANIFEST)
    for command in (["plan", "deployment.prod.json"], ["apply", "deployment.prod.json", "--yes"]):
        assert _said(capsys, *command)[0] == "device edge-77 of manifestgen.yaml, environment prod"
        assert "'fleet' is chosen" in _said(capsys, *command, "-e", "fleet")[-2]


@pytest.mark.parametrize("command", [["device", "delete"], ["deployment", "delete"], ["device", "tag"]], ids=" ".join)
def test_what_deletes_or_names_several_things_takes_nothing_by_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for environment in ("prod", "fleet"):
        assert "missing argument" in _said(capsys, *command, "-e", environment)[-2]


@pytest.mark.parametrize("variable", [None, ""])
def test_a_preflight_without_a_hub_asks_registries_only(
    variable: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from manifestgen.cli._console import Console
    from manifestgen.cli.preflight import _device

    if variable is not None:
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", variable)
    assert _device(folder / "deployment.json", None, None, None, Console()) == (None, None)
    assert capsys.readouterr().err == ""
