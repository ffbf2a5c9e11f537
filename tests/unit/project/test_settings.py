"""The effective settings of a project: values, where each comes from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.cli import run
from manifestgen.project.settings import Setting, settings
from manifestgen.report.project import origin

TEXT = """\
version: 1
model: {path: model.pkl}
image:
  builder: acr
  name: scorer
  entry_script: score.py
  requirements: requirements.txt
  registry: contosodev.azurecr.io
manifest:
  values:
    ttl: 7200
    site: {name: lab, floor: 2}
    database: {user: scorer, password: canary-literal}
    broker: "${env:BROKER}"
    ring: "${file:mounted}"
    words: [a, {token: canary-listed}]
    place: "${env:PLACE}"
environments:
  prod:
    image: {registry: contoso.azurecr.io}
    manifest: {values: {site: {name: plant-3, floor: null}}}
    target: {deployment: scorer, condition: "${env:CONDITION}"}
"""
VARIABLES = {"BROKER": "mqtts://user:canary-address@broker:8883", "PLACE": "hall", "CONDITION": "*"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(TEXT)
    (tmp_path / "mounted").write_text("canary-mounted\n")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _found(folder: Path, environment: str = "") -> dict[str, Setting]:
    return {one.key: one for one in settings(folder, {**VARIABLES, "MANIFESTGEN_ENVIRONMENT": environment})}


def test_each_says_where_it_comes_from(folder: Path) -> None:
    found = _found(folder, "prod")
    expected = {
        "image.registry": ("contoso.azurecr.io", "m:20, environment prod"),
        "image.name": ("scorer", "m:5"),
        "manifest.values.site.name": ("plant-3", "m:21, environment prod"),
        "manifest.values.place": ("hall", "m:17, variable PLACE"),
        "target.condition": ("*", "m:22, environment prod, variable CONDITION"),
        "target.priority": (10, "default"),
        "model.name": ("model", "default"),
        "manifest.runtime": ("1.6", "default"),
        "registry.credentials": ("admin", "default"),
    }
    assert {key: (found[key].value, origin(found[key], "m")) for key in expected} == expected
    assert "manifest.values.site.floor" not in found


def test_outside_of_the_environments_the_rest_of_the_file_counts(folder: Path) -> None:
    found = _found(folder)
    assert found["image.registry"].value == "contosodev.azurecr.io"
    assert found["manifest.values.site.floor"].value == 2
    assert not any(key.startswith(("target", "environments")) for key in found)


def test_what_may_be_a_secret_is_hidden_by_its_key_its_look_or_its_source(folder: Path) -> None:
    hidden = {key for key, one in _found(folder).items() if one.hidden}
    values = "manifest.values."
    names = ("database.password", "broker", "ring", "words")
    assert hidden == {values + name for name in names}


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_command_shows_no_secret(folder: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["project", "show", "-e", "prod", "--output", output, "-v"]) == 0
    printed = capsys.readouterr()
    assert "canary" not in printed.out + printed.err
    assert "plant-3" in printed.out


def test_the_command_names_files_environments_and_who_chose(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["project", "show"]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "project      manifestgen.yaml",
        "environment  none, of prod",
        "lock file    manifestgen.lock.json (not written yet)",
        "manifest     deployment.json (not written yet)",
    ]
    (folder / "manifestgen.prod.lock.json").write_text("{}")
    assert run(["project", "show", "-e", "prod"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "environment  prod, chosen by -e",
        "lock file    manifestgen.prod.lock.json",
    ]
    monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "prod")
    assert run(["project", "show"]) == 0
    assert "environment  prod, chosen by MANIFESTGEN_ENVIRONMENT" in capsys.readouterr().out


def test_a_connection_string_of_another_hub_is_a_warning_that_names_both(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    string = "HostName={}.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=MDEyMzQ1Njc4OTAxMg=="
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", string.format("theirs"))
    assert run(["project", "show", "--output", "json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["environment"] is None
    assert "IOTHUB_CONNECTION_STRING decides, which is for theirs.azure-devices.net" in printed.err
    (folder / "manifestgen.yaml").write_text(TEXT + "hub: {host: ours.azure-devices.net}\n")
    assert run(["project", "show"]) == 0
    warning = capsys.readouterr().err
    assert "for the hub theirs.azure-devices.net, and the project's hub is ours.azure-devices.net" in warning
