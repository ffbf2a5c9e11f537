from __future__ import annotations

import errno
import io
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from manifestgen import files
from manifestgen.errors import InputError
from manifestgen.files import (
    OWNER_ONLY,
    TooLargeError,
    is_special,
    read_stdin,
    read_text,
    refuse_input_as_output,
    write_atomic,
    writing,
)

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and pipes of POSIX")


def mode_of(path: Path) -> Any:
    return stat.S_IMODE(path.stat().st_mode)


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "grüß\n")
    write_atomic(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == "grüß\n".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@posix
def test_a_file_for_its_owner_only_stays_so_even_if_it_was_open(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o666)
    write_atomic(target, "new", OWNER_ONLY)
    assert mode_of(target) == 0o600
    assert target.read_text() == "new"


@posix
def test_the_umask_takes_its_part(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "a") == 0o600


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_previous_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    target = tmp_path / "a"
    target.write_text("old")

    def fail(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="no space left") as caught:
        write_atomic(target, "new")
    assert "disk" in caught.value.fix
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interruption_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_says_what_to_create(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output folder not found") as caught:
        write_atomic(tmp_path / "no" / "a", "x")
    assert str(tmp_path / "no") in caught.value.fix


def test_a_folder_is_not_an_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output is a folder"):
        write_atomic(tmp_path, "x")


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="output folder is not writable"):
        write_atomic(tmp_path / "a", "x")


def test_permission_denied_says_that_the_folder_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(InputError, match="output folder is not writable") as caught:
        write_atomic(tmp_path / "a", "x")
    assert str(tmp_path) in caught.value.fix


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not write the output"):
        write_atomic(tmp_path / "a", "\ud800")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@posix
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_atomic(pipe, "through", OWNER_ONLY)
    reader.join()
    assert got == ["through"]
    assert is_special(pipe)


@posix
def test_devices_are_special_and_files_are_not(tmp_path: Path) -> None:
    assert is_special(Path("/dev/null"))
    assert not is_special(tmp_path)
    assert not is_special(tmp_path / "missing")


@pytest.mark.parametrize(
    ("content", "what"), [(None, "thing not found"), (b"\xff", "thing is not UTF-8"), (b"x" * 11, "larger than 10")]
)
def test_reading_says_what_is_wrong(tmp_path: Path, content: Any, what: str) -> None:
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_text(tmp_path / "a", "thing", limit=10)


def test_reading_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="thing is a folder"):
        read_text(tmp_path, "thing")


def test_a_path_that_cannot_be_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not read"):
        read_text(tmp_path / "a\0b", "thing")


@posix
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device without end")
def test_a_device_without_end_is_too_large() -> None:
    with pytest.raises(InputError, match="thing is larger than 67108864 bytes"):
        read_text(Path("/dev/zero"), "thing")


@posix
def test_a_pipe_into_which_no_one_writes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="could not read thing: nothing was written into the pipe for 0 seconds"):
        read_text(tmp_path / "pipe", "thing")


@posix
def test_a_pipe_is_read_to_its_end_however_slowly_it_is_written(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("w") as stream:
            for word in ("slow", "ly", " and much" * 20_000):
                time.sleep(0.1)
                stream.write(word)
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert read_text(pipe, "thing") == "slowly" + " and much" * 20_000
    writer.join()


@posix
def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / "victim").write_text("mine")
    (tmp_path / f".a.{bytes(6).hex()}.tmp").symlink_to("victim")
    with pytest.raises(InputError, match="could not write the output"):
        write_atomic(tmp_path / "a", "theirs")
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_file_written_in_pieces_appears_when_all_are_there(tmp_path: Path) -> None:
    with writing(tmp_path / "a", OWNER_ONLY) as stream:
        stream.write(b"one ")
        assert not (tmp_path / "a").exists()
        stream.write(b"two")
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_output_that_is_an_input_is_refused_by_any_name(tmp_path: Path) -> None:
    given = tmp_path / "rows.csv"
    given.write_text("rows")
    (tmp_path / "folder").mkdir()
    names = [given, tmp_path / "folder" / ".." / "rows.csv"]
    if os.name == "posix":
        (tmp_path / "link").symlink_to("rows.csv")
        (tmp_path / "hard").hardlink_to(given)
        names += [tmp_path / "link", tmp_path / "hard"]
    for name in names:
        with pytest.raises(InputError, match="the output is also an input") as caught:
            refuse_input_as_output(name, [None, given], "--report")
        assert "--report" in caught.value.fix
    refuse_input_as_output(tmp_path / "other", [None, given, tmp_path / "missing"], "--report")
    with pytest.raises(InputError):
        refuse_input_as_output(tmp_path / "missing", [tmp_path / "missing"], "--report")


def test_stdin_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return len(buffer)

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(TooLargeError, match="larger than 1000 bytes"):
        read_stdin(limit=1000)
