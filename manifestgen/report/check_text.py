"""Findings for people: where, what, the line of the file with a caret under the place, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from manifestgen.check import Checked, Finding, Severity, Summary
from manifestgen.report.printable import printable

# Of a longer line a window around the place is shown.
_WIDTH: Final = 100
_BEFORE: Final = 40
_COLORS: Final = {Severity.ERROR: "\x1b[31;1m", Severity.WARNING: "\x1b[33m", Severity.INFO: "\x1b[36m"}
_PLAIN: Final = "\x1b[0m"


def findings_text(checked: Checked, *, color: bool = False) -> str:
    """All findings in a file, a blank line between them; empty if there are none."""
    return "\n\n".join("\n".join(_finding(checked, finding, color=color)) for finding in checked.findings)


def _finding(checked: Checked, finding: Finding, *, color: bool) -> Iterator[str]:
    level = finding.severity.value
    if color:
        level = f"{_COLORS[finding.severity]}{level}{_PLAIN}"
    place = f"{printable(checked.path)}:{finding.line}:{finding.column}"
    yield f"{place}: {level}: {printable(finding.message)} [{finding.rule}]"
    line = checked.lines.get(finding.line, "")
    if line.strip():
        yield from excerpt(line, finding)
    yield f"  fix: {printable(finding.fix)}"


def excerpt(line: str, finding: Finding) -> Iterator[str]:
    """The line, or the part of it around a finding, and a caret under its place."""
    start = finding.column - 1
    cut = max(0, start - _BEFORE) if len(line) > _WIDTH else len(line) - len(line.lstrip())
    shown = line[cut : cut + _WIDTH]
    # One character of the file must stay one on the screen, or the caret would miss.
    shown = "".join(char if char.isprintable() else " " if char == "\t" else "\ufffd" for char in shown)
    prefix = f"  {finding.line} | "
    length = max(1, min(finding.length, len(shown) - (start - cut)))
    yield f"{prefix}{shown.rstrip()}"
    yield f"{' ' * (len(prefix) - 2)}| {' ' * (start - cut)}{'^' * length}"


def summary_text(checked: Sequence[Checked], total: Summary, *, skipped: int = 0) -> str:
    """One line: how many findings in how many files.

    Args:
        checked: the files.
        total: their findings.
        skipped: files of folders that are JSON and no manifest.
    """
    files = _count(len(checked), "file")
    if total.errors or total.warnings or total.infos:
        counts = (
            f"{_count(total.errors, 'error')}, {_count(total.warnings, 'warning')} and {_count(total.infos, 'info')}"
        )
        text = f"{counts} in {files}"
    else:
        text = f"no findings in {files}"
    return f"{text}, {_count(skipped, 'other JSON file')} skipped" if skipped else text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def total_of(checked: Iterable[Checked]) -> Summary:
    """The findings of all files together."""
    from manifestgen.check import summarize

    return summarize(finding for one in checked for finding in one.findings)
