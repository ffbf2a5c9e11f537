"""Findings as GitHub's workflow commands, which show them beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from manifestgen.check import Checked, Severity
from manifestgen.report.printable import printable

_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def workflow_commands(checked: Sequence[Checked]) -> str:
    """One `::error file=…,line=…::message` a line; empty if there are no findings."""
    lines = []
    for one in checked:
        for finding in one.findings:
            properties = (
                f"file={_property(one.path)},line={finding.line},col={finding.column},"
                f"endColumn={finding.column + finding.length},title={_property(finding.rule)}"
            )
            text = _data(f"{printable(finding.message)}; {printable(finding.fix)}")
            lines.append(f"::{_COMMANDS[finding.severity]} {properties}::{text}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
