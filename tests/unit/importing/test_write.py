"""The files of an import are written all or none, and never over other content."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.files import write_atomic
from manifestgen.importing.write import Written, write_all


def test_a_second_time_writes_nothing(tmp_path: Path) -> None:
    files = {tmp_path / "new" / "a": "1", tmp_path / "b": "2"}
    assert write_all(files, force=False).files == tuple(files)
    assert write_all(files, force=False) == Written((), tuple(files))


def test_other_content_is_overwritten_only_with_force(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    files = {tmp_path / "a": "1", tmp_path / "b": "2"}
    with pytest.raises(InputError, match="b would be overwritten") as caught:
        write_all(files, force=False)
    assert caught.value.options == ("overwrite it with --force",)
    assert not (tmp_path / "a").exists()
    write_all(files, force=True)
    assert (tmp_path / "b").read_text() == "2"


@pytest.mark.parametrize("error", [InputError("disk full", fix="free some"), KeyboardInterrupt()])
def test_what_was_there_is_there_again_if_one_file_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "b").write_text("mine")

    def failing(path: Path, *arguments: Any) -> None:
        if path.name == "c":
            raise error
        write_atomic(path, *arguments)

    monkeypatch.setattr("manifestgen.importing.write.write_atomic", failing)
    files = {tmp_path / "new" / "deep" / "a": "1", tmp_path / "b": "2", tmp_path / "c": "3"}
    with pytest.raises(type(error)):
        write_all(files, force=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["b"]
    assert (tmp_path / "b").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")
def test_a_file_that_was_not_replaced_keeps_its_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deployment.json"
    path.write_text("a secret")
    path.chmod(0o600)
    calls = iter([InputError("disk full", fix="free some")])

    def failing_once(path: Path, *arguments: Any) -> None:
        for error in calls:
            raise error
        write_atomic(path, *arguments)

    monkeypatch.setattr("manifestgen.importing.write.write_atomic", failing_once)
    with pytest.raises(InputError, match="disk full"):
        write_all({path: "none"}, force=True)
    assert path.read_text() == "a secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(InputError, match="its folder is a file"):
        write_all({tmp_path / "b" / "a": "1"}, force=True)
    with pytest.raises(InputError, match="output is a folder"):
        write_all({tmp_path: "1"}, force=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to_and_not_read_before(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    assert write_all({pipe: "1"}, force=False).files == (pipe,)
    reader.join(5)
    assert received == ["1"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_removed_if_a_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path, *arguments: Any) -> None:
        raise InputError("nobody reads", fix="read it")

    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("manifestgen.importing.write.write_atomic", failing)
    with pytest.raises(InputError, match="nobody reads"):
        write_all({tmp_path / "pipe": "1"}, force=False)
    assert (tmp_path / "pipe").exists()


def test_a_name_that_is_no_text_in_this_locale_is_written_as_its_bytes(tmp_path: Path) -> None:
    text = "# imported from ma\udcc3\udc9f.json\n"
    assert write_all({tmp_path / "manifestgen.yaml": text}, force=False).files
    assert (tmp_path / "manifestgen.yaml").read_bytes() == "# imported from maß.json\n".encode()
    assert write_all({tmp_path / "manifestgen.yaml": text}, force=False).unchanged
