"""A file of another kind than a command takes: what it is and which command takes it is said in two lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from manifestgen.cli import run

PROJECT = "version: 1\nimage: {builder: none, reference: mcr.microsoft.com/scorer:1.4.2}\ntarget: {device: edge-01}\n"
TEMPLATE = '{# ours #}\n{% extends "runtime-only" %}\n'
SOLUTION = '{"$schema-template": "4.0.0", "modulesContent": {"$edgeAgent": {"properties.desired": {"a": "${A}"}}}}'
SENDING = (["apply", "--device", "edge-01"], ["plan", "--device", "edge-01"], ["preflight"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "other.yml").write_text("apiVersion: v1\nkind: Pod\n")
    (tmp_path / "own.json.j2").write_text(TEMPLATE)
    (tmp_path / "deployment.template.json").write_text(SOLUTION)
    (tmp_path / "empty").mkdir()
    return tmp_path


def _said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    *_, error, fix = capsys.readouterr().err.splitlines()
    assert fix.startswith("  fix: ")
    return error.removeprefix("error: "), fix


@pytest.mark.parametrize("command", SENDING, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("file", "what", "fix"),
    [
        ("manifestgen.yaml", "this is a project, not a manifest", "'manifestgen deploy manifestgen.yaml --dry-run'"),
        (".", "this is a project, not a manifest", "'manifestgen render .'"),
        ("empty", "this is a folder, not a manifest", "deployment.json"),
        ("other.yml", "this is YAML, and a manifest is JSON", "'manifestgen render'"),
        ("own.json.j2", "this is a template, and not JSON until it is rendered", "'manifestgen render'"),
        ("deployment.template.json", "", "'manifestgen import deployment.template.json'"),
    ],
)
def test_where_a_manifest_is_sent(
    command: list[str], file: str, what: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, file]) == 2
    error, advice = _said(capsys)
    assert error.startswith(f"{file}: {what}" if what else f"{file}:1:93: this is a template")
    assert fix in advice


@pytest.mark.parametrize("command", [["view"], ["diff", "manifestgen.yaml"]], ids=lambda command: command[0])
def test_where_a_manifest_is_looked_at(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "own.json.j2"]) == 2
    error, fix = _said(capsys)
    assert error == "own.json.j2: it is a template that has to be rendered first" and "'manifestgen render'" in fix
    assert run([*command, "empty"]) == 2
    assert "project file not found" in _said(capsys)[0]


def test_check_takes_a_template_that_is_not_json_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "own.json.j2"]) == 0
    assert "info: this is a template, and not JSON until it is rendered [placeholder]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["check", ""], "an argument is empty"),
        (["deploy", "--yes", "--", ""], "an argument is empty"),
        (["diff", "deployment.template.json", ""], "an argument is empty"),
        (["status", "--device", "edge-01", "--hub", ""], "the value of --hub is empty"),
        (["status", "--device="], "the value of --device is empty"),
        (["render", "-o", ""], "the value of -o is empty"),
        (["render", "-e", ""], "--environment: the name of the environment is empty"),
    ],
)
def test_a_variable_that_is_not_set_is_not_the_working_directory_or_the_projects_own(
    arguments: list[str], what: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert run(arguments) == 2
    assert _said(capsys)[0] == what
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix", reason="links need a right there")
@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "-o"], ["view", "manifestgen.yaml", "-o"], ["init"], ["import", "deployment.template.json", "-o"],
        ["check"], ["deploy"], ["import"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_link_that_leads_back_to_itself(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "loop").symlink_to("loop")
    assert run([*arguments, "loop"]) == 2
    assert "loop" in _said(capsys)[0]


def test_a_manifest_where_a_project_is_wanted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "deployment.json").write_text('{"modulesContent": {}}')
    assert run(["render", "deployment.json"]) == 2
    error, fix = _said(capsys)
    assert error == "deployment.json: this is a deployment manifest, not a project file"
    assert "'manifestgen import deployment.json'" in fix
    assert run(["deploy", "deployment.template.json", "--yes"]) == 2
    error, fix = _said(capsys)
    assert "this is a template of other tools" in error and "'manifestgen import deployment.template.json'" in fix


def test_a_folder_without_anything_to_check_is_not_green(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "empty"]) == 2
    assert _said(capsys)[0] == "empty: there is nothing to check in this folder"
    (folder / "empty" / "package.json").write_text("{}")
    assert run(["check", "empty"]) == 0


@pytest.mark.parametrize(
    "command",
    [["plan", "m.json", "--device", "d", "--out"], ["export", "--device", "d", "-o"], ["view", "device:d", "-o"]],
    ids=lambda command: command[0],
)
def test_an_output_that_cannot_be_written_is_found_before_a_hub_is_asked(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    assert run([*command, "empty"]) == 2
    assert _said(capsys)[0] == "empty: output is a folder"
    assert run([*command, "nowhere/x.html"]) == 2
    assert _said(capsys)[0] == "nowhere/x.html: output folder not found"
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "empty")
    assert run([*command, "empty/x.html"]) == 2
    assert _said(capsys)[0] == "empty/x.html: output folder is not writable"


def test_what_may_not_be_read_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert run(["render", "manifestgen.yaml"]) == 2
    error, fix = _said(capsys)
    assert error.endswith("'manifestgen.yaml' is not readable") and fix == "  fix: check its permissions"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["deploy", "--merge", "--prune"], "--merge and --prune cannot be used together"),
        (["apply", "m.json", "--device", "d", "--merge", "--prune"], "--merge and --prune cannot be used together"),
        (["deploy", "--no-wait", "--rollback-on-failure"], "--rollback-on-failure and --no-wait cannot be used togeth"),
    ],
)
def test_options_that_contradict_each_other(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--yes"]) == 2
    error, fix = _said(capsys)
    assert error.startswith(what) and "drop one of the two" in fix


def test_an_engine_without_a_builder_that_has_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = "{builder: acr, name: own, registry: acme.azurecr.io, dockerfile: Dockerfile}"
    (folder / "manifestgen.yaml").write_text(f"version: 1\nimage: {image}\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    assert run(["image", "--engine", "buildah"]) == 2
    error, fix = _said(capsys)
    assert "the engine buildah is for the builder local" in error and "drop --engine" in fix


def test_a_command_to_run_next_can_be_pasted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "mein Projekt"]) == 0
    assert 'next: manifestgen test "mein Projekt"' in capsys.readouterr().err
    assert run(["preflight", "mein Projekt"]) == 2
    assert "'manifestgen render \"mein Projekt\"'" in _said(capsys)[1]


def test_what_is_to_be_scored_is_json(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data.json").write_text('{"a": 1,\n "b": }')
    command = ["score", "--device", "edge-01", "--data"]
    assert run([*command, "data.json"]) == 2
    assert _said(capsys)[0] == "data.json:2:7: not JSON: expected a JSON value, not '}'"
    monkeypatch.setattr("manifestgen.files.read_stdin", lambda: b"")
    assert run([*command, "-"]) == 2
    assert _said(capsys)[0] == "stdin:1:1: not JSON: the file is empty"
    monkeypatch.setattr("manifestgen.files.read_stdin", lambda: b"\xef\xbb\xbf[1]")
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    assert run([*command, "-"]) == 2
    assert _said(capsys)[0] == "no IoT hub is specified"  # what is on stdin is as it should be


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["tag", "edge-01", "line"], "tags: 'line' is not KEY=VALUE"),
        (["tag", "edge-01", "a=1", "a.b=2"], "tags: 'a.b' is given both a value and keys below it"),
        (["register", "edge-01", "--tag", "=x"], "--tag: '=x' is not KEY=VALUE"),
    ],
)
def test_a_wrong_tag_is_found_before_a_hub_is_asked(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
    assert run(["device", *arguments]) == 2
    error, fix = _said(capsys)
    assert error == what and "--tag" not in fix
