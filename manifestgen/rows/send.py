"""Sends a manifest to each of many devices: rows are rendered, checked, sent and recorded, as a stream.

    send_all(rows, renderer.render_all, hub.bulk(), journal, Pace(40.0))

One thread reads and renders; others send. A short queue connects them, so that memory does not grow with the
number of rows. Every row ends in exactly one class, and what is not in the journal was not done.
"""

from __future__ import annotations

import math
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from manifestgen.cloud import BulkHub
from manifestgen.compare.diff import diff
from manifestgen.errors import BusyError, CloudError, DeniedError, UnconfirmedError
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import DESIRED
from manifestgen.rows.journal import Journal, State
from manifestgen.rows.pace import Pace, Stopped
from manifestgen.rows.render import Ready, Refused
from manifestgen.rows.rows import Row
from manifestgen.secret import redact

# A row that fails this often while others succeed is itself at fault.
_STRIKES: Final = 8
_TICK: Final = 0.2
# For requests under way after Ctrl-C.
_LAST_SECONDS: Final = 1.0
#: More connections are pointless: the hub's largest tier takes 250 updates a second.
MOST_THREADS: Final = 64


class Sent(msgspec.Struct, frozen=True):
    """A manifest that is being sent.

    Attributes:
        row: number of its row.
        doubtful: whether an earlier run may have sent it already.
    """

    row: int
    device: str
    ready: Ready
    doubtful: bool


