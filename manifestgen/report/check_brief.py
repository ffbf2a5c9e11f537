"""Findings for people who know already that a template has placeholders."""

from __future__ import annotations

from msgspec.structs import replace

from manifestgen.check import Checked, Finding
from manifestgen.rules import BY_ID


def brief(checked: Checked) -> Checked:
    """The findings in a file with the placeholders that want the same fix as one, at the first of them."""
    first: dict[str, int] = {}
    counts: dict[str, int] = {}
    kept: list[Finding] = []
    for finding in checked.findings:
        if BY_ID[finding.rule].about_placeholders:
            if finding.fix in first:
                counts[finding.fix] += 1
                continue
            first[finding.fix], counts[finding.fix] = len(kept), 0
        kept.append(finding)
    for fix, index in first.items():
        if counts[fix]:
            others = f"{counts[fix]} more placeholder{'' if counts[fix] == 1 else 's'}"
            kept[index] = replace(kept[index], message=f"{kept[index].message}, and {others}")
    return replace(checked, findings=tuple(kept))
