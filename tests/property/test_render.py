"""Whatever the values: they survive, nothing else comes in, the bytes are the same, and no secret is in an error."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.errors import InputError
from manifestgen.manifest.dump import dump
from manifestgen.project.source import parse
from manifestgen.project.values import merge
from manifestgen.render import Template, context_of, load_template
from manifestgen.render.splice import mark, text_of, to_json

texts = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)

PLACES = (
    '{"modulesContent": {"m": {"properties.desired": {'
    '"bare": {{ v }}, "filtered": {{ v | tojson }}, "text": "<{{ v }}>", "listed": [{{ v }}, {{ v | tojson }}], '
    '"twice": {{ v | tojson | tojson }}, "macro": {{ wrap(v) }}, {{ k }}: 1 }}}}'
)
MACRO = '{% macro wrap(x) %}{"inner": {{ x }}{{ "," if true }} "after": "{{ x }}"}{% endmacro %}'


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.json.j2").write_text(MACRO + PLACES)
        yield load_template("t.json.j2", Path(folder))


@given(value=json_values, key=texts)
def test_any_value_survives_in_any_place(template: Template, value: Any, key: str) -> None:
    key = f"key {key}"
    twin = template.render({"v": value, "k": key}).content["modulesContent"]["m"]["properties.desired"]
    as_text = value if isinstance(value, str) else None
    assert twin["bare"] == twin["filtered"] == value
    assert twin["listed"] == [value, value]
    assert json.loads(twin["twice"]) == value
    assert twin["macro"]["inner"] == value
    inside = twin["text"][1:-1]
    assert twin["macro"]["after"] == inside
    assert (inside if as_text is not None else json.loads(inside)) == value
    assert set(twin) == {"bare", "filtered", "text", "listed", "twice", "macro", key}


@given(value=json_values)
def test_the_same_values_give_the_same_bytes(template: Template, value: Any) -> None:
    values = {"v": value, "k": "k"}
    assert dump(template.render(values).content) == dump(template.render(values).content)


@given(value=json_values)
def test_a_value_alone_is_its_json(value: Any) -> None:
    assert json.loads(text_of(mark(value))) == value
    assert json.loads(to_json(value)) == value


@given(secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12), cut=st.integers(0, 400))
def test_no_secret_is_in_an_error(secret: str, cut: int) -> None:
    values = context_of(image="acme.azurecr.io/x:1", values={"env": {"PASSWORD": f"canary-{secret}"}})
    with tempfile.TemporaryDirectory() as folder:
        broken = PLACES[: cut % len(PLACES)] + "{{ env.PASSWORD }} {{ 1 + env.PASSWORD }}"
        (Path(folder) / "t.json.j2").write_text(broken)
        with pytest.raises(InputError) as caught:
            load_template("t.json.j2", Path(folder)).render({**values, "v": f"canary-{secret}", "k": "k"})
    assert "canary" not in f"{caught.value} {caught.value.fix}"


# YAML has no surrogate pairs in escapes, and takes some characters as they are that end a line there.
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cn", "Co", "Zl", "Zp"]))
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | printable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=12,
)


@given(data=yaml_values)
def test_yaml_reads_json_as_json(data: Any) -> None:
    assert parse(json.dumps(data, ensure_ascii=False), "f").data == data


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "f")
    except InputError as error:
        assert error.where.startswith("f")
        assert error.fix


# Values as users write them: a name is a mapping in every file, or in none. (One that is both is replaced whole, and
# then it matters which two files meet first.) Few names, so that they do meet.
leaves = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.lists(st.integers(), max_size=2))
mappings = st.recursive(
    leaves,
    lambda inner: st.builds(lambda here, below: here | below, leaves, st.dictionaries(st.sampled_from("XYZ"), inner)),
    max_leaves=8,
)


@given(a=mappings, b=mappings, c=mappings)
def test_the_last_value_wins_however_it_is_grouped(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, {}) == a == merge({}, a)


@given(a=mappings, b=mappings)
def test_every_value_of_the_last_is_kept_and_no_other_name_is_lost(a: dict[str, Any], b: dict[str, Any]) -> None:
    merged = merge(a, b)
    assert merged.keys() == a.keys() | b.keys()
    for name, value in b.items():
        if not isinstance(value, dict):
            assert merged[name] == value
    assert merge(merged, b) == merged


def test_a_mapping_and_a_value_replace_each_other_whole() -> None:
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merge({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}
