"""Reads and writes files: every error says what to do, and no file is ever left half-written."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from manifestgen.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
PUBLIC: Final = 0o644

#: Largest input in bytes, unless a smaller limit is given. IoT Hub accepts a manifest of a hundredth of that.
MAX_BYTES: Final = 64 << 20
#: Seconds within which a pipe must send something.
PIPE_SECONDS: Final = 30.0

_CHUNK: Final = 1 << 20


def read_bytes(path: Path | str, *, limit: int = MAX_BYTES) -> bytes:
    """The content of a file, a pipe or a device, and never more than the limit: `/dev/zero` has no end.

    Raises:
        TooLargeError: it is larger.
        OSError: it cannot be read, or it is a pipe into which nothing was written for `PIPE_SECONDS`.
    """
    # Otherwise, opening a pipe without a writer would block.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        content = b"".join(_chunks(descriptor, limit))
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise TooLargeError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return content


def read_stdin(*, limit: int = MAX_BYTES) -> bytes:
    """The content of stdin, up to a limit. Raises TooLargeError if it is larger."""
    content = sys.stdin.buffer.read(limit + 1)
    if len(content) > limit:
        raise TooLargeError(errno.EFBIG, f"it is larger than {limit} bytes", "-")
    return content


class TooLargeError(OSError):
    """A file is larger than it may be."""


def _chunks(descriptor: int, limit: int) -> Iterator[bytes]:
    """The content up to one byte more than the limit."""
    left = limit + 1
    pipe = os.name == "posix" and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    while left > 0:
        if pipe and not select.select([descriptor], [], [], PIPE_SECONDS)[0]:
            raise TimeoutError(errno.ETIMEDOUT, f"nothing was written into the pipe for {PIPE_SECONDS:.0f} seconds")
        try:
            chunk = os.read(descriptor, min(left, _CHUNK))
        except BlockingIOError:
            time.sleep(0.01)  # another reader took the data
            continue
        if not chunk:
            return
        left -= len(chunk)
        yield chunk


def read_text(
    path: Path, what: str, *, fix: str = "create the file or correct its path", limit: int = MAX_BYTES
) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        what: kind of file, for messages: "conda file", "template"…
        fix: what to do if it is missing.
        limit: largest size in bytes.

    Raises:
        InputError: it is missing, a folder, unreadable, too large, or not UTF-8.
    """
    try:
        return read_bytes(path, limit=limit).decode("utf-8-sig")
    except TooLargeError as error:
        fix = "make the file smaller"
        raise InputError(f"{what} is larger than {limit} bytes", where=str(path), fix=fix) from error
    except FileNotFoundError as error:
        raise InputError(f"{what} not found", where=str(path), fix=fix) from error
    except IsADirectoryError as error:
        raise InputError(f"{what} is a folder", where=str(path), fix="use the path of a file") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} is not UTF-8 text (byte {error.start})", where=str(path), fix="save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        fix = "check its permissions" if isinstance(error, PermissionError) else "check the path"
        raise InputError(f"could not read {what}: {_reason(error)}", where=str(path), fix=fix) from error


def refuse_input_as_output(output: Path, inputs: Iterable[Path | None], option: str) -> None:
    """Reject an output that would replace one of the inputs, before anything is done.

    Args:
        output: the file that would be written; links are followed.
        inputs: files that are read; None is skipped.
        option: the option that named the output, for the message.

    Raises:
        InputError: it would.
    """
    for path in inputs:
        if path is not None and not is_special(output) and _same(output, path):
            what = f"the output is also an input, {path}, and would replace it"
            raise InputError(what, where=str(output), fix=f"give another file with {option}")


def refuse_unwritable(output: Path) -> None:
    """Make sure, before anything slow is done, that an output can be written, as far as looking shows.

    Raises:
        InputError: as `write_atomic`.
    """
    with _writing(output):
        if is_special(output):
            return
        if output.is_dir():
            raise IsADirectoryError
        if not output.parent.is_dir():
            raise FileNotFoundError
        if not os.access(output.parent, os.W_OK):
            raise PermissionError


def in_a_shell(path: Path) -> str:
    """A path as a command that is shown names it: in quotes where it has a blank."""
    return f'"{path}"' if any(char.isspace() for char in str(path)) else str(path)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def is_special(path: Path) -> bool:
    """Whether the path exists and is neither a file nor a folder: a terminal, a pipe, `/dev/null`."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_stdout(path: Path) -> bool:
    """Whether the path is this process's stdout, such as `/dev/stdout`; False if stdout is a file."""
    try:
        return is_special(path) and os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def refuse_newer(found: object, known: int, path: Path) -> None:
    """Reject a file written by a newer version of manifestgen.

    Args:
        found: its format version.
        known: the newest format of this version.
        path: the file.

    Raises:
        InputError: its format is newer.
    """
    if isinstance(found, int) and found > known:
        raise InputError(
            "this was written by a newer version of manifestgen",
            where=str(path),
            fix="update manifestgen here: pip install --upgrade manifestgen",
        )


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


def cache_folder() -> Path:
    """This user's cache folder; its files may be deleted at any time."""
    import platformdirs

    return platformdirs.user_cache_path("manifestgen", appauthor=False)


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
    with writing(path, mode) as stream:
        stream.write(encoded(data) if isinstance(data, str) else data)


def encoded(text: str) -> bytes:
    """A text as files have it: in UTF-8; a path's bytes that are no character in the C locale stay as they are."""
    return text.encode("utf-8", "surrogateescape")


@contextmanager
def writing(path: Path, mode: int = PUBLIC) -> Iterator[BinaryIO]:
    """Write a file piece by piece, as `write_atomic` does: it appears when the block ends without an error.

    The temporary file is new and has an unguessable name, so a link planted in its place is not followed.

    Raises:
        InputError: as `write_atomic`.
    """
    with _writing(path):
        if is_special(path):
            with path.open("wb") as stream:
                yield stream
            return
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError
        draft = target.with_name(f".{target.name[:100]}.{os.urandom(6).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            with open(os.open(draft, flags, mode), "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
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
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # of pathlib, before Python 3.13
            raise
        raise InputError("output is a link that leads back to itself", where=where, fix="use another path") from error
    except (OSError, ValueError) as error:
        fix = "choose another file, or free disk space"
        raise InputError(f"could not write the output: {_reason(error)}", where=where, fix=fix) from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure, if the system supports that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
