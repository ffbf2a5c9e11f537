"""Mistakes in a condition for which the runtime's grammar has explicit rules.

A condition with one of these passes the parser: the manifest is accepted, 200 reported, and the compiler rejects the
route afterwards. The rules, added to those of `parser`:

    operand   = unknown | unknown operand | "(" condition | unclosed-string
              | "(" condition ")" ")" | name "(" … ")" ")"
    operator  = unknown

So an unknown character may stand for an operand or an operator or in front of an operand, a parenthesis (not a
function's) may stay open, and whatever was closed may be closed once more.
"""

from __future__ import annotations

from typing import Final

from manifestgen.manifest.route.error import quoted
from manifestgen.manifest.route.hint import OPERAND, OPERATOR, unexpected
from manifestgen.manifest.route.lexer import HEX, INTEGER, NAME, REAL, STRING, SYSTEM, UNCLOSED, UNKNOWN, Tokens
from manifestgen.manifest.route.tree import PRECEDENCE, Broken, Fault

_OPERANDS: Final = frozenset({NAME, SYSTEM, STRING, UNCLOSED, INTEGER, HEX, REAL, "true", "false", "null", "undefined"})


def break_down(tokens: Tokens, start: int, until: str) -> tuple[Broken, int]:
    """Read a condition that the proper grammar does not read.

    Returns:
        Its faults, and the index of the word `until` behind it.

    Raises:
        RouteSyntaxError: the runtime's parser refuses it too.
    """
    kinds = tokens.kinds
    nesting = _Nesting()
    opened: list[tuple[int, bool]] = []  # where, and whether a function's
    faults: list[Fault] = []
    needed, complete = True, False  # an operand may come next; the condition may end here
    index = start
    while True:
        kind = kinds[index]
        if kind == UNKNOWN or (needed and kind == UNCLOSED):
            faults.append(_word_fault(tokens, index))
        if needed and (operand := _operand(tokens, index, opened, nesting)) is not None:
            index, needed, complete = operand
        elif not complete:
            raise unexpected(tokens, index, OPERAND)
        elif kind in PRECEDENCE or kind == UNKNOWN:
            needed, complete = True, False
            index += 1
        elif kind == ")":
            first, index = index, _close(tokens, index, opened, faults)
            if (surplus := nesting.close(index - first)) > 0:
                raise unexpected(tokens, index - surplus, (*OPERATOR, until))
            needed = False
        elif kind == "," and nesting.next_argument():
            while opened and not opened[-1][1]:
                faults.append(_never_closed(opened.pop()[0]))
            needed, complete = True, False
            index += 1
        elif kind == until and not nesting.calls_open:
            break
        else:
            raise unexpected(tokens, index, (")",) if nesting.calls_open else (*OPERATOR, until))
    faults += [_never_closed(offset) for offset, _ in opened]
    faults.sort(key=lambda fault: fault.offset)
    offset = tokens.start(start)
    return Broken(tokens.text[offset : tokens.end(index - 1)], tuple(faults), offset), index


def _operand(
    tokens: Tokens, index: int, opened: list[tuple[int, bool]], nesting: _Nesting
) -> tuple[int, bool, bool] | None:
    """Read what may stand where an operand is needed, or the beginning of it.

    Returns:
        The index behind it, whether an operand may come next, and whether the condition may end there; None if there is
        no such thing.
    """
    kinds = tokens.kinds
    kind = kinds[index]
    if kind == NAME and kinds[index + 1] == "(":
        opened.append((tokens.start(index + 1), True))
        nesting.open(call=True)
        argument = kinds[index + 2] != ")"
        return index + 2, argument, not argument
    if kind in _OPERANDS:
        return index + 1, False, True
    if kind in ("-", "NOT"):
        return index + 1, True, False
    if kind == "(":
        opened.append((tokens.start(index), False))
        nesting.open(call=False)
        return index + 1, True, False
    if kind == UNKNOWN:
        return index + 1, True, True
    if kind == "{" and kinds[index + 1] == SYSTEM and kinds[index + 2] == "}":
        return index + 3, False, True
    return None


def _close(tokens: Tokens, index: int, opened: list[tuple[int, bool]], faults: list[Fault]) -> int:
    """Take all parentheses that close here; returns the index behind them."""
    while tokens.kinds[index] == ")":
        if opened:
            opened.pop()
        else:
            faults.append(_fault(tokens, index, "')' closes nothing", "remove it, or open '(' before it"))
        index += 1
    return index


class _Nesting:
    """How many parentheses may be open, where some need not be closed and some may be closed twice.

    Which `)` belongs to which `(` stays undecided. Kept is the greatest depth that is possible, and of the functions
    that may be open at that depth, those for which no `)` came by that could have been theirs.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._calls: list[int] = []  # the depths at which functions were opened
        self.calls_open: list[int] = []  # of these, the ones that cannot be closed yet

    def open(self, *, call: bool) -> None:
        if call:
            self._calls.append(self._depth)
            self.calls_open.append(self._depth)
        self._depth += 1

    def close(self, count: int) -> int:
        """Take `count` parentheses in a row; how many of them are too many."""
        surplus = count - 2 * self._depth
        if surplus > 0:
            return surplus
        self._depth -= (count + 1) // 2
        while self._calls and self._calls[-1] >= self._depth:
            self._calls.pop()
        del self.calls_open[max(0, len(self.calls_open) - count) :]
        return 0

    def next_argument(self) -> bool:
        """Take a comma; False if no function is open that it could belong to."""
        if not self._calls:
            return False
        innermost = self._calls[-1]
        self._depth = innermost + 1
        # A function that may be closed by now, inside another one: the comma may just as well be the other one's.
        if len(self._calls) == 1 and not self.calls_open:
            self.calls_open.append(innermost)
        return True


def _never_closed(offset: int) -> Fault:
    return Fault("'(' is never closed", "add ')'", offset, 1)


def _word_fault(tokens: Tokens, index: int) -> Fault:
    word = tokens.word(index)
    if tokens.kinds[index] == UNCLOSED:
        return _fault(tokens, index, f"the string {quoted(word)} is not closed", f"close it with {word[0]}")
    return _fault(tokens, index, f"unknown character {quoted(word)}", _unknown_fix(tokens, index))


def _unknown_fix(tokens: Tokens, index: int) -> str:
    if tokens.word(index) == "\\":
        return "write \\\\ for a backslash in a string, and only \\' \\\" and \\uXXXX otherwise"
    return "remove it"


def _fault(tokens: Tokens, index: int, message: str, fix: str) -> Fault:
    return Fault(message, fix, tokens.start(index), tokens.end(index) - tokens.start(index))
