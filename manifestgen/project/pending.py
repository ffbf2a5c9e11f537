"""The unfinished build of a project, in `.manifestgen/` beside the project file.

A killed run leaves it behind, and the next run resumes instead of registering or building again. It contains no
secrets. The folder also has the lock that prevents two runs on one project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from manifestgen.errors import InputError, os_reason
from manifestgen.files import PUBLIC, write_atomic
from manifestgen.project.load import FILE_NAME, Project

_FOLDER = ".manifestgen"


class Pending(Struct, frozen=True):
    """An image that is being built.

    Attributes:
        inputs: hex digest of its inputs; for other inputs it cannot be resumed.
        label: the image's tag.
        builder, operation, image: the build, once it was accepted.
    """

    inputs: str
    label: str = ""
    builder: str = ""
    operation: str = ""
    image: str = ""


class Progress:
    """The `Pending` of one project, on disk."""

    def __init__(self, project: Project) -> None:
        usual = project.path.name == FILE_NAME and project.environment is None
        name = "pending.json" if usual else f"{project.own_name}.pending.json"
        if project.modular:
            name = f"{project.module.name}.{name}"
        self._path = project.root / _FOLDER / name

    def read(self, inputs: str) -> Pending:
        """The unfinished build of an earlier run with these inputs; an empty Pending if there is none."""
        try:
            data = json.loads(self._path.read_text("utf-8"))
            pending = Pending(**data)
        except (OSError, ValueError, TypeError):
            # Missing, or written by another version: starting over is safe, since it only saves time.
            return Pending(inputs)
        return pending if pending.inputs == inputs else Pending(inputs)

    def write(self, pending: Pending, **changes: Any) -> Pending:
        """Write the pending with these changes, and return it."""
        pending = replace(pending, **changes)
        _folder(self._path.parent)
        write_atomic(self._path, json.dumps(asdict(pending), indent=2) + "\n", PUBLIC)
        return pending

    def clear(self) -> None:
        """Delete it: nothing is pending."""
        self._path.unlink(missing_ok=True)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Lock the project for the duration of the block; the lock of a killed run disappears with it.

    Raises:
        InputError: another run has the lock.
    """
    import filelock

    lock = filelock.FileLock(_folder(root / _FOLDER) / "run.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            "another manifestgen is running on this project",
            where=str(root),
            fix="wait until it ends, or stop it",
        ) from None
    except OSError as error:
        raise _not_writable(root, error) from error
    try:
        yield
    finally:
        lock.release()


def work_folder(root: Path) -> Path:
    """The folder `.manifestgen` beside a project file, for files of unfinished runs. Raises InputError."""
    return _folder(root / _FOLDER)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(exist_ok=True)
        ignore = path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", "utf-8")
    except OSError as error:
        raise _not_writable(path.parent, error) from error
    return path


def _not_writable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"project folder is not writable: {os_reason(error)}",
        where=str(path),
        fix="make it writable, or copy the project to a writable folder",
    )
