"""The words and signs of IoT Hub's query language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


class QueryError(Exception):
    """The text is not a valid query; the message says what was expected and where."""


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<quoted>\[\[[^\]]*\]\])
      | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<sign><>|!=|<=|>=|[=<>()\[\],.*/%+-])
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset({"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "NIN", "AS", "GROUP", "BY", "TOP"})


@dataclass(frozen=True)
class Token:
    """A piece of a query; `offset` is its place in the text."""

    kind: str
    text: str
    offset: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, and a last one of kind `end`. Raises QueryError."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            if not text[position:].strip():
                break
            raise QueryError(f"unexpected character {text[position:].strip()[0]!r} at {position}")
        kind = str(match.lastgroup)
        found = match.group(kind)
        if kind == "name" and found.upper() in _KEYWORDS:
            kind, found = "keyword", found.upper()
        yield Token(kind, found, match.start(str(match.lastgroup)))
        position = match.end()
    yield Token("end", "", len(text))


def unquote(text: str) -> str:
    """The value of a string token."""
    inner = text[1:-1]
    if text[0] == "'":
        inner = inner.replace("''", "'")
    return re.sub(r"\\(.)", r"\1", inner)
