"""The report file: the outcome of every row, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.files import refuse_input_as_output, writing
from manifestgen.rows.account import CLASSES, RowOutcome
from manifestgen.secret import redact

# OWASP, "CSV Injection": characters that begin a formula in Excel, LibreOffice or Google Sheets, also full-width.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_COLUMNS: Final = ("line", "device", "outcome", "why", "fix", "manifest")


def refuse_bad_path(
    path: Path, inputs: Iterable[Path | None] = (), *, kinds: Sequence[str] = (".json", ".csv")
) -> None:
    """Raise InputError if a report cannot be written there; called before anything is sent.

    Args:
        path: of the report.
        inputs: files that are read.
        kinds: the allowed suffixes.

    Raises:
        InputError: the suffix is not allowed, the folder does not exist, or it is one of the inputs.
    """
    refuse_input_as_output(path, inputs, "--report")
    if path.suffix.lower() not in kinds:
        *others, last = kinds
        said = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"the name of a report ends in {said}", where=str(path), fix="correct --report")
    if not path.parent.is_dir():
        raise InputError(
            "could not write the report: its folder does not exist", where=str(path), fix="correct --report"
        )


def write(outcomes: Iterable[RowOutcome], path: Path | None) -> None:
    """Write the outcome of each row; the file appears once it is complete.

    Args:
        outcomes: of all rows; the iterator is exhausted even without a file to write.
        path: ends in `.json` or `.csv`; None writes nothing.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        for _ in outcomes:
            pass
        return
    pieces = as_csv(outcomes) if path.suffix.lower() == ".csv" else as_json(outcomes)
    try:
        with writing(path) as stream:
            stream.writelines(piece.encode("utf-8", "backslashreplace") for piece in pieces)
    except InputError as error:
        if error.where != str(path):
            raise  # of the outcomes
        what = f"could not write the report: {error.what.removeprefix('could not write the output: ')}"
        raise InputError(what, where=str(path), fix="choose another place with --report") from error


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
    """A report of every row as CSV with a header, in chunks.

    A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for outcome in outcomes:
        writer.writerow([_no_formula(redact(str(value))) for value in entry(outcome).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def entry(outcome: RowOutcome) -> dict[str, Any]:
    """The outcome of a row, as plain JSON data."""
    return {name: getattr(outcome, name) for name in _COLUMNS}
