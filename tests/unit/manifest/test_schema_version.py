from __future__ import annotations

import pytest

from manifestgen.manifest import schema_version


@pytest.mark.parametrize("text", ["1.0", "1.0.5", "1.0.5.9", "1.1", "1.1.0", " 1 . 1 ", "+1.1", "01.01"])
def test_edge_agent_takes(text: str) -> None:
    assert schema_version.agent_accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0.1",
        "1.1.1",
        "1.1.0.0",
        "1.2",
        "2.0",
        "v1.1",
        "1.",
        "1.-1",
        "1.1.0.0.0",
        "1.9999999999",
        "1.1 beta",
        "１.1",
    ],
)
def test_edge_agent_refuses(text: str) -> None:
    assert not schema_version.agent_accepts(text)


@pytest.mark.parametrize(
    ("text", "minor"), [("1.0", 0), ("1.1.7", 1), ("1.2", 2), ("1.3.0.1", 3), ("1.4", None), ("2.0", None), ("1", None)]
)
def test_edge_hub_looks_at_the_minor_version_only(text: str, minor: int | None) -> None:
    assert schema_version.hub_minor(text) == minor


def test_digits_without_end_are_refused_at_once() -> None:
    assert schema_version.parse("1." + "9" * 1_000_000) is None
