"""What became of a run over many devices, as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from manifestgen.rows.account import CLASSES, Account, Outcome
from manifestgen.secret import redact

_COLUMNS: Final = ("line", "device", "outcome", "why", "fix", "manifest")


def text(account: Account, bad: Iterable[Outcome], more: int) -> str:
    """The counts, and the rows that were refused or failed.

    Args:
        account: of all rows.
        bad: the first of those rows.
        more: how many of them are left out.
    """
    lines = [f"{outcome.device or f'(line {outcome.line})'}: {outcome.outcome}: {outcome.why}" for outcome in bad]
    if more:
        lines.append(f"… and {more:,} more")
    counts = ", ".join(f"{count:,} {name}" for name, count in account.counts().items())
    lines.append(f"{account.rows:,} {'row' if account.rows == 1 else 'rows'}: {counts}")
    return "\n".join(lines)


def data(account: Account, bad: Iterable[Outcome], more: int) -> dict[str, Any]:
    """The same as a JSON document."""
    return {
        "rows": account.rows,
        "counts": {name.replace(" ", "_"): count for name, count in account.counts().items()},
        "devices": [_entry(outcome) for outcome in bad],
        "more": more,
    }


def as_json(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A report of every row as a JSON document, piece by piece; the counts come last, as they are known last."""
    counts = dict.fromkeys(CLASSES, 0)
    yield '{\n  "devices": ['
    separator = "\n"
    for outcome in outcomes:
        counts[outcome.outcome] += 1
        yield f"{separator}    {redact(json.dumps(_entry(outcome), ensure_ascii=False))}"
        separator = ",\n"
    named = {name.replace(" ", "_"): count for name, count in counts.items()}
    yield f'\n  ],\n  "counts": {json.dumps(named)},\n  "rows": {sum(counts.values())}\n}}\n'


def as_csv(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A report of every row as CSV with a header, piece by piece."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for outcome in outcomes:
        writer.writerow([redact(str(value)) for value in _entry(outcome).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _entry(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in _COLUMNS}
