"""Findings as JSON data: a stable interface for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifestgen.check import Checked, Finding, Summary
from manifestgen.manifest.dump import encodable
from manifestgen.report.printable import printable


def findings_data(checked: Sequence[Checked], total: Summary) -> dict[str, Any]:
    """`{"files": [{"path", "kind", "findings": […]}], "summary": {"errors", "warnings", "infos"}}`."""
    return {
        "files": [
            {
                "path": encodable(one.path),
                "kind": one.kind.value,
                "findings": [_finding(finding) for finding in one.findings],
            }
            for one in checked
        ],
        "summary": {"errors": total.errors, "warnings": total.warnings, "infos": total.infos},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "effect": finding.effect.value,
        "pointer": encodable(finding.pointer),
        "line": finding.line,
        "column": finding.column,
        "message": printable(finding.message),
        "fix": printable(finding.fix),
    }
