"""From words to a route, as the runtime's generated parser takes them.

The grammar, with the words of `lexer`:

    route      = [ SELECT "*" ] FROM source [ WHERE condition ] INTO sink      the rest is never looked at
    source     = "/" item { "/" item }
    item       = "*" | name
    sink       = system-name | name "(" string ")"
    condition  = operand { operator operand }                                 operators: see tree.PRECEDENCE
    operand    = "-" operand | NOT operand | "(" condition ")" | name "(" [ condition { "," condition } ] ")"
               | literal | name | system-name | "{" system-name "}"

Conditions are parsed with an explicit stack instead of recursion, so no text is too deep or too long, and the time
is linear in its length. (The runtime's parser recurses and runs out of stack far earlier; `warning` reports that.)

The runtime's grammar continues where this one stops: rules for unknown characters, texts that are not closed, missing
and surplus parentheses, with which a condition passes the parser and fails in the compiler. See `fault`.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, grammar/Route.g4, grammar/Condition.g4, RouteFactory.cs.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from manifestgen.manifest.route import lexer
from manifestgen.manifest.route.hint import SINKS, unexpected
from manifestgen.manifest.route.lexer import END, NAME, STRING, SYSTEM, Tokens, tokenize
from manifestgen.manifest.route.sink import ENDPOINT, function_sink, system_sink
from manifestgen.manifest.route.tree import (
    PRECEDENCE,
    PREFIX,
    Binary,
    Call,
    Expression,
    Literal,
    ModuleInput,
    Property,
    Route,
    Source,
    SystemProperty,
    Unary,
    Upstream,
)

_LITERALS: Final = {
    STRING: "string",
    lexer.INTEGER: "number",
    lexer.HEX: "number",
    lexer.REAL: "number",
    "true": "bool",
    "false": "bool",
    "null": "null",
    "undefined": "undefined",
}


def parse(text: str) -> Route:
    """Read a route.

    Raises:
        RouteSyntaxError: for the first thing that the runtime's parser would refuse.
    """
    tokens = tokenize(text)
    kinds = tokens.kinds
    index = 0
    if kinds[0] == "SELECT":
        if kinds[1] != "*":
            raise unexpected(tokens, 1, ("*",), part="start")
        index = 2
    if kinds[index] != "FROM":
        raise unexpected(tokens, index, ("FROM",) if index else ("FROM", "SELECT *"), part="start")
    source, index = _source(tokens, index + 1)
    condition = None
    if kinds[index] == "WHERE":
        condition, index = _condition(tokens, index + 1, "INTO")
    elif kinds[index] != "INTO":
        raise unexpected(tokens, index, ("/", "WHERE", "INTO"), part="source")
    sink, tail = _sink(tokens, index + 1)
    return Route(source, condition, sink, text, tail)


def parse_condition(text: str) -> Expression:
    """Read a condition alone, all of it; in a route it is between WHERE and INTO.

    Raises:
        RouteSyntaxError: as `parse`.
    """
    return _condition(tokenize(text), 0, END)[0]


def _source(tokens: Tokens, start: int) -> tuple[Source, int]:
    kinds = tokens.kinds
    index = start
    while kinds[index] == "/":
        if kinds[index + 1] not in ("*", NAME):
            raise unexpected(tokens, index + 1, ("*", "a name"), part="source")
        index += 2
    if index == start:
        raise unexpected(tokens, index, ("/",), part="source")
    offset, end = tokens.start(start), tokens.end(index - 1)
    path = tokens.text[offset:end]
    if re.search(r"\s", path) or "*/" in path:
        path = "".join([tokens.word(i) for i in range(start, index)])
    return Source(path, offset, end - offset), index


def _sink(tokens: Tokens, index: int) -> tuple[Upstream | ModuleInput, int]:
    kinds = tokens.kinds
    if kinds[index] == SYSTEM:
        return system_sink(tokens.word(index), tokens.start(index)), tokens.end(index)
    if kinds[index] != NAME:
        raise unexpected(tokens, index, SINKS, part="sink")
    if kinds[index + 1] != "(" and tokens.word(index).lower() != ENDPOINT.lower():
        raise unexpected(tokens, index, SINKS, part="sink")
    for step, expected in ((1, "("), (2, STRING), (3, ")")):
        if kinds[index + step] != expected:
            wanted = '"/modules/MODULE/inputs/INPUT"' if expected == STRING else expected
            raise unexpected(tokens, index + step, (wanted,), part="address" if step > 1 else "sink")
    sink = function_sink(tokens.word(index), tokens.start(index), tokens.word(index + 2), tokens.start(index + 2))
    return sink, tokens.end(index + 3)


def _condition(tokens: Tokens, start: int, until: str) -> tuple[Expression, int]:
    expression, index = _expression(tokens, start)
    if expression is None or tokens.kinds[index] != until:
        # Few routes are wrong, and the others need not wait for this import.
        from manifestgen.manifest.route.fault import break_down

        return break_down(tokens, start, until)
    return expression, index


# An entry that waits for its right operand, or for its closing parenthesis: a precedence, `_GROUP` or `_CALL`; the
# word; its offset; and for a function, how many operands there were before its first argument.
_Open: TypeAlias = tuple[int, str, int, int]

_GROUP: Final = 0
_CALL: Final = -1


def _expression(tokens: Tokens, index: int) -> tuple[Expression | None, int]:
    """The longest condition that starts here and the index behind it; None if there is none."""
    kinds, word, start_of = tokens.kinds, tokens.word, tokens.start
    operands: list[Expression] = []
    stack: list[_Open] = []
    while True:
        kind = kinds[index]
        if kind == NAME:
            if kinds[index + 1] != "(":
                operands.append(Property(word(index), start_of(index)))
            else:
                stack.append((_CALL, word(index), start_of(index), len(operands)))
                index += 2
                if kinds[index] != ")":
                    continue
                _close(stack, operands)
        elif kind == SYSTEM:
            name = word(index)
            operands.append(SystemProperty(name, False, start_of(index), len(name)))
        elif kind in _LITERALS:
            operands.append(Literal(_LITERALS[kind], word(index), start_of(index)))
        elif kind == "(":
            stack.append((_GROUP, kind, start_of(index), 0))
            index += 1
            continue
        elif kind == "-" or kind == "NOT":
            stack.append((PREFIX, kind, start_of(index), 0))
            index += 1
            continue
        elif kind == "{" and kinds[index + 1] == SYSTEM and kinds[index + 2] == "}":
            offset = start_of(index)
            operands.append(SystemProperty(word(index + 1), True, offset, start_of(index + 2) + 1 - offset))
            index += 2
        else:
            return None, index
        index += 1
        # An operand is complete; whatever can follow it decides how much of the stack is complete with it.
        while True:
            kind = kinds[index]
            precedence = PRECEDENCE.get(kind, 0)
            while stack and stack[-1][0] > 0 and stack[-1][0] >= precedence:
                _reduce(stack.pop(), operands)
            if precedence:
                stack.append((precedence, kind, start_of(index), 0))
                break
            if kind == ")" and stack:
                _close(stack, operands)
                index += 1
            elif kind == "," and stack and stack[-1][0] == _CALL:
                break
            elif stack:
                return None, index
            else:
                return operands[0], index
        index += 1


def _reduce(operator: _Open, operands: list[Expression]) -> None:
    precedence, word, offset, _ = operator
    right = operands.pop()
    if precedence == PREFIX:
        operands.append(Unary(word, right, offset))
    else:
        operands.append(Binary(word, operands.pop(), right, offset))


def _close(stack: list[_Open], operands: list[Expression]) -> None:
    precedence, name, offset, first_argument = stack.pop()
    if precedence == _CALL:
        arguments = tuple(operands[first_argument:])
        del operands[first_argument:]
        operands.append(Call(name, arguments, offset, len(name)))
