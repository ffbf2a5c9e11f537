"""Tracks what this process is waiting for, so that a command can report it.

    with waiting("the IoT hub"):
        send()

`announce` starts reporting long waits; `interrupted` says what Ctrl-C interrupted. Any thread may wait.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final

from manifestgen.errors import InputError

#: Multiplies every timeout of a client, and the times below: more than 1 on a slow network.
FACTOR: Final = "MANIFESTGEN_TIMEOUT_FACTOR"

# Seconds after which a wait is reported; afterwards every two minutes.
_MOMENTS: Final = (10.0, 30.0, 60.0, 120.0)
_EVERY: Final = 120.0
_LOOK: Final = 0.25


def factor_of(environ: Mapping[str, str]) -> float:
    """The factor in `MANIFESTGEN_TIMEOUT_FACTOR`, 1 without one. Raises InputError if it is not a positive number."""
    text = environ.get(FACTOR) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < math.inf:
        raise InputError(f"{text!r} is not a positive number", where=FACTOR, fix="set it to a number such as 2")
    return factor


class waiting:
    """Marks the block as waiting for something.

    Args:
        subject: what is waited for, such as `the IoT hub`.
        changes: whether a change was requested, which may still happen after an interruption.
    """

    def __init__(self, subject: str, *, changes: bool = False) -> None:
        self.subject = subject
        self.changes = changes
        self.since = 0.0

    def __enter__(self) -> waiting:
        self.since = time.monotonic()
        _active[id(self)] = self
        if _say is not None and _announcer is None:
            _start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _cut_short
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            _cut_short = self
        _active.pop(id(self), None)


_active: dict[int, waiting] = {}
_cut_short: waiting | None = None
_say: Callable[[str], None] | None = None
_factor = 1.0
_announcer: threading.Thread | None = None
_lock = threading.Lock()


def announce(say: Callable[[str], None] | None) -> None:
    """Report waits of 10 seconds and more from a separate thread, as `waiting for X, 10 s`.

    Args:
        say: called with each report; None stops reporting.

    Raises:
        InputError: see `factor_of`.
    """
    global _say, _factor, _cut_short
    _say, _factor, _cut_short = say, factor_of(os.environ), None


def interrupted() -> str:
    """The message of a command that Ctrl-C ended: what it waited for, and which change may still happen."""
    waits = sorted(_active.copy().values(), key=lambda wait: (not wait.changes, wait.since))
    cut = _cut_short or next(iter(waits), None)
    if cut is None:
        return "interrupted"
    words = f"interrupted while waiting for {cut.subject}"
    return f"{words}; the change that was sent to it may or may not be made" if cut.changes else words


def _start() -> None:
    global _announcer
    with _lock:
        if _announcer is None:
            _announcer = threading.Thread(target=_report, name="waits", daemon=True)
            _announcer.start()


def _report() -> None:
    """Report long waits until there are none; of several for the same subject, the longest."""
    global _announcer
    told: dict[str, float] = {}
    while True:
        time.sleep(_LOOK * min(1.0, _factor))
        longest: dict[str, float] = {}
        for wait in _active.copy().values():
            longest[wait.subject] = min(wait.since, longest.get(wait.subject, wait.since))
        for subject in told.keys() - longest.keys():
            del told[subject]
        for subject, since in longest.items():
            seconds = time.monotonic() - since
            moment = _moment(seconds / _factor) * _factor
            if moment > told.get(subject, 0.0):
                told[subject] = moment
                if (say := _say) is not None:
                    say(f"waiting for {subject}, {seconds:.0f} s")
        if not longest:
            with _lock:
                if not _active:
                    _announcer = None
                    return


def _moment(seconds: float) -> float:
    """The last reporting time that has passed; 0 before the first."""
    if seconds >= _MOMENTS[-1]:
        return seconds // _EVERY * _EVERY
    return max((moment for moment in _MOMENTS if moment <= seconds), default=0.0)
