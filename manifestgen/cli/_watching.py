"""Shows progress on stderr: redrawn on a terminal, only changes in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from manifestgen.cli._console import Console
from manifestgen.report.amount import clock

if TYPE_CHECKING:
    from manifestgen.deployments.counts import Progress as DeploymentProgress
    from manifestgen.device.rollout import Rollout
    from manifestgen.rows.run import Progress as RowsProgress
    from manifestgen.target import Patience, Wait

# Seconds between two moves of the clock.
_TICK: Final = 1.0
_BAR: Final = 30


class _View:
    """Live lines on a terminal with a clock that keeps running between two reads."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._wait: Wait | None = None
        self._lines: list[str] = []
        self._warned: float | None = None

    def waiting(self, wait: Wait) -> None:
        """Note how long it will be waited for; what is shown next says so."""
        self._wait = wait

    def patient(self, patience: Patience) -> Patience:
        """The same patience, which moves the clock while it sleeps."""
        return replace(patience, sleep=self._sleep) if self._console.live else patience

    def _sleep(self, seconds: float) -> None:
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            time.sleep(min(left, _TICK))
            if self._lines and left > _TICK:
                self._draw(self._lines)

    def _warn(self, before: str) -> None:
        """Where nothing is redrawn, say once that it will give up early."""
        wait = self._wait
        if wait is not None and wait.aborts not in (None, self._warned):
            self._console.progress(f"{before}{clock_words(wait, self._clock())}")
        self._warned = wait.aborts if wait is not None else None

    def _draw(self, lines: list[str]) -> None:
        self._lines = lines
        if self._console.live:
            clock = f"  {clock_words(self._wait, self._clock())}" if self._wait is not None else ""
            self._console.redraw(lines, clock)


class DeviceView(_View):
    """The rollout on one device: one line per module."""

    _last: Rollout | None = None

    def show(self, _: str, rollout: Rollout) -> None:
        """Show one read of the device."""
        from manifestgen.report.rollout import changed_lines, module_lines

        self._draw([*module_lines(rollout), *([f"  {rollout.reason}"] if rollout.reason else [])])
        if not self._console.live:
            for line in changed_lines(self._last, rollout):
                self._console.progress(line)
            self._warn("  ")
        self._last = rollout


class DeploymentView(_View):
    """The rollout of an automatic deployment: the hub's counts."""

    _last: tuple[str, DeploymentProgress] | None = None

    def show(self, title: str, progress: DeploymentProgress) -> None:
        """Show one read of the hub."""
        from manifestgen.report.deployment import bar, counts

        self._draw([bar(title, progress)])
        if not self._console.live:
            if (title, progress) != self._last:
                self._console.progress(f"{title}: {counts(progress)}")
            self._warn(f"{title}: ")
        self._last = (title, progress)


def clock_words(wait: Wait, now: float) -> str:
    """`1:40, gives up in 8:20`, or `1:40, aborts in 0:45 unless they recover: ` and what fails."""
    passed = clock(now - wait.begun)
    if wait.aborts is None:
        return f"{passed}, {wait.then} in {clock(wait.ends - now)}"
    left = clock(min(wait.aborts, wait.ends) - now)
    unless = f"they recover: {wait.why}" if wait.why else "it recovers"
    return f"{passed}, {wait.then} in {left} unless {unless}"


class RowsView:
    """A run over rows, on a terminal only: rows done, rate and time left."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def show(self, _: str, progress: RowsProgress) -> None:
        """Show the progress."""
        if not self._console.live:
            return
        settled, count = progress.settled, progress.count
        if self._first is None:
            # A rate takes two looks.
            self._first = self._clock(), settled
            return
        begun, before = self._first
        rate = (settled - before) / max(0.001, self._clock() - begun)
        left = f", {duration((count - settled) / rate)} left" if rate > 0 else ""
        waiting = f", waiting {progress.waiting:.0f} s for the hub" if progress.waiting >= 1 else ""
        full = round(_BAR * settled / count)
        bar = "█" * full + "░" * (_BAR - full)
        self._console.redraw([f"{bar} {settled:,} of {count:,}, {rate:.0f} per second{left}{waiting}"])


def duration(seconds: float) -> str:
    """`12 s`, `5 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
