"""The note about a newer version: from what is known, and never in the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifestgen.cli import _newer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The times that the background would have been asked to look."""
    paths: list[Path] = []
    monkeypatch.setattr(_newer, "_ask_in_background", paths.append)
    yield paths


def known(path: Path, version: object, age: float = 0.0) -> Path:
    path.write_text(json.dumps({"version": version, "asked": time.time() - age}))
    return path


def test_a_newer_version_is_said(tmp_path: Path, asked: list[Path]) -> None:
    words = _newer.note({}, known(tmp_path / "newest.json", "0.10.0"), "0.9.2")
    assert "manifestgen 0.10.0 is out, and this is 0.9.2" in words
    assert "MANIFESTGEN_NO_UPDATE_NOTE" in words
    assert asked == []


@pytest.mark.parametrize("found", ["0.9.2", "0.9", "0.1.0", "", None, 7, "\x1b[2J9", "9 rm -rf", {"a": 1}])
def test_anything_else_is_not(tmp_path: Path, asked: list[Path], found: object) -> None:
    assert _newer.note({}, known(tmp_path / "newest.json", found), "0.9.2") == ""


@pytest.mark.parametrize("variable", ["CI", "TF_BUILD", "MANIFESTGEN_NO_UPDATE_NOTE", "MANIFESTGEN_SANDBOX"])
def test_pipelines_and_users_who_do_not_want_it_are_left_alone(
    tmp_path: Path, asked: list[Path], variable: str
) -> None:
    assert _newer.note({variable: "1"}, known(tmp_path / "newest.json", "9", age=10**6), "0.9.2") == ""
    assert asked == []


def test_the_index_is_asked_once_a_day(tmp_path: Path, asked: list[Path]) -> None:
    path = tmp_path / "newest.json"
    assert _newer.note({}, path, "0.9.2") == ""
    assert asked == [path]
    known(path, "0.10", age=25 * 3600)
    assert "0.10 is out" in _newer.note({}, path, "0.9.2")
    assert asked == [path, path]


def test_a_failure_in_the_background_is_not_tried_at_each_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []

    class Process:
        returncode = 0

        def __init__(self, command: object, **_: object) -> None:
            started.append(command)

    monkeypatch.setattr("subprocess.Popen", Process)
    for _ in range(3):
        _newer.note({}, tmp_path / "deep" / "newest.json", "0.9.2")
    assert len(started) == 1
    (tmp_path / "file").touch()
    assert _newer.note({}, tmp_path / "file" / "newest.json", "0.9.2") == ""


def test_the_answer_of_the_index_is_kept(tmp_path: Path) -> None:
    answer = tmp_path / "json"
    answer.write_text(json.dumps({"info": {"version": "1.2.3"}}))
    _newer.ask(tmp_path / "newest.json", answer.as_uri())
    assert _newer._known(tmp_path / "newest.json")[0] == "1.2.3"
    answer.write_text(json.dumps({"info": {"version": "1.2.3; evil"}}))
    _newer.ask(tmp_path / "newest.json", answer.as_uri())
    assert _newer._known(tmp_path / "newest.json")[0] == "1.2.3"
