"""How a rollout is shown while it goes on: one live line a module on a terminal, what changed in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from manifestgen.cli._console import Console

if TYPE_CHECKING:
    from manifestgen.rollout import Rollout


class Watching:
    """Shows what every read of a device says, on stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = sys.stderr is not None and sys.stderr.isatty() and console.verbosity == 0
        self._last: Rollout | None = None
        self._drawn = 0

    def show(self, rollout: Rollout) -> None:
        """One read of the device."""
        from manifestgen.report.rollout import changed_lines, module_lines

        if self._live:
            self._redraw([*module_lines(rollout), *([f"  {rollout.reason}"] if rollout.reason else [])])
        else:
            for line in changed_lines(self._last, rollout):
                self._console.progress(line)
        self._last = rollout

    def _redraw(self, lines: list[str]) -> None:
        """Put the lines in the place of those drawn before."""
        import shutil

        width = shutil.get_terminal_size().columns
        # A line that wraps would take two rows, and the next drawing would begin in the wrong one.
        text = "\n".join(line if len(line) < width else f"{line[: width - 2]}…" for line in lines)
        back = f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""
        self._console.progress(f"{back}{text}")
        self._drawn = 0 if self._console.quiet else len(lines)
