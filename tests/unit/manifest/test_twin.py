from __future__ import annotations

import json
from typing import Any

import pytest

from manifestgen.manifest import twin


def nested(levels: int, inside: Any = 1) -> Any:
    value = inside
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("desired", "pointer"),
    [
        ({"a.b": 1}, "/a.b"),
        ({"a": {"$b": 1}}, "/a/$b"),
        ({"a b": 1}, "/a b"),
        ({"a\x07": 1}, "/a\x07"),
        ({"k" * 1025: 1}, "/" + "k" * 1025),
        ({"a": ["x" * 4097]}, "/a/0"),
        ({"a": "é" * 2049}, "/a"),
        ({"a": 2**52}, "/a"),
        ({"a": [-(2**52) - 1]}, "/a/0"),
        (nested(11, {}), "/a" * 11),
        ({"a/b~c": {"d.e": 1}}, "/a~1b~0c/d.e"),
    ],
)
def test_violation_has_its_place(desired: dict[str, Any], pointer: str) -> None:
    (violation,) = twin.violations(desired)

    assert violation.pointer == pointer
    assert violation.fix
    assert twin.shape(desired).suspicious or pointer.count("/a") == 11


@pytest.mark.parametrize(
    "desired",
    [
        {},
        {"a": "x" * 4096},
        {"a": "é" * 2048},
        {"k" * 1024: 1},
        {"a": 2**52 - 1, "b": -(2**52), "c": 1e300, "d": True, "e": None},
        nested(11),
        {"a": [[[[[[[[[[[[1]]]]]]]]]]]]},
    ],
)
def test_what_iot_hub_takes_has_no_violation(desired: dict[str, Any]) -> None:
    assert twin.violations(desired) == []


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"ab": "cd"}, 4),
        ({"a": 1, "b": 2.5}, 18),
        ({"a": True, "b": False}, 10),
        ({"a": None}, 1),
        ({"a": "é"}, 3),
        ({"a": "x\n\x85y"}, 3),
        ({"a": [1, "x", {"b": 1}]}, 1 + 8 + 1 + 1 + 8),
    ],
)
def test_size_is_counted_as_iot_hub_does(value: Any, size: int) -> None:
    assert twin.size(value) == size


def test_twin_above_32_kilobytes_is_refused_as_a_whole() -> None:
    desired = {f"k{number}": "x" * 4090 for number in range(8)}
    assert twin.size(desired) == 32736
    assert twin.violations(desired) == []

    desired["k9"] = "x" * 31
    (violation,) = twin.violations(desired)
    assert violation.pointer == ""
    assert "32769" in violation.message


def test_shape_counts_numbers() -> None:
    shape = twin.shape({"a": {"b": 1, "c": [True, {"d": "x"}]}})

    assert (shape.numbers, shape.suspicious) == (2, False)


def test_a_hundred_thousand_levels_are_walked() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = {"a": value}

    assert twin.shape(value).suspicious
    assert twin.violations(value)[0].pointer == "/a" * 11


def test_counting_agrees_with_json_for_plain_ascii() -> None:
    value = {"a": ["b", "c"], "d": {"e": "f"}}

    assert twin.size(value) == sum(char.isalpha() for char in json.dumps(value))
