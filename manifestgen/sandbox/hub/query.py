"""The query language of IoT Hub, as far as queries about fleets of edge devices need it.

    SELECT [TOP number] * | column [AS name], … | aggregate [AS name], …  FROM devices | devices.modules
        [WHERE condition]  [GROUP BY column, …]

An aggregate is COUNT(), SUM(column), AVG(column), MIN(column) or MAX(column).

A target condition is just a condition. A query is compiled once to a tree of closures, which is then evaluated on each
document, so a query over a hundred thousand devices takes seconds.
Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-query-language and query-twins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from manifestgen.sandbox.hub.query_groups import AGGREGATES, Aggregate
from manifestgen.sandbox.hub.query_terms import (
    COMPARISONS,
    TESTS,
    TEXT_TESTS,
    UNDEFINED,
    Document,
    Expression,
    among,
    at,
    both,
    calculate,
    compare,
    constant,
    contained,
    either,
    negation,
    tested,
    text_tested,
)
from manifestgen.sandbox.hub.query_tokens import QueryError, Token, tokens, unquote

__all__ = ["Column", "Condition", "Query", "QueryError", "parse", "parse_condition"]

Condition = Callable[[Document], bool]

_ARRAY_TEST: Final = "array_contains"


@dataclass(frozen=True)
class Column:
    """One column of a projection: its name in the result, and a function that finds its value."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Query:
    """A parsed query.

    Attributes:
        source: `devices` or `devices.modules`.
        columns: None for `*`.
        aggregates: what is calculated over all matching documents, or over each group of them.
        matches: whether a document is part of the result.
        only: by `deviceId` and `moduleId`, the only IDs that can meet the condition, if it names any.
        group: the values that make a group; None without GROUP BY.
        top: the largest number of rows; None for no limit.
    """

    source: Literal["devices", "devices.modules"]
    columns: tuple[Column, ...] | None
    aggregates: tuple[Aggregate, ...]
    matches: Condition
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    group: tuple[Expression, ...] | None = None
    top: int | None = None

    @property
    def count(self) -> str | None:
        """The result's name for a lone `COUNT()`; None for every other query."""
        alone = len(self.aggregates) == 1 and self.aggregates[0].kind == "count" and not self.columns
        return self.aggregates[0].name if alone and self.group is None else None

    @property
    def grouped(self) -> bool:
        """Whether a row of the result stands for several documents."""
        return self.group is not None or bool(self.aggregates)

    def project(self, document: Document) -> dict[str, Any]:
        """The document in the result; columns that it lacks are left out."""
        if self.columns is None:
            return dict(document)
        found = ((column.name, column.value(document)) for column in self.columns)
        return {name: value for name, value in found if value is not UNDEFINED}


def parse(text: str) -> Query:
    """Parse a query. Raises QueryError."""
    parser = _Parser(text)
    query = parser.query()
    parser.end()
    return query


def parse_condition(text: str) -> Condition:
    """Parse a target condition: `*` matches all devices, a blank string none. Raises QueryError."""
    stripped = text.strip()
    if stripped == "*":
        return lambda document: True
    if not stripped:
        return lambda document: False
    parser = _Parser(text)
    condition = parser.expression()
    parser.end()
    return lambda document: condition(document) is True


