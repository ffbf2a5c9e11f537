"""The outcome of a run over many devices, as text and as JSON data."""

from __future__ import annotations

from typing import Any

from manifestgen.rows.report_file import entry
from manifestgen.rows.run import Summary


def text(summary: Summary) -> str:
    """The first refused or failed rows, and the counts of all rows."""
    account = summary.account
    lines = [f"{one.device or f'(line {one.line})'}: {one.outcome}: {one.why}" for one in summary.bad]
    if summary.more:
        lines.append(f"… and {summary.more:,} more")
    counts = ", ".join(f"{count:,} {name}" for name, count in account.counts().items())
    lines.append(f"{account.rows:,} {'row' if account.rows == 1 else 'rows'}: {counts}")
    return "\n".join(lines)


def data(summary: Summary) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "rows": summary.account.rows,
        "counts": {name.replace(" ", "_"): count for name, count in summary.account.counts().items()},
        "devices": [entry(one) for one in summary.bad],
        "more": summary.more,
    }
