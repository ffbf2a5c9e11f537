"""Manifests as people write them: none that works has an error, every one that is refused or dead in part says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.check import Effect, check, read

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "realistic.json").read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_verdict_is_what_happens_to_it(name: str) -> None:
    document = read((HERE / "realistic" / name).read_bytes(), name)
    findings = check(document)
    errors = [finding for finding in findings if finding.severity.value == "error"]
    verdict = EXPECTED[name]["verdict"]

    assert document.kind.value == EXPECTED[name]["kind"]
    if verdict in ("works", "template"):
        assert errors == []
        assert (verdict == "template") == any(finding.rule == "placeholder" for finding in findings)
    elif verdict == "refused":
        assert Effect.REFUSED in {finding.effect for finding in errors}
    else:
        assert {finding.effect for finding in errors} == {Effect.DEAD}


@pytest.mark.parametrize("name", ["left-over-variable.json", "route-placeholder.json"])
def test_a_device_would_refuse_a_placeholder_that_is_left_in(name: str) -> None:
    document = read((HERE / "realistic" / name).read_bytes(), name)

    assert Effect.REFUSED in {finding.effect for finding in check(document, literal=True)}


def test_every_file_is_expected_and_there_are_enough() -> None:
    assert {path.name for path in (HERE / "realistic").iterdir()} == set(EXPECTED)
    assert len(EXPECTED) >= 40