class Earlier:
    """The manifests that an earlier run sent to devices, so that they are not sent again.

    Kept in a private database that lives on disk only as far as it must.
    """

    def __init__(self, sent: Iterable[tuple[str, str]] = ()) -> None:
        self._had = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._had.execute("CREATE TABLE had (device TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID")
        try:
            self._had.execute("BEGIN")
            self._had.executemany("INSERT OR REPLACE INTO had VALUES (?, ?)", sent)
            self._had.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def has(self, device: str, digest: str) -> bool:
        """Whether an earlier run sent this manifest to the device last."""
        found = self._had.execute("SELECT digest FROM had WHERE device = ?", (device,)).fetchone()
        return found is not None and found[0] == digest

    def close(self) -> None:
        """Release it."""
        self._had.close()


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
        threads: that send at the same time.
        earlier: what devices have had from an earlier run; None to send to all.
        tick: called now and then in the thread that reads the rows, for a progress bar.
    """

    threads: int = 16
    earlier: Earlier | None = None
    tick: Callable[[], None] = lambda: None


def threads_for(rate: float) -> int:
    """How many threads sustain a rate if the hub responds within 0.4 s."""
    return max(4, min(MOST_THREADS, round(rate * 0.4)))


#: Renders rows: each with its manifest, in their order. `Renderer.render_all`, or that of `Workers`.
RenderAll = Callable[[Iterable[Row]], Iterator[tuple[Row, Ready | Refused]]]


def send_all(
    rows: Iterable[Row],
    render_all: RenderAll,
    hub: BulkHub,
    journal: Journal,
    pace: Pace,
    options: Options | None = None,
) -> None:
    """Send each row's manifest to its device, except those that the journal has as done.

    Returns when every row is settled, or when `pace` was stopped. Rows that failed before are tried again.

    Raises:
        CloudError: the hub does not accept the caller, or gave no answer for too long; what was done is in the journal.
        InputError: the rows or the journal cannot be read or written any more; likewise.
        KeyboardInterrupt: after requests under way have had a second to end; a later run looks what came of them.
    """
    options = options or Options()
    work: queue.Queue[Sent | None] = queue.Queue(2 * options.threads)
    senders = [
        threading.Thread(target=_send_queued, args=(work, hub, journal, pace), name=f"sender-{number}", daemon=True)
        for number in range(options.threads)
    ]
    for sender in senders:
        sender.start()
    try:
        for sent in _to_send(rows, render_all, journal, options.earlier):
            if not _put(work, sent, pace, options.tick):
                break
        for _ in senders:
            _put(work, None, pace, options.tick)
        _join(senders, options.tick)
    except BaseException as error:
        pace.stop()
        _join(senders, options.tick, _LAST_SECONDS if isinstance(error, KeyboardInterrupt) else math.inf)
        raise
    journal.flush()
    if pace.reason is not None:
        raise pace.reason


def _to_send(rows: Iterable[Row], render_all: RenderAll, journal: Journal, earlier: Earlier | None) -> Iterator[Sent]:
    """The manifests to send; the outcomes of the other rows go to the journal."""
    for row, result in render_all(row for row in rows if not journal.state(row.number).settled):
        state = journal.state(row.number)
        if isinstance(result, Refused):
            journal.settle(row.number, row.device, "refused", why=redact(result.why), fix=redact(result.fix))
        elif state is State.UNTOUCHED and earlier is not None and earlier.has(row.device, result.digest):
            journal.settle(row.number, row.device, "unchanged", manifest=result.digest)
        else:
            yield Sent(row.number, row.device, result, doubtful=state is State.INTENDED)


def _put(work: queue.Queue[Sent | None], sent: Sent | None, pace: Pace, tick: Callable[[], None]) -> bool:
    """Pass a manifest to the senders; False if the run is over."""
    while not pace.stopped:
        tick()
        try:
            work.put(sent, timeout=_TICK)
        except queue.Full:
            continue
        return True
    return False


def _join(senders: Iterable[threading.Thread], tick: Callable[[], None], seconds: float = math.inf) -> None:
    deadline = time.monotonic() + seconds
    for sender in senders:
        while sender.is_alive() and time.monotonic() < deadline:
            tick()
            sender.join(_TICK)


def _send_queued(work: queue.Queue[Sent | None], hub: BulkHub, journal: Journal, pace: Pace) -> None:
    """Send manifests until there are no more, or the run is over."""
    while not pace.stopped:
        try:
            sent = work.get(timeout=_TICK)
        except queue.Empty:
            continue
        if sent is None:
            return
        try:
            _Delivery(sent, hub, journal, pace).carry_out()
        except Stopped:
            return
        except Exception as error:  # whatever it is, `run` raises it in the caller's thread
            pace.stop(error)
            return


@dataclass
class _Delivery:
    """The delivery of one manifest to its device.

    Attributes:
        intended: whether an intent is in the journal.
        doubtful: whether the hub may have taken it already.
        strikes: how often it went wrong while others went well.
        answers: how many responses the hub had given to any request at the last failure.
    """

    sent: Sent
    hub: BulkHub
    journal: Journal
    pace: Pace
    intended: bool = False
    doubtful: bool = False
    strikes: int = 0
    answers: int = -1
    trouble: CloudError | None = field(default=None)

    def carry_out(self) -> None:
        """Send it, with retries, until it is settled.

        Raises:
            Stopped: the run is over; the journal says what is known of this row.
            DeniedError: the hub does not accept the caller.
        """
        self.intended = self.doubtful = self.sent.doubtful
        try:
            while not self._settled():
                pass
        except Stopped:
            if self.intended and not self.doubtful:
                self._settle("withdrawn")
            raise

    def _settled(self) -> bool:
        """Make one attempt; returns whether it settled the row."""
        try:
            if self.doubtful:
                if self._is_applied():
                    self._settle("applied", manifest=self.sent.ready.digest)
                    return True
                self.doubtful = False
            self._send()
        except BusyError as error:
            self.pace.busy(error)
            return not error.throttled and self._too_many_failures(error)
        except UnconfirmedError as error:
            # A lost answer, or a failure of the service that does not say how far it came.
            self.doubtful = True
            self.pace.busy(BusyError(error.what, where=error.where, fix=error.fix))
            return self._too_many_failures(error)
        except DeniedError:
            if self.intended and not self.doubtful:
                self._settle("withdrawn")
            raise
        except CloudError as error:
            self.pace.answered()
            self._settle("failed", why=redact(error.what), fix=redact(error.fix))
            return True
        self._settle("applied", manifest=self.sent.ready.digest)
        return True

    def _send(self) -> None:
        if not self.intended:
            self.journal.intend(self.sent.row, self.sent.device, self.sent.ready.digest)
            self.intended = True
        # The turn last: a slow disk would bunch what the pace has spaced.
        self.pace.turn()
        self.hub.set_modules(self.sent.device, self.sent.ready.body)
        self.pace.answered()

    def _is_applied(self) -> bool:
        """Whether the device's twins match the manifest; read with as few requests as possible."""
        wanted: Mapping[str, Any] = msgspec.json.decode(self.sent.ready.body)["modulesContent"]
        for name, entry in sorted(wanted.items()):
            if DESIRED not in entry:
                continue
            self.pace.turn()
            found = self.hub.desired(self.sent.device, name)
            self.pace.answered()
            if found is None or diff(Manifest.of_twins({name: found}), Manifest.of_twins({name: entry[DESIRED]})):
                return False
        return True

    def _too_many_failures(self, error: CloudError) -> bool:
        """Count a failure if the hub responded to others since the last one; returns whether there were too many."""
        if self.pace.answers > self.answers:
            self.strikes += 1
            self.answers = self.pace.answers
        if self.strikes < _STRIKES:
            return False
        self._settle("failed", why=redact(f"{error.what} ({self.strikes} times)"), fix=redact(error.fix))
        return True

    def _settle(self, outcome: str, **more: str) -> None:
        self.journal.settle(self.sent.row, self.sent.device, outcome, **more)
