from __future__ import annotations

import pytest

from manifestgen.errors import InputError
from manifestgen.manifest.route import (
    Binary,
    Broken,
    Call,
    Literal,
    ModuleInput,
    Property,
    RouteSyntaxError,
    Source,
    SystemProperty,
    Unary,
    Upstream,
    compile_check,
    parse,
    parse_condition,
    to_text,
    warnings,
)


def refusal(text: str) -> RouteSyntaxError:
    with pytest.raises(RouteSyntaxError) as caught:
        parse(text)
    return caught.value


def test_a_route_is_its_source_its_condition_and_its_sink() -> None:
    text = " select * FROM /messages/modules/cam/* WHERE a = 'b' INTO BrokeredEndpoint( '/modules/filter/inputs/in' ) ;"
    route = parse(text)
    assert route.source == Source("/messages/modules/cam/*")
    assert route.condition == Binary("=", Property("a"), Literal("string", "'b'"))
    assert route.sink == ModuleInput("filter", "in", "/modules/filter/inputs/in")
    assert text[route.source.offset :][: route.source.length] == "/messages/modules/cam/*"
    assert text[route.sink.offset :][: route.sink.length] == "/modules/filter/inputs/in"
    assert text[route.tail :] == " ;"


def test_a_route_without_where_has_no_condition() -> None:
    route = parse("FROM /* INTO $Upstream")
    assert route.condition is None
    assert route.sink == Upstream()
    assert compile_check(route) == []


def test_operators_bind_as_in_the_runtime() -> None:
    a, b, c = (Property(name) for name in "abc")
    assert parse_condition("a + b * c") == Binary("+", a, Binary("*", b, c))
    assert parse_condition("a - b - c") == Binary("-", Binary("-", a, b), c)
    assert parse_condition("a ?? b OR c") == Binary("??", a, Binary("OR", b, c))
    assert parse_condition("a or b and c") == Binary("OR", a, Binary("AND", b, c))
    assert parse_condition("not a = b") == Binary("=", Unary("NOT", a), b)
    assert parse_condition("NOT (a = b)") == Unary("NOT", Binary("=", a, b))
    assert parse_condition("- a || b") == Binary("||", Unary("-", a), b)


def test_operands_of_every_kind_are_distinguished() -> None:
    assert parse_condition("f(1, $a, {$b}, g(), TRUE, true, 0x1F, null)") == Call(
        "f",
        (
            Literal("number", "1"),
            SystemProperty("$a"),
            SystemProperty("$b", escaped=True),
            Call("g", ()),
            Property("TRUE"),
            Literal("bool", "true"),
            Literal("number", "0x1F"),
            Literal("null", "null"),
        ),
    )


def test_every_part_of_a_condition_knows_its_place() -> None:
    text = "NOT (a = 'b') AND f($c, {$d})"
    both = parse_condition(text)
    assert isinstance(both, Binary) and isinstance(both.left, Unary) and isinstance(both.right, Call)
    comparison = both.left.operand
    assert isinstance(comparison, Binary)
    parts = (both, both.left, comparison, comparison.left, comparison.right, both.right, *both.right.arguments)
    assert [text[part.offset :][: part.length] for part in parts] == [
        *("AND", "NOT", "=", "a", "'b'", "f", "$c", "{$d}"),
    ]
    faulty = parse_condition("  a @ b ")
    assert "  a @ b "[faulty.offset :][: faulty.length] == "a @ b"


def test_a_place_does_not_count_when_trees_are_compared() -> None:
    left, right = parse("FROM /m WHERE a='b' INTO $upstream"), parse("FROM  /m\nWHERE  a = 'b'\nINTO $upstream ;")
    assert left == right
    assert hash(left) == hash(right)
    assert to_text(right) == "FROM /m WHERE a = 'b' INTO $upstream"


def test_a_written_source_never_starts_a_comment() -> None:
    route = parse("FROM /messages/ * WHERE a = '*/' INTO $upstream")
    assert to_text(route) == "FROM /messages/ * WHERE a = '*/' INTO $upstream"
    assert parse(to_text(route)) == route


def test_an_error_says_where_what_was_expected_and_what_to_do() -> None:
    error = refusal("FROM /messages/* WHERE level == 'hot' INTO $upstream")
    assert isinstance(error, InputError)
    assert (error.offset, error.length) == (30, 1)
    assert error.message == "column 31: unexpected '=', expected a property, a literal, a function, '(' or NOT"
    assert error.expected == ("a property", "a literal", "a function", "'('", "NOT")
    assert error.fix == "write ="


