"""A module's log, as returned by `GetModuleLogs`: the newest lines.

Source: edge-agent `LogMessageParser.cs` and `LogsProcessor.cs` in Azure/iotedge. A line may begin with `<LEVEL>` and a
time; without a level it counts as 6 (information).
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

#: Lines and bytes that are kept of each module, and the longest line in bytes.
MOST_LINES: Final = 10_000
MOST_BYTES: Final = 4 << 20
LONGEST_LINE: Final = 16 << 10

_DEFAULT_LEVEL: Final = 6
_PREFIX: Final = re.compile(
    r"(?:<(?P<level>[0-7])>)?\s*"
    r"(?:(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d\d:\d\d)\s)?\s*(?P<text>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class LogLine:
    """One line of a module's log.

    Attributes:
        time: when it was printed, in seconds since 1970.
        stream: `stdout`, `stderr`, or `agent` for what is said about the process.
        text: without the line break, with the prefix.
    """

    time: float
    stream: str
    text: str

    @property
    def level(self) -> int:
        """Syslog's severity, 0 to 7, from the line's prefix."""
        found = _PREFIX.match(self.text)
        return int(found["level"]) if found and found["level"] else _DEFAULT_LEVEL

    @property
    def stamp(self) -> str | None:
        """The time in the line's prefix, as it is written there; None if there is none."""
        found = _PREFIX.match(self.text)
        return found["time"] if found else None

    @property
    def message(self) -> str:
        """The text without its prefix."""
        found = _PREFIX.match(self.text)
        return found["text"] if found else self.text

    @property
    def timestamp(self) -> str:
        """When it was printed, as edgeAgent writes it."""
        return datetime.fromtimestamp(self.time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ModuleLog:
    """The newest lines of a module; any thread may read them."""

    def __init__(self, most_lines: int = MOST_LINES, most_bytes: int = MOST_BYTES) -> None:
        self._lines: deque[LogLine] = deque()
        self._most_lines, self._most_bytes = most_lines, most_bytes
        self._bytes = 0
        self._open: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def feed(self, stream: str, data: bytes, time: float) -> Sequence[LogLine]:
        """Take what a module wrote; returns the lines that this completes. No data ends the stream's last line."""
        *whole, rest = (self._open.pop(stream, b"") + data).split(b"\n")
        if not data and rest:
            whole, rest = [*whole, rest], b""
        while len(rest) > LONGEST_LINE:
            whole, rest = [*whole, rest[:LONGEST_LINE]], rest[LONGEST_LINE:]
        if rest:
            self._open[stream] = rest
        lines = [LogLine(time, stream, _text(line)) for line in whole]
        for line in lines:
            self._add(line)
        return lines

    def say(self, text: str, time: float, level: int = 4) -> LogLine:
        """Add a line about the process."""
        line = LogLine(time, "agent", f"<{level}> {text}")
        self._add(line)
        return line

    def _add(self, line: LogLine) -> None:
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line.text)
            while len(self._lines) > self._most_lines or (self._bytes > self._most_bytes and len(self._lines) > 1):
                self._bytes -= len(self._lines.popleft().text)

    def lines(
        self, *, tail: int | None = None, since: float | None = None, until: float | None = None
    ) -> Sequence[LogLine]:
        """The kept lines in order: those from `since` to `until`, of these the last `tail`."""
        with self._lock:
            found = list(self._lines)
        found = [
            line for line in found if (since is None or line.time >= since) and (until is None or line.time <= until)
        ]
        return found if tail is None else found[max(0, len(found) - tail) :]


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE].decode(errors="replace").rstrip("\r")
