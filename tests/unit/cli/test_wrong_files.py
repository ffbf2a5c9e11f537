"""A file of another kind than a command takes: what it is and which command takes it is said in two lines."""

from __future__ import annotations

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