FIXES = [
    ("", "", "write a route, for example: FROM /messages/* INTO $upstream"),
    ("FORM /* INTO $upstream", "FORM", "write FROM"),
    ("/* INTO $upstream", "/", "begin with FROM, for example: FROM /messages/* INTO $upstream"),
    ("SELECT FROM /* INTO $upstream", "FROM", "begin with FROM, for example: FROM /messages/* INTO $upstream"),
    (
        "FROM\u00a0/* INTO $upstream",
        "FROM\u00a0",
        "remove the invisible character U+00A0, or replace it with a space",
    ),
    ("FROM messages/* INTO $upstream", "messages", "write /messages: a source starts with '/'"),
    ("FROM * INTO $upstream", "*", "write /* for every message"),
    ("FROM / INTO $upstream", "INTO", "write /* for every message"),
    ("FROM '/messages' INTO $upstream", "'/messages'", "write the source without quotes"),
    ("FROM INTO $upstream", "INTO", "write a source, for example /messages/*"),
    ("FROM /messages/ INTO $upstream", "INTO", "remove the last '/'"),
    ("FROM //messages INTO $upstream", "/", "remove one '/'"),
    ("FROM /messages/*INTO $upstream", "$upstream", "put a space before INTO"),
    ("FROM /messages/modules/<NAME>/* INTO $upstream", "<", "replace '<NAME>' with a value"),
    ("FROM /messages/modules/{name}/* INTO $upstream", "{", "replace '{name}' with a value"),
    ("FROM /messages/modules/{{ name }}/* INTO $upstream", "{", "replace '{{ name }}' with a value"),
    ("FROM /messages/modules/${NAME}/* INTO $upstream", "{", "replace '${NAME}' with a value"),
    ("FROM /messages/modules/7/* INTO $upstream", "7", "'7' reads as a number: give the module or output another name"),
    (
        "FROM /messages/modules/or/* INTO $upstream",
        "or",
        "'or' is a keyword here: give the module or output another name",
    ),
    (
        "FROM /messages/modules/$edgeHub/* INTO $upstream",
        "$edgeHub",
        "write a module's name; a route cannot come from '$edgeHub'",
    ),
    ("FROM /messages/modules/'cam'/* INTO $upstream", "'cam'", "write the name without quotes"),
    ("FROM /messages/modules/my cam/* INTO $upstream", "cam", "write WHERE or INTO here; a name cannot contain spaces"),
    ("FROM /messages/* WERE a = 'b' INTO $upstream", "WERE", "write WHERE"),
    ("FROM /messages/* $upstream", "$upstream", "write INTO before the sink"),
    ("FROM /messages/*", "", "add INTO and the sink, for example INTO $upstream"),
    ("FROM /messages/* WHERE INTO $upstream", "INTO", "write a condition after WHERE, or leave out WHERE"),
    ("FROM /* WHERE a = 1 && b = 2 INTO $upstream", "&&", "write AND"),
    (
        "FROM /* WHERE a like 'b' INTO $upstream",
        "like",
        "write contains(a, 'b'), starts_with(a, 'b') or ends_with(a, 'b')",
    ),
    ("FROM /* WHERE a IS NULL INTO $upstream", "IS", "write is_null(a), is_defined(a) or NOT is_defined(a)"),
    ("FROM /* WHERE a => 1 INTO $upstream", ">", "write >="),
    ("FROM /* WHERE a ! = 1 INTO $upstream", "!", "write != without a space"),
    ("FROM /* WHERE a ! b INTO $upstream", "!", "write NOT"),
    ("FROM /* WHERE 5 -3 > a INTO $upstream", "-3", "put a space after the operator: - 3"),
    ("FROM /* WHERE a b = 'c' INTO $upstream", "b", "put an operator before 'b'; a name cannot contain spaces"),
    (
        "FROM /* WHERE a[0].b = 1 INTO $upstream",
        "a[0].b",
        "a property has no elements; for the message's body write $body.a[0].b",
    ),
    ("FROM /* WHERE {a} = 'b' INTO $upstream", "{", "write {$a} for a system property"),
    ("FROM /* WHERE a = 'b') INTO $upstream", ")", "remove ')'"),
    ("FROM /* WHERE a, b INTO $upstream", ",", "remove ','"),
    ("FROM /* WHERE f(a,, b) INTO $upstream", ",", "remove one ','"),
    ("FROM /* WHERE f(a INTO $upstream", "INTO", "close the function's parenthesis with ')'"),
    ("FROM /* WHERE a = 'b' AND INTO $upstream", "INTO", "complete what 'AND' begins"),
    ("FROM /* WHERE a = 'b'", "", "add INTO and the sink, for example INTO $upstream"),
    ("FROM /* WHERE a = 'b'INTO $upstream", "$upstream", "put a space before INTO"),
    ("FROM /* WHERE a = 'b INTO $upstream", "'b INTO $upstream", "close it with '"),
    ("FROM /* WHERE a = \u2018b c\u2019 INTO $upstream", "c\u2019", "use straight quotes, ' or \""),
    ("FROM /* WHERE a = 'b'", "", "add INTO and the sink, for example INTO $upstream"),
    ("FROM /* INTO upstream", "upstream", "write $upstream"),
    ("FROM /* INTO $ upstream", "$", "write $upstream without a space"),
    ("FROM /* INTO $iothub", "$iothub", "write $upstream: there is no other system endpoint"),
    ("FROM /* INTO", "", 'write $upstream or BrokeredEndpoint("/modules/MODULE/inputs/INPUT")'),
    (
        "FROM /* INTO '/modules/m/inputs/i'",
        "'/modules/m/inputs/i'",
        'write BrokeredEndpoint("/modules/MODULE/inputs/INPUT")',
    ),
    (
        "FROM /* INTO Module('/modules/m/inputs/i')",
        "Module",
        'write BrokeredEndpoint("/modules/MODULE/inputs/INPUT") or $upstream',
    ),
    (
        "FROM /* INTO BrokeredEndpoint '/modules/m/inputs/i'",
        "'/modules/m/inputs/i'",
        'write BrokeredEndpoint("/modules/MODULE/inputs/INPUT")',
    ),
    ("FROM /* INTO BrokeredEndpoint(/modules/m/inputs/i)", "/", "put the address in quotes"),
    ("FROM /* INTO BrokeredEndpoint('/modules/m/inputs/i'", "", "add ')'"),
    ("FROM /* INTO BrokeredEndpoint(''/modules/m/inputs/i'')", "/", "put the address in quotes once"),
    (
        'FROM /* INTO BrokeredEndpoint(\\"/modules/m/inputs/i\\")',
        "\\",
        'remove the backslash: inside the JSON string a quote is written \\", in the route " or \'',
    ),
    ("FROM /* INTO BrokeredEndpoint('/modules/m')", "/modules/m", 'write "/modules/MODULE/inputs/INPUT"'),
    (
        "FROM /messages/* WHERE /* hot */ a = 'b' INTO $upstream",
        "a",
        "'/*' starts a comment, so '/* WHERE /* hot */' is left out: remove the '*/', or put the comment elsewhere",
    ),
]


