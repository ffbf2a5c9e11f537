from __future__ import annotations

import pytest

from manifestgen.manifest.route import FUNCTIONS, RouteTypeError, Type, compile_check, parse, parse_condition, type_of


def errors(condition: str) -> list[RouteTypeError]:
    return compile_check(parse(f"FROM /m WHERE {condition} INTO $upstream"))


FIXES = [
    ("temp > 30", ">", "an application property is a string: write as_number(temp), or $body.temp for the body's"),
    ("30 < temp", "<", "an application property is a string: write as_number(temp), or $body.temp for the body's"),
    ("abs(a) + 1 > 2 AND " + "x" * 100 + " > 1", "abs", "write abs(as_number(a))"),
    ("x" * 100 + " || 1 = 'a'", "||", "'||' joins strings; for a choice write OR, to join put literals in quotes"),
    ("true AND $body." + "x" * 100, "AND", "write … = true, or put … on the left of AND"),
    ("- (1 = 1) = 2", "-", "write as_number(…)"),
    ("$temp > 30", ">", "write as_number($temp)"),
    ("temp + 1 > 2", "+", "an application property is a string: write as_number(temp), or $body.temp for the body's"),
    ("ok = true", "=", "an application property is a string: write 'true' in quotes, or $body.ok"),
    ("a = null", "=", "an application property is never null: write NOT is_defined(a)"),
    ("$body.a = undefined", "=", "nothing equals undefined: write is_defined(…)"),
    ("1 = '1'", "=", "compare like with like: write '1' without quotes, or the other side as a string"),
    ("a + b = 'ab'", "+", "join strings with ||: a || b"),
    ("$body.a > 1 || $body.b > 1", "||", "'||' joins strings; for a choice write OR, to join put literals in quotes"),
    ("(a = 'b') > 1", ">", "put parentheses around what belongs together, and compare like with like"),
    ("NOT level = 'a'", "NOT", "put the comparison that NOT is about in parentheses: NOT (a = 'b')"),
    ("- a = 1", "-", "an application property is a string: write as_number(a), or $body.a for the body's"),
    ("- $body.a = 1", "-", "write 0 - $body.a"),
    ("$body.a % 2 = 0", "%", "compute the remainder in a module"),
    ("true AND $body.ok", "AND", "write $body.ok = true, or put $body.ok on the left of AND"),
    ("true OR {$body.ok}", "OR", "write {$body.ok} = true, or put {$body.ok} on the left of OR"),
    ("a AND true", "AND", "compare it with something: a = 'true'"),
    ("true AND 1", "AND", "compare it with something: 1 = 1"),
    ("null OR undefined", "OR", "leave out undefined"),
    ("$body.a AND null", "AND", "leave out null"),
    ("isdefined(a)", "isdefined", "write is_defined(any)"),
    ("start_with(a, 'b')", "start_with", "write starts_with(string, string)"),
    ("!(a = 'b')", "!", "write NOT"),
    ("twin_change_includes(tags.a)", "twin_change_includes", "leave it out, and filter in a module"),
    ("abs(temp) > 1", "abs", "write abs(as_number(temp))"),
    ("substring(a) = 'b'", "substring", "write substring(string, number[, number])"),
    ("concat(a) = 'b'", "concat", "write concat(string, string, …)"),
    ("as_number(true) = 1", "as_number", "write as_number(string or number)"),
    ("$body.a[x] = 1", "[", "write names separated by dots, each with at most one [number]: $body.list[0].name"),
    ("{$body..a} = 1", ".", "write names separated by dots, each with at most one [number]: $body.list[0].name"),
    ("$body. = 1", "$body.", "write names separated by dots, each with at most one [number]: $body.list[0].name"),
]


@pytest.mark.parametrize("condition", ["'a' + 'b' = 'ab'", "(1 || 'a') > 3", "length('a' - 1) = 1"])
def test_a_mistake_has_no_second_one_in_its_wake(condition: str) -> None:
    assert len(errors(condition)) == 1


@pytest.mark.parametrize(("condition", "seen", "fix"), FIXES)
def test_a_type_error_is_pointed_at_with_its_fix(condition: str, seen: str, fix: str) -> None:
    error = errors(condition)[0]
    assert f"FROM /m WHERE {condition}"[error.offset :][: error.length] == seen
    assert error.fix == fix


def test_a_type_error_says_what_the_types_are() -> None:
    assert errors("temp > 30")[0].message == "'>' does not take a string and a number"
    assert errors("length(1) = 2")[0].message == "length does not take (number)"
    assert errors("foo(a)")[0].message == "there is no function 'foo'"
    assert (
        errors("$body.a[ = 1")[0].message
        == "'$body.a[' is not a path into the body: [ and ] must have a number between them"
    )


def test_all_errors_are_reported_in_the_order_of_the_text_and_none_for_what_follows_from_another() -> None:
    found = errors("foo(a) = 1 AND b > 2 AND (bar(c) + 1 > 2 OR NOT d)")
    assert [(error.offset, error.length) for error in found] == [(14, 3), (31, 1), (40, 3), (58, 3)]


def test_an_unknown_function_lists_the_functions_when_none_is_near() -> None:
    assert errors("qqq(a)")[0].fix == f"use one of {', '.join(sorted(FUNCTIONS))}"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a", Type.STRING),
        ("$a", Type.STRING),
        ("{$a}", Type.STRING),
        ("$body.a", Type.BODY),
        ("$a[0]", Type.UNDEFINED),
        ("1", Type.NUMBER),
        ("0x10000000000000000", Type.UNDEFINED),
        ("true", Type.BOOL),
        ("null", Type.NULL),
        ("null AND true", Type.NULL),
        ("null OR null", Type.NULL),
        ("null OR true", Type.BOOL),
        ("$body.a AND 1", Type.BOOL),
        ("$body.a + 1", Type.BODY),
        ("1 + 1", Type.NUMBER),
        ("a || $body.b", Type.STRING),
        ("a ?? $body.b", Type.BODY),
        ("a ?? b", Type.STRING),
        ("undefined ?? undefined", Type.UNDEFINED),
        ("NOT null", Type.BOOL),
        ("- 1", Type.NUMBER),
        ("a > 1", None),
        ("foo(a) ?? b", None),
        ("a @ b", None),
    ],
)
def test_types_are_the_compilers(condition: str, expected: Type | None) -> None:
    assert type_of(parse_condition(condition)) is expected
