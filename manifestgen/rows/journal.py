"""A run's journal: a record of its progress, line by line, from which the next run resumes.

An append-only file of JSON lines. The first line identifies the run: rows, template and values by
their hashes, and the hub. A row's `intent` is on disk before its manifest is sent, its `outcome` afterwards. A row
with an intent but no outcome may or may not have been sent: the next run has to check the hub.

Many threads write lines, and one sync makes all of them durable: a thread that waits for the disk syncs for the others.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from array import array
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from manifestgen.errors import InputError, os_reason
from manifestgen.files import is_special, refuse_newer
from manifestgen.state import lock

if TYPE_CHECKING:
    from filelock import BaseFileLock

_FORMAT: Final = "manifestgen journal"
_VERSION: Final = 1
# The fixed part of every first line.
_BEGINNING: Final = f'{{"{_FORMAT}": {_VERSION},'.encode()


class State(IntEnum):
    """The progress of a row."""

    UNTOUCHED = 0
    INTENDED = 1
    APPLIED = 2
    UNCHANGED = 3
    REFUSED = 4
    FAILED = 5

    @property
    def settled(self) -> bool:
        """Whether the row is finished."""
        return self in (State.APPLIED, State.UNCHANGED)


_OUTCOMES: Final = {
    "applied": State.APPLIED,
    "unchanged": State.UNCHANGED,
    "refused": State.REFUSED,
    "failed": State.FAILED,
    "withdrawn": State.UNTOUCHED,
}


class Journal:
    """The journal of one run. Opened by `open_journal`."""

    def __init__(self, path: Path, count: int, held: BaseFileLock) -> None:
        self._path = path
        self._lock = held
        self._states = bytearray(count + 1)
        # The offset of the last line about a row: nine bytes per row, however long the lines are.
        self._offsets = array("Q", bytes(8 * (count + 1)))
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._end = 0
        self._waiting: list[bytes] = []
        self._written = self._synced = 0
        self._mutex = threading.Condition()
        self._syncing = False
        self._broken: InputError | None = None
        self._counts = [count, 0, 0, 0, 0, 0]

    def state(self, row: int) -> State:
        """The state of a row, by its number."""
        return State(self._states[row])

    def count(self, state: State) -> int:
        """How many rows are in a state."""
        return self._counts[state]

    def entry(self, row: int) -> Mapping[str, Any]:
        """The last line about a row; empty if there is none."""
        offset = self._offsets[row]
        if not offset:
            return {}
        with self._path.open("rb") as stream:
            stream.seek(offset)
            found: Mapping[str, Any] = json.loads(stream.readline())
            return found

    def entries(self, rows: int) -> Iterator[tuple[int, State, Mapping[str, Any]]]:
        """Each row's number, state and last line, in order."""
        with self._path.open("rb") as stream:
            for row in range(1, rows + 1):
                entry: Mapping[str, Any] = {}
                if offset := self._offsets[row]:
                    stream.seek(offset)
                    entry = json.loads(stream.readline())
                yield row, State(self._states[row]), entry

    def intend(self, row: int, device: str, digest: str) -> None:
        """Record that a manifest is about to be sent; returns once that is on disk."""
        self._append(row, State.INTENDED, {"row": row, "device": device, "intent": digest}, durable=True)

    def settle(self, row: int, device: str, outcome: str, **more: str) -> None:
        """Record the outcome of a row.

        Args:
            row: its number.
            device: its device.
            outcome: `applied`, `unchanged`, `refused`, `failed`, or `withdrawn` for an intent that was certainly not
                made.
            more: `manifest`, the digest of the sent manifest; `why` and `fix`.
        """
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        entry = {"row": row, "device": device, "outcome": outcome, **more, "at": at}
        self._append(row, _OUTCOMES[outcome], entry, durable=False)

    def flush(self) -> None:
        """Make everything durable."""
        with self._mutex:
            target = self._written
        self._sync_to(target)

    def close(self) -> None:
        """Make everything durable and release the file.

        Raises:
            InputError: the disk is full.
        """
        try:
            if self._broken is None:
                self.flush()
        finally:
            os.close(self._descriptor)
            self._lock.release()

    def _append(self, row: int, state: State, entry: Mapping[str, Any], *, durable: bool) -> None:
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        with self._mutex:
            self._refuse_if_broken()
            self._place(row, state, self._end)
            self._waiting.append(line)
            self._end += len(line)
            self._written += 1
            target = self._written
            flush = durable or len(self._waiting) > 100
        if flush:
            self._sync_to(target)

    def _place(self, row: int, state: State, offset: int) -> None:
        self._counts[self._states[row]] -= 1
        self._counts[state] += 1
        self._states[row] = state
        self._offsets[row] = offset

    def _sync_to(self, target: int) -> None:
        """Wait until this many lines are on disk; one waiting thread writes for all."""
        while True:
            with self._mutex:
                while self._syncing and self._synced < target:
                    self._mutex.wait()
                self._refuse_if_broken()
                if self._synced >= target:
                    return
                self._syncing = True
                lines, self._waiting = self._waiting, []
                upto = self._written
            try:
                self._write(b"".join(lines))
            finally:
                with self._mutex:
                    self._syncing = False
                    if self._broken is None:
                        self._synced = upto
                    self._mutex.notify_all()

    def _write(self, data: bytes) -> None:
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._broken = _not_writable(self._path, error)
            # Remove a half-written line if possible; otherwise, the next run repairs it.
            os.ftruncate(self._descriptor, start)
            raise self._broken from error

    def _refuse_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _begin(self, identity: Mapping[str, Any]) -> None:
        header = {_FORMAT: _VERSION, **identity, "begun": datetime.now(timezone.utc).isoformat(timespec="seconds")}
        line = json.dumps(header, ensure_ascii=False).encode() + b"\n"
        self._write(line)
        self._end = len(line)

    def _resume(self, identity: Mapping[str, Any]) -> bool:
        """Read an existing journal; returns whether there was anything to read."""
        with self._path.open("rb") as stream:
            first = stream.readline()
            if not first.endswith(b"\n"):
                if not _BEGINNING.startswith(first[: len(_BEGINNING)]):
                    # A file of one line that is not a journal and must not be overwritten.
                    raise _no_journal(self._path)
                # Empty, or a run that was killed before it had written its first line: nothing was sent.
                os.ftruncate(self._descriptor, 0)
                return False
            self._confirm(_parsed(first, self._path, 1), identity)
            self._end = len(first)
            for number, line in enumerate(stream, start=2):
                if not line.endswith(b"\n"):
                    break  # killed while writing: the step was not taken, or the hub will be checked
                self._replay(_parsed(line, self._path, number), number)
                self._end += len(line)
        os.ftruncate(self._descriptor, self._end)
        os.lseek(self._descriptor, self._end, os.SEEK_SET)
        return True

    def _confirm(self, header: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        refuse_newer(header.get(_FORMAT), _VERSION, self._path)
        if header.get(_FORMAT) != _VERSION:
            raise _no_journal(self._path)
        other = [name for name, value in identity.items() if header.get(name) != value]
        if other:
            raise InputError(
                f"this journal belongs to another run, with different {' and '.join(_WORDS[name] for name in other)}",
                where=str(self._path),
                fix="use another file with --journal, or delete this one to send to all devices again; "
                "--since skips devices that already have the same manifest",
            )

    def _replay(self, entry: Mapping[str, Any], number: int) -> None:
        row, outcome = entry.get("row"), entry.get("outcome")
        known = (isinstance(outcome, str) and outcome in _OUTCOMES) or (
            outcome is None and isinstance(entry.get("intent"), str)
        )
        if not (isinstance(row, int) and 0 < row < len(self._states) and known):
            raise _damaged(self._path, number)
        self._place(row, State.INTENDED if outcome is None else _OUTCOMES[outcome], self._end)


_WORDS: Final = {
    "hub": "hub",
    "template": "template",
    "values": "values",
    "rows": "rows",
}


def open_journal(path: Path, count: int, identity: Mapping[str, str]) -> Journal:
    """Open the journal of a run, new or to resume.

    Args:
        path: of the journal; a lock file beside it keeps other runs out.
        count: of rows.
        identity: `hub`, and hashes of `template`, `values` and `rows`, which identify the run.

    Raises:
        InputError: it is in use, belongs to another run, or cannot be read or written.
    """
    if not path.parent.is_dir():
        # Taking the lock would create the folder, even if its name is a typo.
        raise InputError("the journal's folder does not exist", where=str(path), fix="correct --journal")
    _refuse_special(path)
    busy = InputError(
        "another run is using this journal", where=str(path), fix="wait until that run has ended, or stop it"
    )
    try:
        held = lock(path.with_name(f"{path.name}.lock"), busy=busy)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        journal = Journal(path, count, held)
    except OSError as error:
        held.release()
        raise _not_writable(path, error) from error
    try:
        if not journal._resume(identity):
            journal._begin(identity)
    except BaseException:
        os.close(journal._descriptor)
        held.release()
        raise
    return journal


def _refuse_special(path: Path) -> None:
    if is_special(path):
        raise InputError("a pipe or device is not a journal", where=str(path), fix="give a file")


def sent_by(path: Path) -> Iterator[tuple[str, str]]:
    """Devices and the digests of their manifests, from an earlier run's journal.

    Raises:
        InputError: it is not a journal.
    """
    _refuse_special(path)
    try:
        with path.open("rb") as stream:
            written = _parsed(stream.readline(), path, 1).get(_FORMAT)
            refuse_newer(written, _VERSION, path)
            if written != _VERSION:
                raise InputError("this is not a journal", where=str(path), fix="give the journal of an earlier run")
            for number, line in enumerate(stream, start=2):
                if not line.endswith(b"\n"):
                    return
                entry = _parsed(line, path, number)
                if not isinstance(entry.get("device"), str):
                    raise _damaged(path, number)
                if entry.get("outcome") in ("applied", "unchanged"):
                    yield entry["device"], str(entry.get("manifest", ""))
                elif "intent" in entry:
                    yield entry["device"], ""  # unknown until there is an outcome
    except OSError as error:
        what = f"the journal cannot be read: {os_reason(error)}"
        raise InputError(what, where=str(path), fix="give the journal of an earlier run") from error


def _parsed(line: bytes, path: Path, number: int) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise _damaged(path, number)
    return entry


def _no_journal(path: Path) -> InputError:
    return InputError("this is not a journal", where=str(path), fix="use another file with --journal")


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        f"line {number} is not a journal entry",
        where=str(path),
        fix="use another file with --journal, or restore this one: it is the only record of what was sent",
    )


def _not_writable(path: Path, error: OSError) -> InputError:
    place = "choose another place with --journal, and run the same command again: nothing is lost"
    return InputError(
        f"could not write the journal: {os_reason(error)}",
        where=str(path),
        fix=f"free some space, or {place}" if error.errno == errno.ENOSPC else place,
    )
