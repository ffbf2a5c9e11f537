"""How a rollout is shown while it goes on: one live line a module on a terminal, what changed in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifestgen.cli._console import Console

if TYPE_CHECKING:
    from manifestgen.device.rollout import Rollout


class Watching:
    """Shows what every read of a device says, on stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Rollout | None = None

    def show(self, rollout: Rollout) -> None:
        """One read of the device."""
        from manifestgen.report.rollout import changed_lines, module_lines

        if self._console.live:
            self._console.redraw([*module_lines(rollout), *([f"  {rollout.reason}"] if rollout.reason else [])])
        else:
            for line in changed_lines(self._last, rollout):
                self._console.progress(line)
        self._last = rollout
