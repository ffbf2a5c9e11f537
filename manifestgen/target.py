"""Shared by the three targets: a device, an automatic deployment, rows of many devices.

Each has its own room, `device`, `deployments` and `rows`, with the same verbs where they apply:

    propose(…)    the changes to the hub's current state; changes nothing
    carry_out(…)  confirm, take a snapshot, change, wait; returns an Outcome
    status(…)     what should run and what runs
    snapshots(…)  the states before each change; none for rows
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

_Proposal = TypeVar("_Proposal")
_Progress = TypeVar("_Progress")


@dataclass(frozen=True)
class Patience:
    """How long to wait for something, and how often to poll, in seconds.

    Attributes:
        timeout: for the whole wait.
        grace: how long a failure may be retried before it counts.
        settle: how long a module that has crashed must run before it counts as running.
        first, longest: pauses between two reads; the first grows to the longest, to stay within the service's limits.
        clock: monotonic, in seconds.
        sleep: sleeps for some seconds.
    """

    timeout: float = 600.0
    grace: float = 60.0
    first: float = 0.5
    longest: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    settle: float = 20.0

    def within(self, timeout: float | None) -> Patience:
        """A copy with another timeout, in seconds; None keeps it."""
        return self if timeout is None else replace(self, timeout=timeout)

    def pauses(self) -> Iterator[float]:
        """Endless pauses between two reads: each longer than the one before, up to the longest."""
        pause = self.first
        while True:
            yield pause
            pause = min(pause * 1.5, self.longest)


@dataclass(frozen=True)
class Wait:
    """The deadlines of a wait, in seconds of `Patience.clock`.

    Attributes:
        begun: when the wait began.
        ends: when it gives up, or does `then`.
        aborts: when it gives up earlier because of a failure, unless that recovers; None without a failure.
        why: the failure, in a clause; may be empty.
        then: what happens at the end.
    """

    begun: float
    ends: float
    aborts: float | None = None
    why: str = ""
    then: str = "gives up"


#: How long to retry a change whose response was lost and that was not made: as long as a read is retried.
SENDING: Final = Patience(timeout=120.0, first=0.5, longest=20.0)


def rounds(patience: Patience) -> Iterator[None]:
    """Rounds of sending and checking, with pauses in between, until the timeout; at least one."""
    deadline = patience.clock() + patience.timeout
    for pause in patience.pauses():
        yield
        if patience.clock() + pause > deadline:
            return
        patience.sleep(pause)


def _ignore(*_: Any) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Observer(Generic[_Proposal, _Progress]):
    """Confirms a proposal and follows its progress.

    Attributes:
        permit: called with a proposal that would change something; raises to stop.
        step: called with each change that was made, in a sentence.
        progress: called with the current wait and the state from each read.
        waiting: called before that with how long to wait.
        failed: called after a failure, before anything is restored, with the target's ID and its last state; returns
            detail lines for the error, such as the end of a log.
    """

    permit: Callable[[_Proposal], None] = _ignore
    step: Callable[[str], None] = _ignore
    progress: Callable[[str, _Progress], None] = _ignore
    waiting: Callable[[Wait], None] = _ignore
    failed: Callable[[str, _Progress], tuple[str, ...]] = lambda target, progress: ()


@dataclass(frozen=True)
class Outcome(Generic[_Progress]):
    """The outcome of a proposal.

    Attributes:
        applied: whether anything was sent; False if the target was already up to date.
        finished: whether nothing is left to do.
        progress: the state from the last read; None without waiting.
    """

    applied: bool
    finished: bool
    progress: _Progress | None = None
