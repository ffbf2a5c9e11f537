"""One rate limit for all requests of a run, from any number of threads.

`turn` spaces requests evenly. When the hub throttles one request, all wait: requests from other threads would only be
throttled too. When the hub fails without a Retry-After, pauses grow, with jitter, until it answers again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from manifestgen.errors import BusyError, CloudError

# After a stall of a disk or of the machine, catch up at most this many seconds: the hub counts per second.
_CREDIT: Final = 0.5
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
# A single failed request is its own problem; this many in a row, from any thread, are the hub's.
_OUTAGE: Final = 5


class Stopped(Exception):
    """The run is over; no further request may be sent."""


class Pace:
    """Decides when the next request may be sent.

    Args:
        rate: requests a second, reads and writes together.
        give_up_after: seconds without any answer but "not now" after which the run ends.
        clock: monotonic, in seconds.
        wait: waits some seconds, or until an event is set; returns whether it is.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self,
        rate: float,
        *,
        give_up_after: float = 1800.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._gap = 1.0 / rate
        self._credit = _CREDIT
        self._give_up_after = give_up_after
        self._clock = clock
        self._wait = wait
        self._jitter = jitter
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next = clock()
        self._paused_until = 0.0
        self._pause = _FIRST_PAUSE
        self._failing_since: float | None = None
        self._answers = 0
        self._failures = 0
        self._reason: Exception | None = None

    @property
    def answers(self) -> int:
        """How many requests the hub answered without asking to retry later."""
        return self._answers

    @property
    def stopped(self) -> bool:
        """Whether the run must end."""
        return self._stop.is_set()

    @property
    def reason(self) -> Exception | None:
        """Why the run ended early; None if it did not, or if `stop` was called without a reason."""
        return self._reason

    @property
    def waiting(self) -> float:
        """Seconds until the next request, while the hub throttles or does not respond."""
        return max(0.0, self._paused_until - self._clock())

    def stop(self, reason: Exception | None = None) -> None:
        """End the run: threads that wait for a turn, or request one, get `Stopped`."""
        with self._lock:
            self._reason = self._reason or reason
        self._stop.set()

    def turn(self) -> None:
        """Wait until the next request may be sent.

        Raises:
            Stopped: the run is over.
        """
        while True:
            with self._lock:
                now = self._clock()
                at = max(self._next, now - self._credit, self._paused_until)
                self._next = at + self._gap
            if self._stop.is_set() or (at > now and self._wait(self._stop, at - now)):
                raise Stopped
            # A pause that was requested in the meantime applies to this request, too.
            if self._clock() >= self._paused_until:
                return

    def answered(self) -> None:
        """Note that the hub responded to a request, even if it rejected it."""
        with self._lock:
            self._answers += 1
            self._failing_since = None
            self._failures = 0
            self._pause = _FIRST_PAUSE

    def busy(self, error: BusyError) -> None:
        """Note that the hub throttles or does not respond: all threads wait.

        Ends the run if this lasts too long.
        """
        with self._lock:
            now = self._clock()
            self._failures += 1
            if self._failing_since is None:
                self._failing_since = now
            failing = now - self._failing_since
            # Give up now if the requested wait would exceed the limit.
            if failing + (error.retry_after or 0.0) >= self._give_up_after and self._reason is None:
                self._reason = _given_up(error, failing)
                self._stop.set()
            if error.retry_after is not None:
                pause = error.retry_after
            elif now < self._paused_until or (not error.throttled and self._failures < _OUTAGE):
                return  # another thread reported it already, or it concerns one request only
            else:
                pause = self._pause * (0.5 + self._jitter() / 2)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, now + pause)
            self._next = max(self._next, self._paused_until)


def _given_up(error: BusyError, seconds: float) -> CloudError:
    waited = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    asked = f", and it asks to wait another {error.retry_after:.0f} s" if error.retry_after else ""
    return CloudError(
        f"the hub accepted nothing for {waited}: {error.what}{asked}",
        where=error.where.rpartition(" in ")[2],
        fix="run the same command again later to resume, or wait longer with --give-up-after",
    )
