"""Conditions carried out, with the runtime's verdicts. `tests/edge/test_routes.py` compares more of them at random."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.manifest.route import builtin, parse, parse_condition
from manifestgen.manifest.route.body import MISSING, UNDEFINED, find, read_body, read_path
from manifestgen.manifest.route.evaluate import Condition, Facts

BODY = {
    "weather": {
        "temp": 21.5,
        "count": 3,
        "name": "Oslo",
        "off": False,
        "on": True,
        "nothing": None,
        "past": [10, 20, 30],
        "days": [{"high": 25}, {"high": 18}],
        "time": "2026-03-09T00:00:00.000Z",
    }
}
FACTS = Facts(
    {"color": "red", "size": "3", "Upper": "YES", "$shape": "round"},
    {"shape": "square", "messageId": "m1", "contentType": "Application/JSON", "contentEncoding": "UTF-8"},
    json.dumps(BODY).encode(),
)
W = "$body.weather"

TRUE = [
    "true",
    "color = 'red'",
    'COLOR = "red"',
    "color != 'blue' AND size <> '4'",
    "as_number(size) = 3",
    "as_number(size) + 1 >= 4",
    "as_number('(1,234.5)') = -1234.5",
    "as_number(' 5- ') = -5",
    "as_number('¤7') = 7",
    "as_number('-Infinity') < 0",
    "$shape = 'round'",
    "{$shape} = 'square'",
    "{$messageid} = 'm1'",
    "is_defined(color) AND NOT is_defined(gone)",
    "not (gone = 'x' and false)",
    "gone = 'x' OR true",
    "(gone ?? color) = 'red'",
    "(gone ?? gone ?? 'none') = 'none'",
    "(as_number(gone) ?? 1.5) = 1.5",
    "(null and false) = null",
    "null = null",
    "not null",
    "null or true",
    "0xFF = 255",
    "0xFFFFFFFFFFFFFFFF = -1",
    ".5 + 1e1 = 10.5",
    "7 % 4 = 3 AND -7 % 4 = -3",
    "1 / 0 > 1e308",
    "-(1 + 2) = -3",
    "'a' < 'b' AND 'B' < 'a'",
    "'é' > 'z'",
    "'\\u0041\\'' = \"A'\"",
    "length('日本') = 2 AND length('😀') = 2",
    "'😀' < '\uffee'",
    "substring('hello', 1, 3) = 'ell'",
    "substring('hello', 5) = ''",
    "index_of('x😀y', 'y') = 3",
    "index_of('abc', 'z') = -1",
    "upper('straße') = 'STRAßE' AND lower('ÀB') = 'àb'",
    "starts_with(color, 're') AND ends_with(color, 'ed') AND contains(color, 'e')",
    "contains(color, '')",
    "concat(color, '-', size) = 'red-3'",
    "color || size = 'red3'",
    "is_string(color) AND is_number(1) AND is_bool(true) AND is_null(null)",
    "NOT is_null(color)",
    "abs(-2) = 2 AND sign(-3) = -1 AND floor(-1.5) = -2 AND ceiling(1.2) = 2",
    "sqrt(16) = 4 AND square(5) = 25 AND power(2, 10) = 1024 AND exp(0) = 1",
    "power(10, 1000) > 1e300",
    f"{W}.temp > 21",
    f"$BODY.weather.temp = 21.5 AND {W}.count < {W}.past[0]",
    f"{W}.past[0] + {W}.past[1] = 30",
    f"{W}.days[1].high = 18",
    f"{W}.on",
    f"NOT {W}.off",
    f"{W}.on AND {W}.count = 3",
    f"{W}.on = true",
    f"{W}.nothing = null AND {W}.gone = null",
    f"{W}.past[7] = null",
    f"{W}.temp != null",
    f"{W}.temp != '21.5'",
    f"{W}.name > 30",  # every text is above every number
    f"{W}.name = 'Oslo' AND upper({W}.name) = 'OSLO'",
    f"is_number({W}.temp) AND is_string({W}.name) AND is_bool({W}.on)",
    f"is_defined({W}.gone)",
    f"is_null({W}.nothing) AND is_null({W}.temp)",  # sic
    f"as_number({W}.temp) = 21.5",
]
FALSE = [
    "false",
    "null",
    "color = 'Red'",
    "Upper = 'yes'",
    "is_null(color)",
    "is_null(gone)",
    "is_bool(color) OR is_number(color)",
    "is_number(as_number(color))",
    "3 > 3",
    f"{W}.temp = '21.5'",
    f"{W}.name < 30",
    f"{W}.on AND {W}.off",
    f"is_null({W}.gone)",  # sic
    f"is_string({W}.temp)",
    "gone = 'x' AND false",
]
UNDEFINED_ONES = [
    "undefined",
    "gone",
    "color",
    "3",
    "gone = 'x'",
    "NOT (gone = 'x')",
    "gone = 'x' AND true",
    "gone = 'x' OR false",
    "as_number(color) > 1",
    "as_number('1 2') = 1",
    "as_number('') = 0",
    "0 / 0 = 1",
    "5 % 0 = 1",
    "sqrt(-1) = 1",
    "e5 = 1",
    "substring('hello', 9) = ''",
    "substring('hello', 1, 9) = ''",
    "length(gone) = 0",
    "concat(color, gone) = 'red'",
    "undefined = undefined",
    "$shape[1] = undefined",
    "$body = 'x'",
    "is_bool(gone = 'x')",
    f"{W} != null",
    f"{W}.past != null",
    f"{W}.time != 'x'",  # Newtonsoft.Json makes a date of it
    f"{W}.temp",
    f"{W}.nothing AND {W}.on",
    f"{W}.on AND (gone = 'x')",
    f"{W}.gone + 1 = 1",
    f"{W}.name - 1 = 1",
    f"contains({W}.temp, '2')",
    f"gone = {W}.name",
]


@pytest.mark.parametrize(
    ("text", "value"),
    [*((text, True) for text in TRUE), *((text, False) for text in FALSE), *((text, None) for text in UNDEFINED_ONES)],
)
def test_a_condition_has_the_runtime_s_value(text: str, value: bool | None) -> None:
    condition = Condition(parse_condition(text))
    assert condition.value(FACTS) is value
    assert condition.holds(FACTS) is (value is True)


def test_a_route_without_a_condition_takes_every_message() -> None:
    assert Condition(parse("FROM /* INTO $upstream").condition).holds(FACTS)


def test_an_application_property_goes_before_a_path_into_the_body() -> None:
    facts = Facts({"$body.t": "5"}, {"contentType": "application/json", "contentEncoding": "utf-8"}, b'{"t": 6}')
    assert Condition(parse_condition("$body.t = '5' AND {$body.t} = 6")).holds(facts)


def test_a_property_without_a_value_is_null_and_joins_as_nothing() -> None:
    facts = Facts({"empty": None}, {}, b"")
    assert Condition(parse_condition("is_null(empty) AND is_defined(empty) AND 'a' || empty || 'b' = 'ab'")).holds(
        facts
    )
    assert Condition(parse_condition("empty = ''")).value(facts) is None


@pytest.mark.parametrize("text", ["temp > 30", "foo(a)", "true AND $body.ok", "(a = '1'"])
def test_a_condition_that_does_not_compile_cannot_be_carried_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Condition(parse_condition(text))


@pytest.mark.parametrize("deep", [5000])
def test_a_deep_condition_needs_no_stack(deep: int) -> None:
    text = " AND ".join(["color = 'red'"] * deep)
    assert Condition(parse_condition(text)).holds(FACTS)
    assert Condition(parse_condition("NOT " * deep + "(color = 'red')")).holds(FACTS)


JSON = ("application/json", "utf-8")


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "found"),
    [
        (b'{"a": 1}', *JSON, 1.0),
        ('{"a": "ä"}'.encode("utf-16-le"), "application/json", "utf-16", "ä"),
        ('{"a": "ä"}'.encode("utf-32-le"), "application/json", "UTF-32", "ä"),
        (b'{"a": 1}', "application/json; charset=utf-8", "utf-8", UNDEFINED),
        (b'{"a": 1}', "application/json", "utf8", UNDEFINED),
        (b'{"a": 1}', "application/json", None, UNDEFINED),
        (b'{"a": 1}', None, "utf-8", UNDEFINED),
        (b"[1]", *JSON, UNDEFINED),
        (b'{"a": 1', *JSON, UNDEFINED),
        (b"", *JSON, UNDEFINED),
        (b"{'a': 1, /* one */}", *JSON, 1.0),
        (b'{"a": 1, "a": 2}', *JSON, 2.0),
        (b'{"a": 1e999}', *JSON, math.inf),
        (b'{"a": ' + b"9" * 400 + b"}", *JSON, math.inf),
        (b'{"a": -' + b"9" * 5000 + b"}", *JSON, UNDEFINED),
        (b'{"a": "2026-02-30T00:00:00Z"}', *JSON, "2026-02-30T00:00:00Z"),
        (b'{"a": "2026-02-03T00:00:00+01:00"}', *JSON, UNDEFINED),
        (b'{"a": "/Date(1234567890000)/"}', *JSON, UNDEFINED),
        (b'{"a": "2026-02-03"}', *JSON, "2026-02-03"),
        (b'{"b": 1}', *JSON, MISSING),
        (b'{"a": {}}', *JSON, UNDEFINED),
    ],
)
def test_a_body_is_read_as_newtonsoft_reads_it(
    body: bytes, content_type: str | None, encoding: str | None, found: Any
) -> None:
    assert find(read_body(body, content_type, encoding), read_path("a")) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b[1].c", 5.0), ("a.b[2]", MISSING), ("a[0]", MISSING), ("a.b.c", MISSING), ("a.*", UNDEFINED), ("d.*", True)],
)
def test_a_path_finds_one_value_or_none(path: str, found: Any) -> None:
    value = {"a": {"b": [0, {"c": 5}], "x": 1}, "d": {"only": True}}
    assert find(value, read_path(path)) == found


VALUES = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=4))


@given(VALUES, VALUES, VALUES)
def test_values_have_one_order(a: Any, b: Any, c: Any) -> None:
    assert builtin.order(a, b) == -builtin.order(b, a) or abs(builtin.order(a, b)) == abs(builtin.order(b, a))
    assert (builtin.order(a, b) < 0) == (builtin.order(b, a) > 0)
    if builtin.order(a, b) <= 0 and builtin.order(b, c) <= 0:
        assert builtin.order(a, c) <= 0


@given(st.text(max_size=8), st.integers(-2, 10), st.integers(-2, 10))
def test_a_part_of_a_text_is_counted_in_utf_16(text: str, start: int, count: int) -> None:
    found = builtin.function("substring")(text, float(start), float(count))
    units = builtin.units(text)
    if found is UNDEFINED:
        assert not (0 <= start < len(units) // 2 and 0 <= count <= len(units) // 2 - start)
    else:
        assert builtin.units(found) == units[2 * start : 2 * (start + count)]


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_arithmetic_never_raises(a: float, b: float) -> None:
    for compute in (builtin.divided, builtin.remainder, builtin.power):
        assert isinstance(compute(a, b), float)
    for name in ("abs", "exp", "square", "ceiling", "floor", "sign", "sqrt"):
        assert isinstance(builtin.function(name)(a), float)


@given(st.text(max_size=12))
def test_a_number_is_read_from_any_text_without_an_error(text: str) -> None:
    assert isinstance(builtin.as_number(text), float)
