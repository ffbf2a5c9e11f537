"""What was expected where a route goes wrong, and the likeliest way to put it right."""

from __future__ import annotations

import difflib
import re
from typing import Final

from manifestgen.manifest.route.error import RouteSyntaxError, join
from manifestgen.manifest.route.lexer import (
    BRACKETED,
    END,
    HEX,
    INTEGER,
    KEYWORDS,
    NAME,
    REAL,
    STRING,
    SYSTEM,
    UNCLOSED,
    UNKNOWN,
    Tokens,
)

OPERAND: Final = ("a property", "a literal", "a function", "(", "NOT")
OPERATOR: Final = ("an operator",)


def unexpected(tokens: Tokens, index: int, expected: tuple[str, ...], **_: object) -> RouteSyntaxError:
    start, end = tokens.starts[index], tokens.ends[index]
    return RouteSyntaxError(
        f"unexpected {tokens.word(index)!r}, expected {join(expected)}", start, end - start, expected
    )


def nearest_function(name: str) -> str:
    from manifestgen.manifest.route.function import FUNCTIONS

    close = difflib.get_close_matches(name, FUNCTIONS, 1)
    return f"did you mean {close[0]!r}?" if close else ""
