"""The terms of a query: functions from a document to a value, combined by `query`.

A value is any JSON value, or `UNDEFINED` if the document has none. `UNDEFINED` is not equal to anything, nor less, nor
greater, and a condition that evaluates to it is not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

Document = Mapping[str, Any]


class _Undefined(Enum):
    UNDEFINED = "undefined"


UNDEFINED: Final = _Undefined.UNDEFINED

Expression = Callable[[Document], Any]


def constant(value: Any) -> Expression:
    """The same value for every document."""
    return lambda document: value


def at(path: tuple[str, ...]) -> Expression:
    """The value at a path in a document."""

    def value(document: Document) -> Any:
        found: Any = document
        for name in path:
            if not isinstance(found, dict) or name not in found:
                return UNDEFINED
            found = found[name]
        return found

    return value


def both(left: Expression, right: Expression) -> Expression:
    """AND in three-valued logic: true, false and undefined."""

    def value(document: Document) -> Any:
        first = left(document)
        if first is False:
            return False
        second = right(document)
        if second is False:
            return False
        return True if first is True and second is True else UNDEFINED

    return value


def either(left: Expression, right: Expression) -> Expression:
    """OR in three-valued logic."""

    def value(document: Document) -> Any:
        first = left(document)
        if first is True:
            return True
        second = right(document)
        if second is True:
            return True
        return False if first is False and second is False else UNDEFINED

    return value


def negation(inner: Expression) -> Expression:
    """NOT: undefined for anything but true and false."""

    def value(document: Document) -> Any:
        found = inner(document)
        return not found if isinstance(found, bool) else UNDEFINED

    return value


def among(left: Expression, choices: tuple[Expression, ...]) -> Expression:
    """IN: whether a value is in a list."""

    def value(document: Document) -> Any:
        found = left(document)
        if found is UNDEFINED:
            return UNDEFINED
        return any(_equal(found, choice(document)) for choice in choices)

    return value


def contained(array: Expression, sought: Expression) -> Expression:
    """ARRAY_CONTAINS: whether a value is an element of an array; undefined for anything else than an array."""

    def value(document: Document) -> Any:
        elements, found = array(document), sought(document)
        if not isinstance(elements, list) or found is UNDEFINED:
            return UNDEFINED
        return any(_equal(element, found) for element in elements)

    return value


def _equal(left: Any, right: Any) -> bool:
    # In Python, True equals 1; in JSON it does not.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compare(left: Any, right: Any) -> Any:
        alike = (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))
        return test(left, right) if alike else UNDEFINED

    return compare


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<>": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}


def compare(test: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    """A comparison; undefined if either side is."""

    def value(document: Document) -> Any:
        first, second = left(document), right(document)
        if first is UNDEFINED or second is UNDEFINED:
            return UNDEFINED
        return test(first, second)

    return value


def calculate(sign: str, left: Expression, right: Expression) -> Expression:
    """An operation on two numbers; undefined for anything else, and for a division by zero."""

    def value(document: Document) -> Any:
        first, second = left(document), right(document)
        if not (is_number(first) and is_number(second)):
            return UNDEFINED
        if sign == "+":
            return first + second
        if sign == "-":
            return first - second
        if sign == "*":
            return first * second
        if second == 0:
            return UNDEFINED
        return first / second if sign == "/" else first % second

    return value


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "is_defined": lambda value: value is not UNDEFINED,
    "is_null": lambda value: value is None,
    "is_bool": lambda value: isinstance(value, bool),
    "is_number": is_number,
    "is_string": lambda value: isinstance(value, str),
    "is_object": lambda value: isinstance(value, dict),
    "is_array": lambda value: isinstance(value, list),
    "is_primitive": lambda value: value is None or isinstance(value, str | int | float | bool),
}
TEXT_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startswith": str.startswith,
    "starts_with": str.startswith,
    "endswith": str.endswith,
    "ends_with": str.endswith,
    "contains": lambda text, part: part in text,
}


def tested(test: Callable[[Any], bool], argument: Expression) -> Expression:
    """A function of one argument, such as IS_DEFINED."""
    return lambda document: test(argument(document))


def text_tested(test: Callable[[str, str], bool], text: Expression, part: Expression) -> Expression:
    """A function of two strings, such as STARTSWITH; undefined for anything else."""

    def value(document: Document) -> Any:
        first, second = text(document), part(document)
        return test(first, second) if isinstance(first, str) and isinstance(second, str) else UNDEFINED

    return value
