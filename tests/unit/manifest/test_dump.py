from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.manifest.dump import compact, dump
from manifestgen.manifest.pointer import join, split


@settings(deadline=None)  # a busy machine may stop for longer
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.loads(dump(value)) == value
    assert json.loads(compact(value)) == value


def test_text_is_for_people_and_compact_for_machines() -> None:
    assert dump({"b": "é", "a": [1]}) == '{\n  "b": "é",\n  "a": [\n    1\n  ]\n}\n'
    assert compact({"b": "é", "a": [1]}) == '{"b":"é","a":[1]}'


def test_half_a_surrogate_pair_is_written_as_an_escape() -> None:
    text = dump({"é": "\ud800"})
    assert text.encode().decode() == '{\n  "é": "\\ud800"\n}\n'
    assert json.loads(text) == {"é": "\ud800"}


@pytest.mark.parametrize("write", [dump, compact])
def test_what_json_does_not_have_is_refused(write: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(float("nan"))


@given(st.lists(st.text()))
def test_pointer_keeps_its_keys(keys: list[str]) -> None:
    assert split(join("", *keys)) == keys
