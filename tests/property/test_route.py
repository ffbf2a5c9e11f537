"""Whatever the text, an answer; whatever the tree, the same tree again from its text."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.manifest.route import (
    Binary,
    Broken,
    Call,
    Expression,
    Literal,
    ModuleInput,
    Property,
    Route,
    RouteSyntaxError,
    RouteTypeError,
    RouteWarning,
    Source,
    SystemProperty,
    Unary,
    Upstream,
    compile_check,
    condition_text,
    parse,
    parse_condition,
    source_modules,
    to_text,
    type_of,
    warnings,
)
from manifestgen.manifest.route.lexer import NAME, STRING, SYSTEM, tokenize
from manifestgen.manifest.route.tree import PRECEDENCE

ANYTHING = st.text(st.characters(codec=None, categories=None), max_size=60)
WORDS = st.sampled_from(
    [
        *("FROM", "from", "WHERE", "INTO", "SELECT", "AND", "or", "Not", "$upstream", "BrokeredEndpoint", "messages"),
        *("/", "*", "/*", "*/", "(", ")", ")", "{", "}", ",", "=", "!=", "<>", "<", ">=", "+", "-", "%", "||", "??"),
        *("'a'", '"b"', "'/modules/m/inputs/i'", "'", '"', "\\", ";", "@", "?", "1", "-2", ".5", "0x1F", "e5", "a[0]"),
        *(
            "true",
            "null",
            "undefined",
            "TRUE",
            "a",
            "b-c",
            "$x",
            "$body.a",
            "$body.a[0]",
            "$body.",
            "is_defined(",
            "f(",
        ),
        *(" ", " ", " ", "\n", "\u00a0", "\x00", "\ud800", "modules", "outputs", "FROM /m WHERE ", " INTO $upstream"),
    ]
)
ROUTE_LIKE = st.lists(WORDS, max_size=25).map("".join)
CONDITION_LIKE = st.lists(WORDS, max_size=12).map(lambda words: f"FROM /m WHERE {' '.join(words)} INTO $upstream")


def inside(text: str, offset: int, length: int) -> bool:
    return offset >= 0 and length >= 0 and offset + length <= len(text)


@settings(deadline=None)
@given(st.one_of(ANYTHING, ROUTE_LIKE, CONDITION_LIKE))
def test_any_text_is_a_route_or_has_a_syntax_error_inside_it(text: str) -> None:
    try:
        route = parse(text)
    except RouteSyntaxError as error:
        assert inside(text, error.offset, error.length)
        assert error.what and error.fix and "\n" not in error.message
        return
    assert route.text == text
    assert 0 < route.tail <= len(text)
    assert inside(text, route.source.offset, route.source.length)
    assert inside(text, route.sink.offset, route.sink.length)
    findings: list[RouteTypeError | RouteWarning] = [*compile_check(route), *warnings(route)]
    for finding in findings:
        assert inside(text, finding.offset, finding.length)
        assert finding.message and finding.fix and "\n" not in finding.message
    if module := source_modules(route):
        assert inside(text, module.offset, module.length)
    if isinstance(route.condition, Broken):
        assert route.condition.faults
    elif route.condition is not None:
        assert (type_of(route.condition) is None) == bool(compile_check(route))
    assert parse(to_text(route)) == route


@given(st.one_of(ANYTHING, ROUTE_LIKE))
def test_words_are_in_order_and_leave_out_blanks_and_comments_only(text: str) -> None:
    tokens = tokenize(text)
    end = 0
    for index in range(len(tokens.kinds)):
        gap = text[end : tokens.start(index)]
        while comment := gap.strip(" \t\r\n"):
            assert comment.startswith("/*") and "*/" in comment[2:]
            gap = comment[comment.index("*/", 2) + 2 :]
        end = tokens.end(index)
    assert end == len(text)


def is_one_word(kind: str) -> Callable[[str], bool]:
    return lambda text: tokenize(text).kinds[:-1] == [kind]


NAMES = st.text(st.sampled_from("abZ01_.-+!'é#&"), min_size=1, max_size=6).filter(is_one_word(NAME))
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    NAMES.map(Property),
    st.builds(SystemProperty, NAMES.map("${}".format).filter(is_one_word(SYSTEM)), st.booleans()),
    st.sampled_from(["1", "-1", "0x1F", "1.5e3", "e5", "-.5"]).map(lambda text: Literal("number", text)),
    st.sampled_from(["'a'", '"it\'s"', "'\\''", '"*/"', "'/*'"]).map(lambda text: Literal("string", text)),
    st.sampled_from(["true", "false"]).map(lambda text: Literal("bool", text)),
    st.sampled_from(["null", "undefined"]).map(lambda text: Literal(text, text)),
)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Binary, st.sampled_from(sorted(PRECEDENCE)), inner, inner),
        st.builds(Unary, st.sampled_from(["-", "NOT"]), inner),
        st.builds(Call, NAMES, st.lists(inner, max_size=3).map(tuple)),
    )


EXPRESSIONS = st.recursive(LEAVES, branches, max_leaves=20)
SOURCES = st.lists(st.one_of(st.just("*"), NAMES, NAMES.map("*{}".format).filter(is_one_word(NAME))), min_size=1).map(
    lambda parts: Source("".join(f"/{part}" for part in parts))
)
PARTS = st.text(st.sampled_from("abc $.'é"), max_size=5).filter(lambda part: part == part.strip())
SINKS = st.one_of(
    st.just(Upstream()),
    st.builds(lambda module, name: ModuleInput(module, name, f"/modules/{module}/inputs/{name}"), PARTS, PARTS)
    .filter(lambda sink: bool(sink.input))
    .filter(lambda sink: is_one_word(STRING)(f'"{sink.address}"')),
)


@given(EXPRESSIONS)
def test_a_condition_written_and_read_is_the_same(expression: Expression) -> None:
    assert parse_condition(condition_text(expression)) == expression


@given(SOURCES, st.none() | EXPRESSIONS, SINKS)
def test_a_route_written_and_read_is_the_same(
    source: Source, condition: Expression | None, sink: Upstream | ModuleInput
) -> None:
    route = Route(source, condition, sink)
    assert parse(to_text(route)) == route
