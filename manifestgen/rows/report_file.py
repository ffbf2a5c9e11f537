"""The report file: the outcome of every row, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.rows.account import CLASSES, RowOutcome
from manifestgen.secret import redact

_COLUMNS: Final = ("line", "device", "outcome", "why", "fix", "manifest")


def refuse_bad_path(path: Path) -> None:
    """Raise InputError if a report cannot be written there; called before anything is sent.

    Raises:
        InputError: the name ends in neither `.json` nor `.csv`, or the folder does not exist.
    """
    if path.suffix.lower() not in (".json", ".csv"):
        raise InputError("a report is JSON or CSV", where=str(path), fix="give a file that ends in .json or .csv")
    if not path.parent.is_dir():
        raise InputError(
            "could not write the report: its folder does not exist", where=str(path), fix="correct --report"
        )


def write(outcomes: Iterable[RowOutcome], path: Path | None) -> None:
    """Write the outcome of each row; the file appears once it is complete.

    Args:
        outcomes: of all rows; each is taken, whether or not there is a file to write.
        path: ends in `.json` or `.csv`; None writes nothing.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        for _ in outcomes:
            pass
        return
    pieces = as_csv(outcomes) if path.suffix.lower() == ".csv" else as_json(outcomes)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(pieces)
        draft.replace(path)
    except OSError as error:
        what = f"could not write the report: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(path), fix="choose another place with --report") from error
    finally:
        draft.unlink(missing_ok=True)


def as_json(outcomes: Iterable[RowOutcome]) -> Iterator[str]:
    """A report of every row as a JSON document, in chunks; the counts come last, because they are known last."""
    counts = dict.fromkeys(CLASSES, 0)
    yield '{\n  "devices": ['
    separator = "\n"
    for outcome in outcomes:
        counts[outcome.outcome] += 1
        yield f"{separator}    {redact(json.dumps(entry(outcome), ensure_ascii=False))}"
        separator = ",\n"
    named = {name.replace(" ", "_"): count for name, count in counts.items()}
    yield f'\n  ],\n  "counts": {json.dumps(named)},\n  "rows": {sum(counts.values())}\n}}\n'


def as_csv(outcomes: Iterable[RowOutcome]) -> Iterator[str]:
    """A report of every row as CSV with a header, in chunks."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for outcome in outcomes:
        writer.writerow([redact(str(value)) for value in entry(outcome).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def entry(outcome: RowOutcome) -> dict[str, Any]:
    """The outcome of a row, as plain JSON data."""
    return {name: getattr(outcome, name) for name in _COLUMNS}
