"""Findings as SARIF 2.1.0, which GitHub code scanning and editors read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from manifestgen import __version__
from manifestgen.check import Checked, Finding, Severity
from manifestgen.report.printable import printable
from manifestgen.rules import RULES, Rule

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_INDEX: Final = {rule.id: index for index, rule in enumerate(RULES)}


def sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    """One run with all rules and all findings, as JSON data."""
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "manifestgen",
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": _uri(one.path)}} for one in checked],
                "results": [_result(one, finding) for one in checked for finding in one.findings],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why}\n\n{rule.fix}", "markdown": f"{rule.why}\n\n**Fix:** {rule.fix}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.effect.value], "effect": rule.effect.value},
    }


def _result(checked: Checked, finding: Finding) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{printable(finding.message)}; {printable(finding.fix)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(checked.path)},
                    "region": {
                        "startLine": finding.line,
                        "startColumn": finding.column,
                        "endColumn": finding.column + finding.length,
                    },
                },
                "logicalLocations": [{"fullyQualifiedName": printable(finding.pointer), "kind": "value"}],
            }
        ],
        # Line numbers move; what the finding is about does not.
        "partialFingerprints": {"manifestgen/v1": _fingerprint(finding)},
        "properties": {"effect": finding.effect.value},
    }


def _fingerprint(finding: Finding) -> str:
    text = f"{finding.rule}\n{finding.pointer}\n{finding.message}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _uri(path: str) -> str:
    # GitHub matches paths below the repository's root; SARIF wants slashes and percent signs.
    return quote(printable(PurePath(path).as_posix()), safe="/-._~:")
