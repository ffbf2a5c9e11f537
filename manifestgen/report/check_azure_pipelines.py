"""Findings as logging commands of Azure Pipelines, which show them in the summary of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from manifestgen.check import Checked, Severity
from manifestgen.report.printable import printable

# There are two kinds of issue; what is neither is a line of the log.
_TYPES: Final = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def logging_commands(checked: Sequence[Checked]) -> str:
    """One `##vso[task.logissue …]message` a line, a plain line for an info; empty if there are no findings."""
    lines = []
    for one in checked:
        for finding in one.findings:
            text = f"{printable(finding.message)}; {printable(finding.fix)}"
            kind = _TYPES.get(finding.severity)
            if kind is None:
                place = f"{printable(one.path)}:{finding.line}:{finding.column}"
                # A line that begins with ## could be a command.
                lines.append(f"{finding.severity.value}: {place}: {_data(text)} [{finding.rule}]")
                continue
            properties = (
                f"type={kind};sourcepath={_property(one.path)};linenumber={finding.line};"
                f"columnnumber={finding.column};code={_property(finding.rule)};"
            )
            lines.append(f"##vso[task.logissue {properties}]{_data(text)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(";", "%3B").replace("]", "%5D")
