from __future__ import annotations

from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.project.source import MAX_BYTES, parse


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1", {"a": 1}),
        ("a: no\nb: on\nc: yes", {"a": "no", "b": "on", "c": "yes"}),
        ("[true, False, TRUE, null, ~, '']", [True, False, True, None, None, ""]),
        ("[010, 0x1F, 0o17, -3, +4]", [10, 31, 15, -3, 4]),
        ("[1.5, .5, 1e3, -2.0E-1, 1.]", [1.5, 0.5, 1000.0, -0.2, 1.0]),
        ("[1:30, 2026-01-01, 1_000, .inf, .nan]", ["1:30", "2026-01-01", "1_000", ".inf", ".nan"]),
        ("['1', \"true\", !!str 5]", ["1", "true", "5"]),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("", None),
        ("# only a comment", None),
        ("---\na: 1\n...\n", {"a": 1}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("a: ${env:X}", {"a": "${env:X}"}),
    ],
)
def test_plain_data_comes_out(text: str, data: Any) -> None:
    assert parse(text, "f").data == data


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\na: 2", "f:2:1", "key 'a' is given twice, first in line 1"),
        ("a: {b: 1, b: 2}", "f:1:11", "key 'b' is given twice, first in line 1"),
        ("a: [1,", "f:2:1", "not YAML"),
        ("a: 1\n b: 2", "f:2:3", "not YAML"),
        ("a:\n\tb: 1", "f:2:1", "not YAML"),
        ("a: *x", "f:1:4", "no anchor '&x'"),
        ("a: &x [*x]", "f:1:8", "no anchor '&x'"),
        ("? [a]\n: 1", "f:1:3", "a key is not a string"),
        ("<<: {a: 1}", "f:1:1", "merge keys"),
        ("a: !ruby/object {b: 1}", "f:1:4", "tag '!ruby/object' is not supported"),
        ("a: !!python/name:os.system x", "f:1:4", "tag"),
        ("a: !!binary aGk=", "f:1:4", "tag"),
        ("a: 1\n---\nb: 2", "f:2:1", "a second YAML document"),
        ("a: " + "9" * 5000, "f:1:4", "too many digits"),
        ("a: 1e999", "f:1:4", "number 1e999 is too large"),
        ("\x00", "f", "not YAML"),
        ("a: \ud800", "f", "surrogate"),
    ],
)
def test_a_mistake_says_where_and_what(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "f")
    assert caught.value.where == where
    assert what in caught.value.what
    assert caught.value.fix


def test_tabs_are_distinguished() -> None:
    with pytest.raises(InputError) as caught:
        parse("a:\n\tb: 1", "f")
    assert "spaces" in caught.value.fix


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 100_000, "- " * 100_000, "a: [" + "[" * 70 + "]" * 71])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text, "f")


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [" + ",".join("x" * 9) + "]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(InputError, match="values, aliases written out"):
        parse("\n".join(lines), "f")


def test_places_are_of_keys_and_values() -> None:
    source = parse("a:\n  b: [x, yy]\n", "f")
    assert source.where(("a",), key=True) == "f:1:1"
    assert source.where(("a", "b"), key=True) == "f:2:3"
    assert source.where(("a", "b", 1)) == "f:2:10"
    assert source.where(("a", "b", 1, "deeper")) == "f:2:10"
    assert source.where(("nowhere",)) == "f:1:1"
    assert source.written == {}


def test_how_a_number_was_written_is_kept() -> None:
    assert parse("a: 1.10", "f").written == {("a",): "1.10"}


def test_the_limit_leaves_room() -> None:
    assert parse("a: " + "x" * 100_000, "f").data["a"]
    assert MAX_BYTES > 1_000_000
