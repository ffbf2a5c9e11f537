"""The thread that sees signals and time limits, whatever the main thread is busy with.

A signal's handler in Python waits until the main thread is back in Python code, which a model may keep it from for
long; the file descriptor that the interpreter writes signals to does not wait. Code that holds the interpreter's lock
forever stops this thread, too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from .errors import EXIT_RUN_TIMEOUT, EXIT_STOPPED
from .log import logger

GRACE = 8.0
"""Seconds from a signal to the end at the latest: Docker kills after ten."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Watchdog:
    """Watches from `start` on.

    Attributes:
        stop_at: when the process ends at the latest, once a signal has come; monotonic.
    """

    def __init__(self) -> None:
        self.stop_at: float | None = None
        self._on_stop: Callable[[], None] = lambda: leave(EXIT_STOPPED)
        self._on_overrun: Callable[[str], None] = lambda reason: None
        self._limit: Callable[[], float] = lambda: 0.0
        self._busy_since: float | None = None
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._closed = False

    def start(self) -> None:
        """Begin with signals. Until `watch`, one ends the process at once. Call this in the main thread."""
        self.install()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def install(self) -> None:
        """Take the signals, again if a library of score.py took them. Call this in the main thread."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)

    def watch(self, on_stop: Callable[[], None], on_overrun: Callable[[str], None], limit: Callable[[], float]) -> None:
        """Call `on_stop` at a signal, and `on_overrun` with the reason before ending a process that scores too long."""
        self._on_stop, self._on_overrun, self._limit = on_stop, on_overrun, limit

    def close(self) -> None:
        """Watch no longer: the process is about to end by itself. Call this in the main thread."""
        self._closed = True
        signal.set_wakeup_fd(-1)
        self._writer.close()

    def begin(self, now: float) -> None:
        """The scorer is called; `now` is monotonic."""
        self._busy_since = now

    def end(self) -> None:
        """The scorer has returned."""
        self._busy_since = None

    def _run(self) -> None:
        with self._reader:
            self._watch()

    def _watch(self) -> None:
        while not self._closed:
            ready, _, _ = select.select([self._reader], [], [], 0.5)
            if ready and any(number in _SIGNALS for number in self._reader.recv(64)) and self.stop_at is None:
                self.stop_at = time.monotonic() + GRACE
                logger.info("stopping")
                self._on_stop()
            now = time.monotonic()
            if self.stop_at is not None and now >= self.stop_at and not self._closed:
                logger.warning("run() has not returned in time: its message is left unacknowledged and comes again")
                leave(EXIT_STOPPED)
            busy_since, limit = self._busy_since, self._limit()
            if limit and busy_since is not None and now - busy_since > limit:
                reason = f"run() did not return within {limit:g} s"
                logger.critical("%s; exiting", reason)
                self._on_overrun(reason)
                leave(EXIT_RUN_TIMEOUT)


def leave(code: int) -> None:
    """End the process without waiting for any thread."""
    sys.stdout.flush()
    os._exit(code)
