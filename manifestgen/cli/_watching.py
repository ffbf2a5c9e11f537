"""Shows progress on stderr: redrawn on a terminal, only changes in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from manifestgen.cli._console import Console

if TYPE_CHECKING:
    from manifestgen.deployments.counts import Progress as DeploymentProgress
    from manifestgen.device.rollout import Rollout
    from manifestgen.rows.run import Progress as RowsProgress

_BAR: Final = 30


class DeviceView:
    """The rollout on one device: one line per module."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Rollout | None = None

    def show(self, _: str, rollout: Rollout) -> None:
        """Show one read of the device."""
        from manifestgen.report.rollout import changed_lines, module_lines

        if self._console.live:
            self._console.redraw([*module_lines(rollout), *([f"  {rollout.reason}"] if rollout.reason else [])])
        else:
            for line in changed_lines(self._last, rollout):
                self._console.progress(line)
        self._last = rollout


class DeploymentView:
    """The rollout of an automatic deployment: the hub's counts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[str, DeploymentProgress] | None = None

    def show(self, title: str, progress: DeploymentProgress) -> None:
        """Show one read of the hub."""
        from manifestgen.report.deployment import bar, counts

        if self._console.live:
            self._console.redraw([bar(title, progress)])
        elif (title, progress) != self._last:
            self._console.progress(f"{title}: {counts(progress)}")
        self._last = (title, progress)


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
