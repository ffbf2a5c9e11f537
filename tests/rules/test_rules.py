"""Every rule has its file, its documentation and its cases; the cases are found by themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from manifestgen.check import check, read
from manifestgen.rules import RULES, Effect, Rule, Side

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*/*.json"))
IDS = {rule.id for rule in RULES}
SECRETS = ("example-password", "example-key", "ZXhhbXBsZQ")


def faults(path: Path) -> list[str]:
    """What is wrong with a case: with the judgement, or with what one of its findings says and where."""
    rule, kind = path.parts[-3:-1]
    assert kind in ("pass", "fail")
    document = read(path.read_bytes(), path.name)
    findings = check(document)
    wrong = []
    if any(finding.rule == rule for finding in findings) != (kind == "fail"):
        wrong.append(f"judged wrongly: {[finding.rule for finding in findings]}")
    lines = document.text.count("\n") + 1
    for finding in findings:
        parts = (finding.message, finding.fix, finding.pointer)
        begins = finding.message.startswith(("JSON", "Docker", "Env"))
        right = {
            "its line is in the text": 1 <= finding.line <= lines,
            "its column is in its line": 1 <= finding.column <= len(document.line(finding.line)) + 1,
            "its offset is in its line": document.position(finding.offset).line == finding.line,
            "its message has no period": not finding.message.endswith("."),
            "its fix has no period": not finding.fix.endswith("."),
            "it has a fix": bool(finding.fix),
            "its message begins small": begins or not re.match(r"[A-Z][a-z]", finding.message),
            "it shows no password": not any(secret in part for secret in SECRETS for part in parts),
        }
        wrong += [f"not true that {words}: {finding}" for words, true in right.items() if not true]
    return wrong


@pytest.mark.parametrize("rule", sorted({path.parts[-3] for path in CASES}))
def test_cases_are_judged_as_their_folders_say_in_our_manner_and_without_passwords(rule: str) -> None:
    found = [
        "/".join(path.parts[-2:]) + f": {fault}" for path in CASES if path.parts[-3] == rule for fault in faults(path)
    ]

    assert not found, "\n".join(found)


def test_every_rule_has_cases_of_both_kinds() -> None:
    for kind in ("pass", "fail"):
        assert {path.parts[-3] for path in CASES if path.parts[-2] == kind} == IDS


def test_every_file_in_the_package_is_a_registered_rule() -> None:
    import manifestgen.rules

    files = {path.stem.replace("_", "-") for path in Path(manifestgen.rules.__file__).parent.glob("[a-z]*.py")}

    assert files == IDS


def test_plain_manifest_has_no_findings_at_all() -> None:
    path = HERE / "route-syntax" / "pass" / "plain.json"

    assert check(read(path.read_bytes(), path.name)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_is_documented(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
    assert rule.summary.endswith(".")
    assert len(rule.summary) < 110
    assert rule.why.endswith(".")
    assert rule.fix.endswith(".")
    assert rule.bad and rule.good and rule.bad != rule.good


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_that_refuses_says_who_and_with_which_code(rule: Rule) -> None:
    if rule.effect is not Effect.REFUSED:
        assert rule.side is None
        assert rule.status is None
    else:
        assert rule.side is not None
        assert (rule.status is None) == (rule.side is Side.HUB)
