"""Warnings on manifests that work: each is listed with the reason why someone would act on it."""

from __future__ import annotations

import json
from pathlib import Path

from manifestgen.check import Severity, check, read

HERE = Path(__file__).parent
RULES = HERE.parent / "rules"
REALISTIC = json.loads((HERE / "realistic.json").read_text("utf-8"))
LEFT = json.loads((HERE / "warnings.json").read_text("utf-8"))


def _good() -> list[Path]:
    """The manifests that work, and the good sample of every rule."""
    works = [HERE / "realistic" / name for name, expected in REALISTIC.items() if expected["verdict"] == "works"]
    return [*works, *RULES.glob("*/pass/*.json")]


def test_good_manifests_have_no_warnings_but_those_with_a_reason() -> None:
    found: dict[str, set[str]] = {}
    for path in _good():
        for finding in check(read(path.read_bytes(), path.name)):
            if finding.severity is Severity.WARNING:
                found.setdefault(finding.rule, set()).add(path.relative_to(HERE.parent).as_posix())

    everywhere = {rule for rule, left in LEFT.items() if left["files"] == "all realistic"}
    assert {rule: sorted(files) for rule, files in found.items() if rule not in everywhere} == {
        rule: left["files"] for rule, left in LEFT.items() if rule not in everywhere
    }
    assert everywhere <= found.keys()
    assert all(len(left["reason"]) > 20 for left in LEFT.values())


def test_what_render_writes_passes_with_fail_on_warning() -> None:
    plain = read((RULES / "route-syntax/pass/plain.json").read_bytes(), "plain.json")

    assert [finding.rule for finding in check(plain) if finding.severity is not Severity.INFO] == []
