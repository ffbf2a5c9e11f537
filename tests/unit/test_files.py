from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.files import OWNER_ONLY, is_special, read_text, write_atomic

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
def test_a_failure_leaves_the_former_file_and_nothing_else(
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


def test_a_folder_is_no_output(tmp_path: Path) -> None:
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


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
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
