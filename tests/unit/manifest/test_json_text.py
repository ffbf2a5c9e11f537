from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.manifest import json_text
from manifestgen.manifest.json_error import JsonError
from manifestgen.manifest.pointer import join

KEYS = st.text('ab"{', max_size=2) | st.text(max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('ab"{', max_size=2) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "what", "line", "column"),
    [
        ("", "empty", 1, 1),
        (" \n", "empty", 1, 1),
        ('{\n"a": 1,\n}', "comma after the last item", 2, 7),
        ("[1,\n2,]", "comma after the last item", 2, 2),
        ("{'a': 1}", "single quotes", 1, 2),
        ("{\"a\": 'b'}", "single quotes", 1, 7),
        ("{a: 1}", "a key has no quotes", 1, 2),
        ('{"a": 1} // x', "more text after the end", 1, 10),
        ('{ // x\n"a": 1}', "comment", 1, 3),
        ('{"a": /* x */ 1}', "comment", 1, 7),
        ("# x\n{}", "comment", 1, 1),
        ('{"a": True}', "'True'", 1, 7),
        ('{"a": None}', "'None'", 1, 7),
        ('{"a": undefined}', "'undefined'", 1, 7),
        ('{"a": NaN}', "NaN", 1, 7),
        ('{"a": "NaN", "b": [-Infinity]}', "-Infinity", 1, 20),
        ('{"a": "b\nc"}', "line break", 1, 9),
        ('{"a": "b\tc"}', "tab", 1, 9),
        ('{"a": "b\x01c"}', "control character", 1, 9),
        ('{"a": "C:\\data"}', "backslash", 1, 10),
        ('{"a": "\\u12"}', "backslash", 1, 9),
        ('{"a": 1', "object that begins in line 1", 1, 1),
        ('{"a": [1,\n', "list that begins in line 1", 1, 7),
        ('{"a": "b', "never closed", 1, 7),
        ('{"a" 1}', "colon is missing", 1, 6),
        ('{"a": 1 "b": 2}', "comma or a closing bracket is missing", 1, 9),
        ('{"a": }', "expected a JSON value", 1, 7),
        ("{5: 1}", "key in double quotes", 1, 2),
        ("<html>", "HTML", 1, 1),
        ("\x00", "character", 1, 1),
        ("[" * 200_000, "nested too deep", 1, 101),
        ("1]", "more text", 1, 2),
    ],
)
def test_mistake_is_named_in_words_with_its_place(text: str, what: str, line: int, column: int) -> None:
    with pytest.raises(JsonError) as caught:
        json_text.parse(text)

    error = caught.value
    assert what in error.what
    assert error.fix
    assert text.count("\n", 0, error.offset) + 1 == line
    assert error.offset - text.rfind("\n", 0, error.offset) == column


@given(st.text(alphabet="{}[]\",:\\ntrue1.- \n'/", max_size=40))
def test_any_text_is_parsed_as_json_does_or_refused(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=_fail)
    except ValueError:
        with pytest.raises(JsonError) as caught:
            json_text.parse(text)
        assert 0 <= caught.value.offset <= len(text)
    else:
        assert json_text.parse(text) == expected


def _fail(_: str) -> Any:
    raise ValueError


def test_number_of_a_million_digits_is_read_as_a_huge_one() -> None:
    assert json_text.parse("[" + "9" * 1_000_000 + "]")[0] > 10**300
    assert json_text.parse("[-" + "9" * 1_000_000 + ", 5]") == [-(10**400), 5]


def test_doubled_keys_are_found_with_both_places() -> None:
    text = '{"a/b": [{"x": 1, "x": 2}, 3], "a/b": {"y": [1, {"z": 1, "z" : 3}]}, "s": "\\"x\\": {"}'

    assert [(one.pointer, text[one.first :][:3], one.second > one.first) for one in json_text.duplicates(text)] == [
        ("/a~1b/0/x", '"x"', True),
        ("/a~1b", '"a/', True),
        ("/a~1b/y/1/z", '"z"', True),
    ]


@given(JSON)
def test_text_without_doubled_keys_has_none(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
        assert json_text.duplicates(text) == []


def places(value: Any, base: str = "") -> dict[str, Any]:
    found = {base: value}
    if isinstance(value, dict):
        for key, item in value.items():
            found.update(places(item, join(base, key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found.update(places(item, join(base, index)))
    return found


@given(JSON)
def test_every_value_is_found_where_it_stands(value: Any) -> None:
    expected = places(value)
    for text in (json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False), " " + json.dumps(value)):
        spans = json_text.locate(text, expected)

        assert spans.keys() == expected.keys()
        for pointer, span in spans.items():
            assert json.JSONDecoder().raw_decode(text, span.value)[0] == expected[pointer]


def test_what_looks_like_a_key_is_none() -> None:
    text = '{"x": {"a": 1, "b": ["a", {"a": 2}]}, "y": "a", "z": "\\"a\\": ", "a": {"b": "a", "a": 3}, "b": 4}'
    expected = json_text.locate(text, ["/a/a", "/b"])

    assert text[expected["/a/a"].value] == "3"
    assert text[expected["/b"].value] == "4"


def test_nothing_is_found_where_nothing_is() -> None:
    assert json_text.locate('{"a": [1]}', ["/b", "/a/1", "/a/0/x"]).keys() == {"", "/a", "/a/0"}


def test_of_a_doubled_key_the_later_place_counts() -> None:
    text = '{"a": 1, "a": {"b": 2}}'

    assert json_text.locate(text, ["/a/b"])["/a"].key == 9


def test_pointer_of_a_thousand_steps_is_answered() -> None:
    text = "[" * 900 + "]" * 900

    assert json_text.locate(text, ["/0" * 899])[""].value == 0


@given(st.text(max_size=20))
def test_places_inside_a_text_are_found_through_its_escapes(text: str) -> None:
    for written in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        for index in range(len(text)):
            offset = json_text.inside(written, 0, index)
            rest = json.loads('"' + written[offset:])
            assert rest == text[index:]


@pytest.mark.parametrize(
    ("text", "suspected"),
    [
        ('{"a": 1, "a": 2}', True),
        ('{"a": {"a": 1}, "a": {"a": 2}}', True),
        ('{"a" : 1, "b": "x:y"}', False),
        ('{"a": "\\": ", "b": 2}', False),
        ('{"a": 1, "a": "\\u003a"}', True),
        ('{"a": 1, "a": "\\u003A"}', True),
        ('{"a": "\\ud800"}', True),
    ],
)
def test_counting_colons_suspects_doubled_keys(text: str, suspected: bool) -> None:
    assert json_text.maybe_duplicates(text, json_text.packed(json_text.parse(text))) is suspected


@given(JSON)
def test_texts_are_read_as_the_standard_library_reads_them(value: object) -> None:
    for text in (json.dumps(value, indent=1), json.dumps(value, ensure_ascii=False)):
        assert repr(json_text.parse(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", ["1e400", "-1e400", '"\\ud800"', '"\\udc00\\ud800"', "1" * 40, "-0", "-0.0", "5e-324", "1E5"]
)
def test_odd_values_are_read_as_the_standard_library_reads_them(text: str) -> None:
    assert repr(json_text.parse(text)) == repr(json.loads(text))
