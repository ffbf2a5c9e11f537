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


def found(path: Path) -> set[str]:
    return {finding.rule for finding in check(read(path.read_bytes(), path.name))}


@pytest.mark.parametrize("path", CASES, ids=lambda path: "/".join(path.parts[-3:]))
def test_case_is_judged_as_its_folder_says(path: Path) -> None:
    rule, kind = path.parts[-3], path.parts[-2]

    assert kind in ("pass", "fail")
    assert (rule in found(path)) == (kind == "fail")


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


@pytest.mark.no_cover  # goes the ways of the first test here, and so does the next
@pytest.mark.parametrize("path", CASES, ids=lambda path: "/".join(path.parts[-3:]))
def test_finding_is_inside_the_text_and_speaks_in_our_manner(path: Path) -> None:
    document = read(path.read_bytes(), path.name)
    for finding in check(document):
        assert 1 <= finding.line <= document.text.count("\n") + 1
        assert 1 <= finding.column <= len(document.line(finding.line)) + 1
        assert document.position(finding.offset).line == finding.line
        assert not finding.message.endswith(".")
        assert not finding.fix.endswith(".")
        assert finding.fix
        assert not re.match(r"[A-Z][a-z]", finding.message) or finding.message.startswith(("JSON", "Docker", "Env"))


@pytest.mark.no_cover
@pytest.mark.parametrize("path", CASES, ids=lambda path: "/".join(path.parts[-3:]))
def test_no_finding_shows_a_password(path: Path) -> None:
    document = read(path.read_bytes(), path.name)
    texts = [part for finding in check(document) for part in (finding.message, finding.fix, finding.pointer)]

    assert not any("example-password" in text or "example-key" in text or "ZXhhbXBsZQ" in text for text in texts)
