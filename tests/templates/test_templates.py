"""Templates in the forms that people publish: what does not depend on a placeholder is found, and nothing else is.

`templates.jsonl`: places of a manifest without a fault and what a template has there; the rules that find something.
`pairs.jsonl`: a mistake, what is left open in the template, what it is filled in with, and what is found in both.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import Finding, Kind, Severity, check, check_source, read
from manifestgen.manifest.dump import dump
from manifestgen.manifest.pointer import split
from manifestgen.rules import BY_ID

HERE = Path(__file__).parent
PLAIN = json.loads((HERE.parent / "rules/route-syntax/pass/plain.json").read_text("utf-8"))
ABOUT = {rule.id for rule in BY_ID.values() if rule.about_placeholders}
SHORT = {
    "AGENT": "/modulesContent/$edgeAgent/properties.desired",
    "HUB": "/modulesContent/$edgeHub/properties.desired",
    "TWINS": "/modulesContent",
}


def _lines(name: str) -> list[Any]:
    lines = [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]
    return [pytest.param(line, id=line["id"]) for line in lines]


def _pointer(place: str) -> str:
    first, slash, rest = place.partition("/")
    return SHORT[first] + slash + rest if first in SHORT else f"/{place}"


def _with(*changes: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(PLAIN)
    for change in changes:
        for place, value in change.items():
            outer: Any = data
            *path, last = split(_pointer(place))
            for key in path:
                outer = outer[key]
            outer[last] = value
    return data


def _rest(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.rule not in ABOUT]


@pytest.mark.parametrize("case", _lines("templates.jsonl"))
def test_a_template_has_the_findings_that_hold_however_it_is_filled_in(case: Any) -> None:
    document = read(dump(_with(case["set"])))
    findings = check(document)

    assert document.kind is Kind.TEMPLATE
    assert len(document.placeholders) == case["placeholders"]
    assert sum(finding.rule in ABOUT for finding in findings) == case["placeholders"]
    assert sorted({finding.rule for finding in _rest(findings)}) == case["finds"]
    assert all(document.place_of(one).line > 1 for one in document.placeholders)


@pytest.mark.parametrize("case", _lines("pairs.jsonl"))
def test_what_does_not_depend_on_a_placeholder_is_found_in_both_forms(case: Any) -> None:
    template = check(read(dump(_with(case["mistake"], case["open"]))))
    filled = check(read(dump(_with(case["mistake"], case["filled"]))))
    expected = {(rule, _pointer(place)) for rule, place in case["finds"]}

    for findings in (template, filled):
        assert expected <= {(finding.rule, finding.pointer) for finding in findings}
    assert any(finding.rule in ABOUT for finding in template)
    assert {(one.rule, one.message) for one in _rest(template)} <= {(one.rule, one.message) for one in filled} or (
        len(_rest(template)) <= len(filled)
    )


def test_there_are_enough() -> None:
    assert len(_lines("templates.jsonl")) >= 60
    assert len(_lines("pairs.jsonl")) >= 20


NAMES = (
    "deployment.json",
    "deployment.template.json",
    "template.json",
    "a.j2",
    "layered.json",
    "TEMPLATE",
    "x.tmpl",
    "-",
)


@pytest.mark.parametrize("number", [1, 2, 50])
def test_neither_name_nor_number_changes_the_verdict(number: int) -> None:
    route = {
        "HUB/routes/x": 'FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint("/modules/scorrer/inputs/x")'
    }
    env = {f"V{index}": {"value": f"${{V{index}}}"} for index in range(number - 1)}
    text = dump(_with({"AGENT/modules/scorer/settings/image": "${IMAGE}", "AGENT/modules/scorer/env": env}, route))
    checked = [check_source(text.encode(), name) for name in NAMES]

    assert {one.kind for one in checked} == {Kind.TEMPLATE}
    assert len({one.findings for one in checked}) == 1
    assert [one.rule for one in _rest(list(checked[0].findings))] == ["route-module"]
    assert [one.severity for one in checked[0].findings if one.rule in ABOUT] == [Severity.INFO] * number
