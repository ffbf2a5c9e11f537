"""The state folder: snapshots in the order in which they were taken, and locks.

It is private to the user or, if chosen explicitly, shared by all runs of a pipeline. It contains the same data as hubs,
registry passwords included: only the owner can read its files and folders, and no listing shows their content.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote

from manifestgen.errors import InputError, os_reason
from manifestgen.files import OWNER_ONLY, refuse_newer, write_atomic
from manifestgen.manifest.dump import dump

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Snapshots of one device or deployment that are kept; the oldest are deleted first.
KEPT: Final = 20

_FORMAT: Final = 1
_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
_VARIABLE: Final = "MANIFESTGEN_STATE"

#: The fix for an unusable folder, besides the option of commands that have one.
ANOTHER: Final = "make the folder writable, or set MANIFESTGEN_STATE to another one"
OPTION: Final = ("choose another one with --state",)


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's state folder: `MANIFESTGEN_STATE`, else the system's."""
    chosen = (os.environ if environ is None else environ).get(_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_state_dir("manifestgen", appauthor=False))


def chosen_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """The state folder if the user chose it; None for the system's or the sandbox's."""
    environ = os.environ if environ is None else environ
    chosen, home = environ.get(_VARIABLE), environ.get("MANIFESTGEN_SANDBOX_HOME")
    if not chosen or (home and Path(chosen).parent == Path(home)):
        return None
    return Path(chosen)


@contextlib.contextmanager
def using(folder: Path | None) -> Iterator[None]:
    """Use a state folder in this process and its children during the block; None changes nothing."""
    before = os.environ.get(_VARIABLE)
    if folder is not None:
        os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is not None:
            os.environ[_VARIABLE] = before
        elif folder is not None:
            os.environ.pop(_VARIABLE, None)


def lock(path: Path, *, busy: InputError) -> BaseFileLock:
    """Acquire a lock file without waiting; it is released by the caller, or at the end of the process.

    Args:
        path: of the lock file; its folder must exist.
        busy: raised if another process holds the lock.

    Raises:
        InputError: `busy`.
        OSError: the file cannot be created.
    """
    import filelock

    taken = filelock.FileLock(path, timeout=0)
    try:
        taken.acquire()
    except filelock.Timeout:
        raise busy from None
    return taken


class NoSnapshotError(InputError):
    """There is no snapshot to roll back to."""

    code = "no-snapshot"


class Taken(Protocol):
    """The metadata of every snapshot."""

    @property
    def taken(self) -> datetime:
        """When it was taken, in UTC."""
        ...


T = TypeVar("T", bound=Taken)


class SnapshotStore(Generic[T]):
    """The snapshots of one device or one automatic deployment, newest first.

    Args:
        root: the state folder.
        kind: subfolder for this kind of target: `snapshots` for devices, `deployments` for automatic deployments.
        hub: host of the hub.
        name: of the target.
        parse: a snapshot from its file's JSON; any error it raises means that the file is not a snapshot.
    """

    def __init__(
        self, root: Path, kind: str, hub: str, name: str, parse: Callable[[Mapping[str, Any], Path], T]
    ) -> None:
        self._root = root
        # IDs may have characters that file systems do not allow.
        self.folder = root / kind / quote(hub, safe="") / quote(name, safe="")
        self._parse = parse

    def take(self, data: Mapping[str, Any], *, now: datetime | None = None) -> Path:
        """Write a snapshot, and delete the oldest beyond `KEPT`.

        Args:
            data: the snapshot's content; `format` and `taken` are added.
            now: the time, in UTC; default: the clock's.

        Raises:
            InputError: the folder cannot be written to, or a newer version uses it. In that case, the caller must not
                change the target.
        """
        folder = self.folder
        for path in self._files()[:1]:
            self._read(path)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for part in (folder.parent.parent, folder.parent, folder):
                part.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"could not write the snapshot: {os_reason(error)}",
                where=str(folder),
                fix=ANOTHER,
                options=OPTION,
            ) from error
        now = now or datetime.now(timezone.utc)
        # Two runs that share the folder may read the same clock.
        path = folder / f"{self._after_all(now).strftime(_STAMP)}-{os.urandom(4).hex()}.json"
        try:
            write_atomic(path, dump({"format": _FORMAT, "taken": now.isoformat(), **data}), OWNER_ONLY)
        except InputError as error:
            what = f"could not write the snapshot: {error.what}"
            raise InputError(what, where=str(folder), fix=ANOTHER, options=OPTION) from error
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def all(self) -> list[T]:
        """The snapshots, newest first; files that are not snapshots are skipped.

        Raises:
            InputError: one was written by a newer version: skipping it would renumber the others.
        """
        return [snapshot for path in self._files() if (snapshot := self._read(path)) is not None]

    def find(self, number: int | None, *, differs: Callable[[T], bool], where: str, history: str, elsewhere: str) -> T:
        """The snapshot to roll back to.

        Args:
            number: 1 for the newest; None for the newest that differs from the current state. A failed apply leaves one
                that does not.
            differs: whether a snapshot differs from the current state.
            where: the target, for the error.
            history: the command that lists the snapshots.
            elsewhere: the hub's alternative to a snapshot, for the error.

        Raises:
            NoSnapshotError: the snapshot does not exist.
            InputError: without a number, a newer one is damaged, and skipping it would restore an older state than
                requested; or one was written by a newer version.
        """
        known = self.all()
        if number is None:
            found = self._newest(differs, history)
        else:
            found = known[number - 1] if 1 <= number <= len(known) else None
        if found is not None:
            return found
        if not known:
            raise NoSnapshotError(
                f"there is no snapshot of it in {self.folder}, and {elsewhere}",
                where=where,
                fix="set MANIFESTGEN_STATE to the state folder of the machine or pipeline that applied",
                options=("give it with --state",),
            )
        what = "every snapshot is what it has now" if number is None else f"there is no snapshot {number}"
        raise NoSnapshotError(
            f"{what}: {self.folder} has {len(known)}", where=where, fix=f"list the snapshots with '{history}'"
        )

    def _newest(self, differs: Callable[[T], bool], history: str) -> T | None:
        for path in self._files():
            snapshot = self._read(path)
            if snapshot is None and path.exists():
                raise InputError(
                    "a snapshot is damaged, and it is newer than those that can be read",
                    where=str(path),
                    fix=f"choose one of '{history}' with --to, or delete this file",
                )
            if snapshot is not None and differs(snapshot):
                return snapshot
        return None

    def _files(self) -> list[Path]:
        """Newest first, by name."""
        return sorted(self.folder.glob("*.json"), reverse=True)

    def _after_all(self, now: datetime) -> datetime:
        """The current time, or just after the newest snapshot's if the clock was set back since."""
        for path in self._files():
            with contextlib.suppress(ValueError):
                newest = datetime.strptime(path.stem.partition("-")[0], _STAMP).replace(tzinfo=timezone.utc)
                return max(now, newest + timedelta(microseconds=1))
        return now

    def _read(self, path: Path) -> T | None:
        try:
            data = json.loads(path.read_text("utf-8"))
            written = data["format"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        refuse_newer(written, _FORMAT, path)
        try:
            return self._parse(data, path) if written == _FORMAT else None
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None
