"""The expected text at the error in a route, and the most likely fix."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.route.error import RouteSyntaxError, join, quoted
from manifestgen.manifest.route.function import FUNCTIONS
from manifestgen.manifest.route.lexer import (
    BRACKETED,
    CONSTANTS,
    END,
    HEX,
    INTEGER,
    KEYWORDS,
    NAME,
    REAL,
    STRING,
    SYSTEM,
    UNCLOSED,
    Tokens,
)

OPERAND: Final = ("a property", "a literal", "a function", "'('", "NOT")
OPERATOR: Final = ("an operator",)
ENDPOINT_CALL: Final = 'BrokeredEndpoint("/modules/MODULE/inputs/INPUT")'
SINKS: Final = ("$upstream", ENDPOINT_CALL)
EXAMPLE: Final = "FROM /messages/* INTO $upstream"

_NUMBERS: Final = frozenset({INTEGER, HEX, REAL})
_PLACEHOLDER: Final = r"<[^<>/\s]+>|\$?\{\{?[^{}]*\}\}?|@[A-Za-z_]+@|%[A-Za-z_]+%|\[[A-Z_]+\]"
_INVISIBLE: Final = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
)
_GLUED_KEYWORD: Final = r"(?i)(\*|'.*')(WHERE|INTO|AND|OR)"

# Operators of other languages, and what to write here.
_FOREIGN: Final = {
    "&&": "write AND",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT",
    "like": "write contains(a, 'b'), starts_with(a, 'b') or ends_with(a, 'b')",
    "in": "compare with each value: a = 'x' OR a = 'y'",
    "is": "write is_null(a), is_defined(a) or NOT is_defined(a)",
    "between": "write a >= 1 AND a <= 9",
    "contains": "write contains(a, 'b')",
    "mod": "write %",
    "xor": "write (a OR b) AND NOT (a AND b)",
    "<>=": "write <>",
}


def invisible(text: str) -> re.Match[str] | None:
    """The first invisible character that is not white space of the route language."""
    return None if text.isascii() and text.isprintable() else re.search(_INVISIBLE, text)


def curly_quote(text: str) -> re.Match[str] | None:
    """The first typographic quote."""
    return None if text.isascii() else re.search("[\u2018-\u201f]", text)


def unexpected(tokens: Tokens, index: int, expected: tuple[str, ...], *, part: str = "condition") -> RouteSyntaxError:
    """The error for the word at `index`.

    Args:
        tokens: the words of the route.
        index: of the first word that no route can go on with.
        expected: the possible tokens there.
        part: "start", "source", "condition", "sink" or "address".
    """
    blamed = _blamed(tokens, index)
    start, end = tokens.start(blamed), tokens.end(blamed)
    if tokens.kinds[blamed] == UNCLOSED:
        message = f"the string {quoted(tokens.word(blamed))} is not closed"
        return RouteSyntaxError(message, start, end - start, expected, fix=f"close it with {tokens.text[start]}")
    wanted = join(expected)
    if tokens.kinds[index] == END:
        message = f"the route ends where {wanted} is expected" if len(tokens.kinds) > 1 else "the route is empty"
    else:
        message = f"unexpected {quoted(tokens.word(index))}, expected {wanted}"
    fix = (
        _general(tokens, index, in_condition=part == "condition")
        or _BY_PART[part](tokens, index)
        or f"write {wanted} here"
    )
    return RouteSyntaxError(message, start, end - start, expected, fix=fix)


@lru_cache(maxsize=256)
def nearest_function(name: str) -> str:
    """The fix for an unknown function."""
    if name == "!":
        return "write NOT"
    close = nearest(name[:_LONGEST_GUESS], FUNCTIONS)
    if not close and name.replace("_", "") == name:
        close = [known for known in FUNCTIONS if known.replace("_", "") == name]
    return f"write {FUNCTIONS[close[0]].usage}" if close else f"use one of {', '.join(sorted(FUNCTIONS))}"


_LONGEST_GUESS: Final = 40


def _blamed(tokens: Tokens, index: int) -> int:
    """The word to point at: a text that is not closed takes everything behind it with it."""
    if index and tokens.kinds[index] != UNCLOSED and tokens.kinds[index - 1] == UNCLOSED:
        return index - 1
    return index


def _general(tokens: Tokens, index: int, *, in_condition: bool) -> str:
    """Mistakes that look the same in every part of a route."""
    text, start = tokens.text, tokens.start(index)
    before = tokens.end(index - 1) if index else 0
    if (comment := text.find("/*", before, start)) >= 0:
        ignored = quoted(text[comment : text.index("*/", comment + 2) + 2])
        return f"'/*' starts a comment, so {ignored} is left out: remove the '*/', or put the comment elsewhere"
    words = text[tokens.start(max(0, index - 1)) : tokens.end(index)][-_LONGEST_GUESS:]
    if found := invisible(words):
        return f"remove the invisible character U+{ord(found[0]):04X}, or replace it with a space"
    if curly_quote(words):
        return "use straight quotes, ' or \""
    if tokens.kinds[index] == BRACKETED and (found := re.fullmatch(r"\w+(\[\d+\])(\.\w+)*", tokens.word(index))):
        return f"a property has no elements; for the message's body write $body.{quoted(found[0])[1:-1]}"
    at = start - 1 if index and tokens.word(index - 1) == "$" and before == start else start
    if (found := re.compile(_PLACEHOLDER).match(text, at)) and not (
        in_condition and re.fullmatch(r"\{\$?\w+\}", found[0])
    ):
        return f"replace {quoted(found[0])} with a value"
    if index and re.fullmatch(_GLUED_KEYWORD, previous := tokens.word(index - 1)[-_LONGEST_GUESS:]):
        glued = re.fullmatch(_GLUED_KEYWORD, previous)
        return f"put a space before {glued[2]}" if glued else ""
    if tokens.word(index)[:1] == "\\":
        return 'remove the backslash: inside the JSON string a quote is written \\", in the route " or \''
    return ""


def _at_start(tokens: Tokens, index: int) -> str:
    word = tokens.word(index)[:_LONGEST_GUESS]
    if tokens.kinds[index] == END:
        return f"write a route, for example: {EXAMPLE}"
    if tokens.kinds[index] == NAME and (close := nearest(word.upper(), ("FROM", "SELECT"))):
        return f"write {close[0]}"
    return f"begin with FROM, for example: {EXAMPLE}"


def _in_source(tokens: Tokens, index: int) -> str:
    kind, word = tokens.kinds[index], tokens.word(index)
    previous = tokens.kinds[index - 1]
    if previous == "/":
        if kind == "/":
            return "remove one '/'"
        if kind in ("INTO", "WHERE", END):
            where = tokens.kinds[index - 2] if index > 1 else ""
            return "write /* for every message" if where == "FROM" else "remove the last '/'"
        if kind in _NUMBERS:
            return f"{quoted(word)} reads as a number: give the module or output another name"
        if kind in KEYWORDS or kind in CONSTANTS:
            return f"{quoted(word)} is a keyword here: give the module or output another name"
        if kind == SYSTEM:
            return f"write a module's name; a route cannot come from {quoted(word)}"
        if kind == STRING:
            return "write the name without quotes"
        return ""
    if previous == "FROM":
        if kind == NAME:
            return f"write /{quoted(word)[1:-1]}: a source starts with '/'"
        if kind == "*":
            return "write /* for every message"
        if kind == STRING:
            return "write the source without quotes"
        return "write a source, for example /messages/*"
    if kind in (NAME, *_NUMBERS):
        if close := nearest(word[:_LONGEST_GUESS].upper(), ("WHERE", "INTO")):
            return f"write {close[0]}"
        return "write WHERE or INTO here; a name cannot contain spaces"
    if kind in (SYSTEM, END):
        return "write INTO before the sink" if kind == SYSTEM else "add INTO and the sink, for example INTO $upstream"
    return ""


def _in_condition(tokens: Tokens, index: int) -> str:
    kind, word = tokens.kinds[index], tokens.word(index)
    previous = tokens.kinds[index - 1] if index else ""
    if previous == "WHERE" and kind in ("INTO", END):
        return "write a condition after WHERE, or leave out WHERE"
    adjacent = index > 0 and tokens.end(index - 1) == tokens.start(index)
    if adjacent and previous == "=" and kind in ("=", ">", "<", ">=", "<="):
        return "write =" if kind == "=" else f"write {kind[0]}="
    if word == "!" and tokens.kinds[index + 1] == "=":
        return "write != without a space"
    if kind == "{":
        if tokens.kinds[index + 1] == NAME and tokens.kinds[index + 2] == "}":
            return f"write {{${quoted(tokens.word(index + 1))[1:-1]}}} for a system property"
        return ""
    if kind == NAME and word.lower() in _FOREIGN:
        return _FOREIGN[word.lower()]
    if word[:1] in ("-", "+", "*", "%") and len(word) > 1 and kind in (NAME, *_NUMBERS):
        return f"put a space after the operator: {word[0]} {quoted(word[1:])[1:-1]}"
    if kind == END:
        return "add INTO and the sink, for example INTO $upstream" if "FROM" in tokens.kinds[:3] else ""
    if kind == "INTO":
        if previous in ("AND", "OR", "NOT", "=", "!=", "<>", "<", "<=", ">", ">="):
            return f"complete what {quoted(tokens.word(index - 1))} begins"
        return "close the function's parenthesis with ')'" if _unclosed(tokens, index) else ""
    if kind == ")":
        return "remove ')'" if previous not in ("(", ",") else ""
    if kind == ",":
        return "remove ','" if previous != "," else "remove one ','"
    if kind in (NAME, SYSTEM, STRING, *_NUMBERS, *CONSTANTS):
        return f"put an operator before {quoted(word)}; a name cannot contain spaces"
    return ""


def _unclosed(tokens: Tokens, index: int) -> bool:
    return tokens.kinds[:index].count("(") > tokens.kinds[:index].count(")")


def _in_sink(tokens: Tokens, index: int) -> str:
    kind, word = tokens.kinds[index], tokens.word(index)
    sinks = f"write $upstream or {ENDPOINT_CALL}"
    if kind in (STRING, "/"):
        return f"write {ENDPOINT_CALL}"
    if kind == NAME and nearest(word[:_LONGEST_GUESS].lower(), ("upstream", "iothub")):
        return "write $upstream"
    if word == "$" and tokens.word(index + 1).lower() == "upstream":
        return "write $upstream without a space"
    return sinks


def _in_address(tokens: Tokens, index: int) -> str:
    kind, previous = tokens.kinds[index], tokens.kinds[index - 1]
    if previous == "(":
        return "put the address in quotes" if kind in ("/", NAME) else f"write {ENDPOINT_CALL}"
    if kind == END:
        return "add ')'"
    if tokens.word(index - 1) in ("''", '""') or kind in (NAME, STRING, "/"):
        return "put the address in quotes once"
    return f"write {ENDPOINT_CALL}"


_BY_PART: Final = {
    "start": _at_start,
    "source": _in_source,
    "condition": _in_condition,
    "sink": _in_sink,
    "address": _in_address,
}
