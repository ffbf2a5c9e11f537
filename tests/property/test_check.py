"""A manifest is judged alike as a value and as a text; only the text has lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from property.manifests import manifests, thorough

from manifestgen.check import Finding, check, check_data, read
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest

CASES = Path(__file__).parent.parent / "rules"
# Rules about what a text can have and a value cannot.
ABOUT_TEXT = ("duplicate-key", "text-encoding")


def _values() -> list[Any]:
    values = []
    for path in sorted(CASES.glob("*/*/*.json")):
        document = read(path.read_bytes(), path.name)
        # A template with bare placeholders, or text that is not JSON, is no value.
        if path.parts[-3] not in ABOUT_TEXT and document.error is None and _is_json(document.text):
            values.append(pytest.param(document.data, id=f"{path.parts[-3]}/{path.name}"))
    return values


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _said(findings: list[Finding]) -> list[tuple[Any, ...]]:
    return [
        (one.rule, one.effect, one.pointer, one.message, one.fix, one.severity, one.side, one.status)
        for one in findings
    ]


@pytest.mark.no_cover  # tests/rules goes the same ways
@pytest.mark.parametrize("data", _values())
def test_the_findings_in_a_value_are_those_in_its_text_and_in_the_same_order(data: Any) -> None:
    expected = check(read(dump(data)))
    found = check_data(data)
    assert _said(found) == _said(expected)
    assert all((one.line, one.column, one.place) == (0, 0, one.pointer or "(root)") for one in found)
    assert all(one.line > 0 for one in expected)


@thorough
@given(content=manifests())
def test_any_manifest_is_judged_alike_as_a_value_and_as_a_text(content: dict[str, Any]) -> None:
    assert _said(check(Manifest.of(content))) == _said(check(read(dump(content))))
