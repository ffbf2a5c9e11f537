"""A tree as text again: one blank round every operator, only the parentheses that are needed.

`parse(to_text(route)) == route`, for every route that `parse` gives.
"""

from __future__ import annotations

import re
from typing import Final

from manifestgen.manifest.route.tree import (
    PRECEDENCE,
    Binary,
    Call,
    Expression,
    ModuleInput,
    Property,
    Route,
    SystemProperty,
    Unary,
)

_BARE_DOUBLE_QUOTE: Final = r'(?<!\\)(?:\\\\)*"'


def to_text(route: Route) -> str:
    """A route on one line; what followed its sink is left out."""
    rest = "" if route.condition is None else f" WHERE {condition_text(route.condition)}"
    sink = route.sink
    if isinstance(sink, ModuleInput):
        quote = "'" if re.search(_BARE_DOUBLE_QUOTE, sink.address) else '"'
        rest += f" INTO BrokeredEndpoint({quote}{sink.address}{quote})"
    else:
        rest += " INTO $upstream"
    path = route.source.path
    if "*/" in path + rest:
        path = path.replace("/*", "/ *")  # or it would start a comment
    return f"FROM {path}{rest}"


def condition_text(expression: Expression) -> str:
    """A condition on one line. Without recursion, for trees of any depth."""
    written: list[str] = []
    pending: list[str | Expression] = [expression]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            written.append(item)
        elif isinstance(item, Binary):
            precedence = PRECEDENCE[item.operator]
            _push(pending, item.right, isinstance(item.right, Binary) and PRECEDENCE[item.right.operator] <= precedence)
            pending.append(f" {item.operator} ")
            _push(pending, item.left, isinstance(item.left, Binary) and PRECEDENCE[item.left.operator] < precedence)
        elif isinstance(item, Unary):
            _push(pending, item.operand, isinstance(item.operand, Binary))
            pending.append(f"{item.operator} ")
        elif isinstance(item, Call):
            pending.append(")")
            for position, argument in enumerate(reversed(item.arguments)):
                if position:
                    pending.append(", ")
                pending.append(argument)
            pending.append(f"{item.name}(")
        elif isinstance(item, Property):
            written.append(item.name)
        elif isinstance(item, SystemProperty):
            written.append(f"{{{item.name}}}" if item.escaped else item.name)
        else:
            written.append(item.text)
    return "".join(written)


def _push(pending: list[str | Expression], operand: Expression, parenthesized: bool) -> None:
    if parenthesized:
        pending += (")", operand, "(")
    else:
        pending.append(operand)
