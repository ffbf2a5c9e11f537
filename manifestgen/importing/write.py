"""Writes the files of an import: all or none, and overwrites files that differ only if requested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from manifestgen.errors import InputError, os_reason
from manifestgen.files import PUBLIC, encoded, is_special, write_atomic


class Written(Struct, frozen=True):
    """The result of writing.

    Attributes:
        files: that were written.
        unchanged: files that already had this content.
    """

    files: tuple[Path, ...]
    unchanged: tuple[Path, ...]


def write_all(files: Mapping[Path, str], *, force: bool, mode: int = PUBLIC) -> Written:
    """Write files; folders that are missing are created.

    Args:
        files: texts by path.
        force: whether a file with other content is overwritten.
        mode: permissions, see `files.write_atomic`.

    Raises:
        InputError: a file exists with other content, or cannot be written; none is written.
    """
    before = {path: _content(path) for path in files}
    unchanged = tuple(path for path, text in files.items() if before[path] == encoded(text))
    changed = [path for path in files if path not in unchanged]
    there = [str(path) for path in changed if before[path] is not None]
    if there and not force:
        what = f"{', '.join(there)} would be overwritten"
        raise InputError(what, fix="remove or rename it", options=("overwrite it with --force",))
    done: list[Path] = []
    folders: list[Path] = []
    try:
        for path in changed:
            _create(path.parent, folders)
            if not is_special(path):
                done.append(path)
            write_atomic(path, files[path], mode)
    except BaseException:
        for path in done:
            _restore(path, before[path], mode)
        for folder in reversed(folders):
            folder.rmdir()
        raise
    return Written(tuple(changed), unchanged)


def _content(path: Path) -> bytes | None:
    if is_special(path):
        return None  # a pipe or a device has nothing to overwrite, and reading it may never end
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise InputError("output is a folder", where=str(path), fix="choose another name") from error
    except NotADirectoryError as error:
        raise InputError("its folder is a file", where=str(path), fix="choose another folder") from error


def _create(folder: Path, created: list[Path]) -> None:
    if folder.is_dir():
        return
    _create(folder.parent, created)
    try:
        folder.mkdir()
    except OSError as error:
        what = f"could not create the folder: {os_reason(error)}"
        raise InputError(what, where=str(folder), fix="choose another folder") from error
    created.append(folder)


def _restore(path: Path, content: bytes | None, mode: int) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif _content(path) != content:  # else it was not replaced, and keeps permissions that may be narrower
        write_atomic(path, content, mode)
