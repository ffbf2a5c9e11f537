"""Reads and writes files: every failure says what to do, and no file is ever left half-written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from manifestgen.errors import InputError

OWNER_ONLY: Final = 0o600
PUBLIC: Final = 0o644


def read_text(path: Path, what: str, *, fix: str = "create the file or correct its path", limit: int = 0) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        what: kind of file, for messages: "conda file", "template"…
        fix: what to do if it is missing.
        limit: largest size in bytes; 0 for none.

    Raises:
        InputError: it is missing, a folder, unreadable, too large, or not UTF-8.
    """
    try:
        if limit and path.stat().st_size > limit:
            raise InputError(f"{what} is larger than {limit} bytes", where=str(path), fix="make the file smaller")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{what} not found", where=str(path), fix=fix) from error
    except IsADirectoryError as error:
        raise InputError(f"{what} is a folder", where=str(path), fix="use the path of a file") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} is not UTF-8 text (byte {error.start})", where=str(path), fix="save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"could not read {what}: {_reason(error)}", where=str(path), fix="check the path") from error


def is_special(path: Path) -> bool:
    """Whether the path exists and is neither a file nor a folder: a terminal, a pipe, `/dev/null`."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_stdout(path: Path) -> bool:
    """Whether the path is another name of this process's stdout, as `/dev/stdout` is; never if that is a file."""
    try:
        return is_special(path) and os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def git_would_commit(path: Path) -> bool:
    """Whether a file is in a git work tree that does not ignore it; False without git."""
    folder = path.resolve().parent
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        return False
    ask = [git, "-C", str(folder), "check-ignore", "--quiet", "--", path.name]
    try:
        return subprocess.run(ask, capture_output=True, timeout=10, check=False).returncode == 1  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired):
        return False


def write_atomic(path: Path, data: str | bytes, mode: int = PUBLIC) -> None:
    """Write a file atomically: a temporary file beside it, which is then renamed.

    A reader sees either the old content or the new one. Links are followed; pipes and devices are written to directly.

    Args:
        path: the file to write.
        data: the content; text is written as UTF-8.
        mode: permissions, from the first byte on. `OWNER_ONLY` also restricts a file that others could read before;
            other modes are subject to the umask.

    Raises:
        InputError: the folder is missing or not writable, the disk is full, or the path is a folder.
    """
    with _writing(path):
        content = data.encode() if isinstance(data, str) else data
        if is_special(path):
            path.write_bytes(content)
            return
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError
        draft = target.with_name(f".{target.name[:100]}.{os.urandom(6).hex()}.tmp")
        try:
            _write_synced(draft, content, mode)
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    where = str(path)
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("output folder not found", where=where, fix=f"create the folder {path.parent}") from error
    except IsADirectoryError as error:
        raise InputError("output is a folder", where=where, fix="use the path of a file") from error
    except PermissionError as error:
        fix = f"make the folder {path.parent} writable or choose another one"
        raise InputError("output folder is not writable", where=where, fix=fix) from error
    except (OSError, ValueError) as error:
        fix = "choose another file, or free disk space"
        raise InputError(f"could not write the output: {_reason(error)}", where=where, fix=fix) from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, mode), "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the system allows it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
