"""Limits the resources of a template: it is a program, and could loop for years or fill the memory.

This needs no thread or signal: the template's steps are counted as it runs, and an operation whose result can be much
larger than its operands is checked before it runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from jinja2 import TemplateRuntimeError

#: Rounds of loops, and calls of macros, functions and filters.
STEPS: Final = 1_000_000
#: Characters, and elements of lists and objects, in the output and in intermediate results. IoT Hub accepts a
#: manifest of less than a tenth of that.
SIZE: Final = 5_000_000
#: Seconds; only for work that both counts miss, such as a million searches in a long text.
SECONDS: Final = 30.0

_BITS: Final = 16_384  # of a whole number
_GROWING_FILTERS: Final = frozenset({"batch", "format", "indent", "join", "replace", "wordwrap"})
_GROWING_METHODS: Final = frozenset({"expandtabs", "format", "format_map", "join", "replace", "translate"})
# Those that take a width, or a count, as a number.
_WIDE: Final = frozenset(
    {"batch", "center", "expandtabs", "indent", "ljust", "rjust", "slice", "to_bytes", "wordwrap", "zfill"}
)


class LimitError(TemplateRuntimeError):
    """A template exceeds a limit."""


class _Budget:
    """The resources that one rendering has used."""

    __slots__ = ("cpu_ends", "ends", "size", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.size = 0
        self.ends = time.monotonic() + SECONDS
        # This thread's CPU time: a busy machine must not end a template. Reading it is slower than a wall clock.
        self.cpu_ends = time.thread_time() + SECONDS


_budget: ContextVar[_Budget | None] = ContextVar("_budget", default=None)


@contextmanager
def limited() -> Iterator[None]:
    """Count the work inside the block, from zero; each thread has its own count."""
    token = _budget.set(_Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def spend(size: int = 0) -> bool:
    """Count a step and the size of its result; always True, so that a condition can begin with it.

    Raises:
        LimitError: a limit is exceeded.
    """
    budget = _budget.get()
    if budget is None:
        return True
    budget.steps += 1
    budget.size += size
    if budget.steps > STEPS:
        raise LimitError(f"the template takes more than {STEPS:,} steps")
    if budget.size > SIZE:
        raise _too_large()
    if time.monotonic() > budget.ends and time.thread_time() > budget.cpu_ends:
        raise LimitError(f"the template takes longer than {SECONDS:.0f} seconds")
    return True


def count_text(size: int) -> None:
    """Count text that is output.

    Raises:
        LimitError: a limit is exceeded.
    """
    budget = _budget.get()
    if budget is not None:
        budget.size += size
        if budget.size > SIZE:
            raise _too_large()


def weigh(*values: Any) -> int:
    """Characters and elements in values, at any depth; a list in two places counts twice, since it is output twice.

    Raises:
        LimitError: more than `SIZE`.
    """
    total = 0
    open_ = list(values)
    while open_:
        value = open_.pop()
        total += 1
        if isinstance(value, str | bytes):
            total += len(value)
        elif isinstance(value, dict):
            open_ += value.keys()
            open_ += value.values()
        elif isinstance(value, list | tuple | set):
            open_ += value
        if total + len(open_) > SIZE:
            raise _too_large()
    return total


def check_operands(operator: str, left: Any, right: Any) -> None:
    """Check the operands of `+`, `*`, `**` or `%` before the operation.

    Raises:
        LimitError: the result would be too large.
    """
    if operator == "%" and isinstance(left, str):
        _check_growth(left, [right])
    elif isinstance(left, int) and isinstance(right, int):
        power = operator == "**"
        bits = left.bit_length() * max(right, 0) if power else left.bit_length() + right.bit_length()
        if bits > _BITS:
            raise LimitError("a number is too large")
    elif operator == "*":
        _check_product(left, right)
    elif operator == "+" and not isinstance(left, int | float):
        spend(weigh(left, right))


def _check_product(left: Any, right: Any) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, int) and hasattr(other, "__len__"):
            if max(one, 0) * len(other) > SIZE:
                raise _too_large()
            spend(max(one, 0) * len(other))


def bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A Jinja filter that counts its input and output; frequent ones without a new result are not wrapped."""
    if name in ("d", "default"):
        return function
    growing = name in _GROWING_FILTERS

    @wraps(function)  # also copies Jinja's markers, which are attributes
    def run(*arguments: Any, **named: Any) -> Any:
        others = (*arguments, *named.values())
        _check_arguments(name, others[1:])
        spend(weigh(*others) // 100)
        if growing:
            _check_growth(next((item for item in others if isinstance(item, str | list | tuple)), ""), others)
        if name == "round":
            _check_precision(others[1:])
        result = function(*arguments, **named)
        spend(weigh(result))
        return result

    return run


def check_call(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Check a call before it is made.

    Raises:
        LimitError: the result would be too large.
    """
    others = (*arguments, *named.values())
    name = getattr(function, "__name__", "")
    _check_arguments(name, others)
    spend(weigh(*others) // 100)
    owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
    if isinstance(owner, str | bytes) and name in _GROWING_METHODS:
        _check_growth(owner, others)


def count_result(function: Any, result: Any) -> None:
    """Count the result of a call, or the object that it changed, as `list.extend` does.

    Raises:
        LimitError: a limit is exceeded.
    """
    owner = getattr(function, "__self__", None)
    spend(weigh(result) + (len(owner) if isinstance(owner, list | dict) else 0))


def add_up(items: Iterable[Any], start: Any) -> Any:
    """`sum`: a `+` for each item.

    Raises:
        LimitError: the result would be too large.
    """
    total = start
    for item in items:
        check_operands("+", total, item)
        total = total + item
    return total


def _check_arguments(name: str, arguments: Iterable[Any]) -> None:
    if name in _WIDE and any(isinstance(item, int) and abs(item) > SIZE for item in arguments):
        raise _too_large()


def _check_growth(text: Any, arguments: Iterable[Any]) -> None:
    """Check calls that may insert a long text, or many blanks, at many places of another."""
    widest, longest = 0, 1
    for argument in arguments:
        if argument is text:
            continue
        values = argument if isinstance(argument, list | tuple) else (argument,)
        widest = max(widest, *(abs(value) if isinstance(value, int) else 0 for value in (*values, 0)))
        longest = max(longest, weigh(argument))
    written = sum(int(digits[:9]) for digits in re.findall("[0-9]+", text)) if isinstance(text, str) else 0
    # Ten times the limit, since this is only an upper bound: the actual size is counted afterwards.
    if weigh(text) * max(widest, longest) > 10 * SIZE or written > 10 * SIZE:
        raise _too_large()


def _check_precision(arguments: Iterable[Any]) -> None:
    if any(isinstance(item, int) and abs(item) > 300 for item in arguments):
        raise LimitError("a number is too large")


def _too_large() -> LimitError:
    return LimitError(f"the template makes more than {SIZE:,} characters or elements")
