"""What a run has sent to the cloud and not finished yet, in `.manifestgen/` beside the project file.

A run that is killed leaves it behind; the next one goes on from there instead of registering or building twice. It
holds no secret. The folder also holds the lock that keeps two runs on one project apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from manifestgen.errors import InputError
from manifestgen.files import PUBLIC, write_atomic

_FOLDER = ".manifestgen"


@dataclass(frozen=True)
class Pending:
    """An image that is being made.

    Attributes:
        inputs: hex digest of what it is made from: for other inputs, this is of no use.
        label: the tag that was chosen for the image.
        builder, operation, image: the accepted build, once there is one.
    """

    inputs: str
    label: str = ""
    builder: str = ""
    operation: str = ""
    image: str = ""


class Progress:
    """The `Pending` of one project, kept on disk with every change."""

    def __init__(self, root: Path) -> None:
        self._path = root / _FOLDER / "pending.json"

    def read(self, inputs: str) -> Pending:
        """What a former run left behind for these inputs; a fresh Pending if nothing, or if it is for others."""
        try:
            data = json.loads(self._path.read_text("utf-8"))
            pending = Pending(**data)
        except (OSError, ValueError, TypeError):
            # Nothing there, or nothing that this version wrote. It is a help, not a record: to go on without is safe.
            return Pending(inputs)
        return pending if pending.inputs == inputs else Pending(inputs)

    def write(self, pending: Pending, **changes: Any) -> Pending:
        """Keep the pending with these changes, and return it."""
        pending = replace(pending, **changes)
        _folder(self._path.parent)
        write_atomic(self._path, json.dumps(asdict(pending), indent=2) + "\n", PUBLIC)
        return pending

    def clear(self) -> None:
        """Nothing is pending any more."""
        self._path.unlink(missing_ok=True)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Keep other runs off this project while the block runs; a killed run's lock is gone with it.

    Raises:
        InputError: another run is at work on the project.
    """
    import filelock

    lock = filelock.FileLock(_folder(root / _FOLDER) / "run.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            "another manifestgen is at work on this project",
            where=str(root),
            fix="wait until it has ended, or stop it",
        ) from None
    except OSError as error:
        raise _not_writable(root, error) from error
    try:
        yield
    finally:
        lock.release()


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
        f"project folder not writable: {(error.strerror or str(error)).lower()}",
        where=str(path),
        fix="make the folder writable, or copy the project to one that is",
    )
