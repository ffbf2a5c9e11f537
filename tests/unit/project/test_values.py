from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.project.values import merge, parse_set, read_values


def test_mappings_are_merged_and_all_else_is_replaced() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": {"f": 1}}
    over = {"a": {"b": 3}, "d": [9], "e": "text", "g": None}
    assert merge(base, over) == {"a": {"b": 3, "c": 2}, "d": [9], "e": "text", "g": None}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": {"f": 1}}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ttl=3600", {"ttl": 3600}),
        ("a.b.c=x", {"a": {"b": {"c": "x"}}}),
        (r"a\.b=1", {"a.b": 1}),
        ("a=", {"a": None}),
        ("a=''", {"a": ""}),
        ("a=no", {"a": "no"}),
        ("a=true", {"a": True}),
        ("a='1.6'", {"a": "1.6"}),
        ("a=[1, {b: c}]", {"a": [1, {"b": "c"}]}),
        ("a=x=y", {"a": "x=y"}),
        ("a=acme.azurecr.io/x:1", {"a": "acme.azurecr.io/x:1"}),
    ],
)
def test_one_value_is_read_as_yaml(text: str, values: Any) -> None:
    assert parse_set(text) == values


@pytest.mark.parametrize(
    "text", ["ttl", "=1", "a..b=1", ".a=1", "a.=1", " =1", "", "a=[1", "a={b", "a=!x y", "a: b=*c"]
)
def test_what_is_not_a_value_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_set(text)
    assert caught.value.where.startswith("--set")
    assert caught.value.fix


def test_a_secret_typed_without_a_key_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        parse_set("=canary-secret")
    assert "canary" not in str(caught.value) + caught.value.fix


def test_yaml_and_json_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: {b: no}\n")
    (tmp_path / "b.json").write_text('{"a":\t1}')
    (tmp_path / "c.yml").write_text("")
    assert read_values(tmp_path / "a.yaml") == {"a": {"b": "no"}}
    assert read_values(tmp_path / "b.json") == {"a": 1}
    assert read_values(tmp_path / "c.yml") == {}


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.yaml", "[1]", "not a mapping"),
        ("a.yaml", "a: 1\na: 2", "twice"),
        ("a.json", "[1]", "not a mapping"),
        ("a.json", '{"a": 1,}', "not JSON"),
        ("a.json", '{"a": 1, "a": 2}', "twice"),
        ("a.json", '{"a": NaN}', "NaN is not JSON"),
        ("a.json", "[" * 100_000, "nested"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        read_values(tmp_path / name)
    assert str(tmp_path / name) in caught.value.where


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="values file not found"):
        read_values(tmp_path / "no.yaml")