@pytest.mark.parametrize(("text", "seen", "fix"), FIXES)
def test_a_mistake_is_pointed_at_with_its_fix(text: str, seen: str, fix: str) -> None:
    error = refusal(text)
    assert text[error.offset :][: error.length] == seen
    assert error.fix == fix


def test_a_route_that_ends_early_is_refused_at_its_end() -> None:
    error = refusal("FROM /messages/* INTO")
    assert (error.offset, error.length) == (21, 0)
    assert error.what.startswith("the route ends where $upstream or ")


def test_what_is_seen_is_shortened_and_made_printable() -> None:
    assert "\\x00" in refusal("FROM \x00x").what
    assert len(refusal("FROM " + "x" * 1_000_000).message) < 200


BROKEN = [
    ("(a = 'b'", "'(' is never closed", "(", "add ')'"),
    ("is_defined(a))", "')' closes nothing", ")", "remove it, or open '(' before it"),
    ("concat((a, b) = 'x'", "'(' is never closed", "(", "add ')'"),
    ("a @ b", "unknown character '@'", "@", "remove it"),
    ("{$a} @ {$b}", "unknown character '@'", "@", "remove it"),
    (
        "a = 'x\\y'",
        "unknown character '\\'",
        "\\",
        "write \\\\ for a backslash in a string, and only \\' \\\" and \\uXXXX otherwise",
    ),
]


@pytest.mark.parametrize(("condition", "message", "seen", "fix"), BROKEN)
def test_a_mistake_that_only_the_compiler_refuses_is_a_fault_of_the_tree(
    condition: str, message: str, seen: str, fix: str
) -> None:
    text = f"FROM /messages WHERE {condition} INTO $upstream"
    route = parse(text)
    assert isinstance(route.condition, Broken)
    assert route.condition.text == condition
    error = compile_check(route)[-1]
    assert (error.message, error.fix) == (message, fix)
    assert text[error.offset :][: error.length] == seen
    assert warnings(route) == []


LONG = {
    "20,000 open parentheses": ("(" * 20_000 + "a", "compile"),
    "20,000 pairs of parentheses": ("(" * 20_000 + "a = 'b'" + ")" * 20_000, "accept"),
    "20,000 closing parentheses": ("(a)" + ")" * 20_000, "parse"),
    "20,000 functions inside each other": ("f(" * 20_000 + "a" + ")" * 20_000, "compile"),
    "20,000 times NOT": ("NOT " * 20_000 + "true", "accept"),
    "20,000 times AND": ("true AND " * 20_000 + "true", "accept"),
    "20,000 unknown characters": (";" * 20_000, "compile"),
    "20,000 open texts": ("'\\x" * 20_000 + "a", "compile"),
    "20,000 open comments": ("a " + "/* " * 20_000, "parse"),
    "200 kB of one name": ("x" * 200_000 + " = 'a'", "accept"),
    "200 kB of one number": ("1" * 200_000 + " = 1", "accept"),
    "a body path of 200 kB": ("$body." + "a." * 100_000 + "a = 1", "accept"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LONG)
@pytest.mark.slow
def test_a_long_text_gets_its_answer_in_linear_time(name: str) -> None:
    condition, expected = LONG[name]
    try:
        route = parse(f"FROM /m WHERE {condition} INTO $upstream")
    except RouteSyntaxError:
        assert expected == "parse"
        return
    assert expected == ("compile" if compile_check(route) else "accept")
    assert to_text(route).startswith("FROM /m WHERE ")
    warnings(route)