class _Parser:
    """A recursive-descent parser; its depth is bounded because the text is untrusted."""

    _DEEPEST: Final = 100

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._at = 0
        self._depth = 0
        # Facts about terms: the value of strings, which terms are an ID, and the IDs that can meet a condition.
        self._texts: dict[Expression, str] = {}
        self._ids: dict[Expression, str] = {}
        self._only: dict[Expression, Mapping[str, frozenset[str]]] = {}
        self._selected: list[tuple[str, ...]] = []

    def query(self) -> Query:
        self._expect("keyword", "SELECT")
        top = self._top()
        columns, aggregates = self._selection()
        self._expect("keyword", "FROM")
        source = self._source()
        matches: Condition = lambda document: True  # noqa: E731 - the condition below is a closure as well
        only: Mapping[str, frozenset[str]] = {}
        if self._take("keyword", "WHERE"):
            condition = self.expression()
            matches, only = (lambda document: condition(document) is True), self._only.get(condition, {})
        paths = self._group()
        group = None if paths is None else tuple(at(path) for path in paths)
        loose = [path for path in self._selected if path not in (paths or ())]
        if (aggregates or group is not None) and (columns is None or loose):
            raise QueryError("each selected column must be in GROUP BY, or in an aggregate such as COUNT()")
        return Query(source, columns, aggregates, matches, only, group, top)

    def _top(self) -> int | None:
        if not self._take("keyword", "TOP"):
            return None
        number = self._number()
        if not isinstance(number, int) or number < 1:
            raise QueryError("expected a whole number of at least 1 after TOP")
        return number

    def _group(self) -> tuple[tuple[str, ...], ...] | None:
        if not self._take("keyword", "GROUP"):
            return None
        self._expect("keyword", "BY")
        paths = [self._path(self._expect("name"))]
        while self._take("sign", ","):
            paths.append(self._path(self._expect("name")))
        return tuple(paths)

    def end(self) -> None:
        if self._now.kind != "end":
            raise self._unexpected("the end")

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _unexpected(self, expected: str) -> QueryError:
        seen = repr(self._now.text) if self._now.text else "the end"
        return QueryError(f"expected {expected} but found {seen} at {self._now.offset}")

    def _take(self, kind: str, text: str | None = None) -> Token | None:
        token = self._now
        if token.kind == kind and (text is None or token.text == text):
            self._at += 1
            return token
        return None

    def _expect(self, kind: str, text: str | None = None) -> Token:
        token = self._take(kind, text)
        if token is None:
            raise self._unexpected(text or f"a {kind}")
        return token

    def _selection(self) -> tuple[tuple[Column, ...] | None, tuple[Aggregate, ...]]:
        if self._take("sign", "*"):
            return None, ()
        columns: list[Column] = []
        aggregates: list[Aggregate] = []
        while True:
            first = self._expect("name")
            if first.text.lower() in AGGREGATES and self._take("sign", "("):
                aggregates.append(self._aggregate(first.text.lower(), len(columns) + len(aggregates) + 1))
            else:
                path = self._path(first)
                self._selected.append(path)
                columns.append(Column(self._alias(path[-1]), at(path)))
            if not self._take("sign", ","):
                return tuple(columns), tuple(aggregates)

    def _aggregate(self, kind: str, number: int) -> Aggregate:
        """After the opening parenthesis; `number` is the column's, for the name of one without AS."""
        value = constant(1)
        if kind == "count":
            self._take("sign", "*")
        else:
            value = at(self._path(self._expect("name")))
        self._expect("sign", ")")
        return Aggregate(self._alias(f"${number}"), kind, value)

    def _alias(self, default: str) -> str:
        return self._expect("name").text if self._take("keyword", "AS") else default

    def _source(self) -> Literal["devices", "devices.modules"]:
        source = ".".join(self._path(self._expect("name"))).lower()
        if source == "devices":
            return "devices"
        if source == "devices.modules":
            return "devices.modules"
        raise QueryError(f"expected devices or devices.modules after FROM but found {source!r}")

    def _path(self, first: Token) -> tuple[str, ...]:
        """`a.b`, `a.[[any text]].b`, `a['any text']`."""
        path = [first.text]
        while True:
            if self._take("sign", "."):
                quoted = self._take("quoted")
                if quoted is not None:
                    path.append(quoted.text[2:-2])
                else:
                    # After the first name, keywords are ordinary names: tags.group
                    token = self._take("keyword") or self._expect("name")
                    path.append(self._text[token.offset : token.offset + len(token.text)])
            elif (quoted := self._take("quoted")) is not None:
                path.append(quoted.text[2:-2])
            elif self._now.text == "[" and self._tokens[self._at + 1].kind == "string":
                self._at += 1
                path.append(unquote(self._expect("string").text))
                self._expect("sign", "]")
            else:
                return tuple(path)

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > self._DEEPEST:
            raise QueryError(f"more than {self._DEEPEST} levels of nesting")
        left = self._conjunction()
        while self._take("keyword", "OR"):
            right = self._conjunction()
            joined = either(left, right)
            one, other = self._only.get(left, {}), self._only.get(right, {})
            self._only[joined] = {name: one[name] | other[name] for name in one.keys() & other.keys()}
            left = joined
        self._depth -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._take("keyword", "AND"):
            right = self._negation()
            joined = both(left, right)
            one, other = self._only.get(left, {}), self._only.get(right, {})
            both_named = {name: one[name] & other[name] for name in one.keys() & other.keys()}
            self._only[joined] = {**one, **other, **both_named}
            left = joined
        return left

    def _negation(self) -> Expression:
        negations = 0
        while self._take("keyword", "NOT"):
            negations += 1
        inner = self._comparison()
        return negation(inner) if negations % 2 else inner

    def _comparison(self) -> Expression:
        left = self._sum()
        token = self._now
        if token.kind == "sign" and token.text in COMPARISONS:
            self._at += 1
            right = self._sum()
            compared = compare(COMPARISONS[token.text], left, right)
            if token.text == "=":
                self._note_ids(compared, left, (right,))
                self._note_ids(compared, right, (left,))
            return compared
        if token.kind == "keyword" and token.text in ("IN", "NIN"):
            self._at += 1
            choices = self._list()
            inside = among(left, choices)
            self._note_ids(inside, left, choices)
            return inside if token.text == "IN" else negation(inside)
        if token.kind == "keyword" and token.text == "NOT" and self._tokens[self._at + 1].text == "IN":
            self._at += 2
            return negation(among(left, self._list()))
        return left

    def _note_ids(self, condition: Expression, term: Expression, choices: tuple[Expression, ...]) -> None:
        if term in self._ids and all(choice in self._texts for choice in choices):
            self._only[condition] = {self._ids[term]: frozenset(self._texts[choice] for choice in choices)}

    def _list(self) -> tuple[Expression, ...]:
        self._expect("sign", "[")
        values = [self._sum()]
        while self._take("sign", ","):
            values.append(self._sum())
        self._expect("sign", "]")
        return tuple(values)

    def _sum(self) -> Expression:
        left = self._product()
        while self._now.kind == "sign" and self._now.text in ("+", "-"):
            sign = self._expect("sign").text
            left = calculate(sign, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._primary()
        while self._now.kind == "sign" and self._now.text in ("*", "/", "%"):
            sign = self._expect("sign").text
            left = calculate(sign, left, self._primary())
        return left

    def _primary(self) -> Expression:
        if self._take("sign", "("):
            inner = self.expression()
            self._expect("sign", ")")
            return inner
        if self._take("sign", "-"):
            return calculate("-", constant(0), constant(self._number()))
        if (token := self._take("string")) is not None:
            text = unquote(token.text)
            term = constant(text)
            self._texts[term] = text
            return term
        if self._now.kind == "number":
            return constant(self._number())
        if (token := self._take("name")) is not None:
            return self._named(token)
        raise self._unexpected("a value")

    def _number(self) -> int | float:
        text = self._expect("number").text
        return float(text) if re.search(r"[.eE]", text) else int(text)

    def _named(self, token: Token) -> Expression:
        word = token.text.lower()
        if self._now.text == "(" and self._now.kind == "sign":
            return self._call(word)
        if word in ("true", "false"):
            return constant(word == "true")
        if word == "null":
            return constant(None)
        path = self._path(token)
        term = at(path)
        if path in (("deviceId",), ("moduleId",)):
            self._ids[term] = path[0]
        return term

    def _call(self, name: str) -> Expression:
        self._expect("sign", "(")
        arguments: list[Expression] = []
        if not self._take("sign", ")"):
            arguments.append(self.expression())
            while self._take("sign", ","):
                arguments.append(self.expression())
            self._expect("sign", ")")
        if name in TESTS and len(arguments) == 1:
            return tested(TESTS[name], arguments[0])
        if name in TEXT_TESTS and len(arguments) == 2:
            return text_tested(TEXT_TESTS[name], *arguments)
        if name == _ARRAY_TEST and len(arguments) == 2:
            return contained(*arguments)
        if name in (*TESTS, *TEXT_TESTS, _ARRAY_TEST):
            raise QueryError(f"{name.upper()} does not take {len(arguments)} arguments")
        raise QueryError(f"unknown function {name.upper()!r}")
