"""Log lines as text and as JSON."""

from __future__ import annotations

from typing import Any

from manifestgen.operate.log_lines import Line
from manifestgen.report.printable import printable


def text(line: Line) -> str:
    """One line, with its time by the device's clock in UTC; control characters are escaped, but tabs."""
    at = "" if line.time is None else f"{line.time:%Y-%m-%d %H:%M:%S}.{line.time.microsecond // 1000:03} "
    return at + "\t".join(map(printable, line.text.split("\t")))


def data(line: Line) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "module": line.module,
        "time": line.time.isoformat().replace("+00:00", "Z") if line.time is not None else None,
        "level": line.level,
        "stream": line.stream,
        "text": line.text,
    }
