r"""The tokens of a route: the longest match wins, and among equally long ones the first rule.

The runtime's generated lexer works like this, with surprising results. A name may contain any character that does not
end it, `- + * % ! | & ' . #` and even a no-break space among them, so `a-b` is one name, `5-3` too, and `temp!='x'`
compares a property called `temp!`. A name that is
also a number or a keyword (`123`, `1e5`, `e5`, `and`) is read as that.

The lexer rejects nothing: a character that starts no token is itself a token, `UNKNOWN`, and so is an unclosed string.
The parser decides what to do with them.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, grammar/GrammarLexer.g4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Final

# Kinds of words. Keywords and marks are their own kind: "FROM", "AND", "true", "(", "<=".
NAME: Final = "name"
SYSTEM: Final = "$name"
BRACKETED: Final = "name with [ or ]"
STRING: Final = "string"
UNCLOSED: Final = "unclosed string"
INTEGER: Final = "integer"
HEX: Final = "hexadecimal integer"
REAL: Final = "real"
UNKNOWN: Final = "unknown character"
END: Final = "end of the route"

KEYWORDS: Final = frozenset({"SELECT", "FROM", "WHERE", "INTO", "AND", "OR", "NOT"})
CONSTANTS: Final = frozenset({"true", "false", "null", "undefined"})

# Characters that end a name; `[` and `]` only make it BRACKETED.
_STOPS: Final = r"""()<>@,;:\\"/?={} \t\n\r"""
_ESCAPE: Final = r"""\\(?:["'\\]|u[0-9a-fA-F]{4})"""
_WORD: Final = (
    # Group 1: marks, and words whose kind their text alone decides. `!=` is a mark only where the name in front of `=`
    # would be `!` alone: a longer name wins.
    r"(!=|<>|<=|>=|\?\?|[()<>=,{}/]"
    rf"|[^-$.0-9eE'\[\]{_STOPS}][^\[\]{_STOPS}]*(?![^{_STOPS}]))"
    # Group 2: all other words.
    rf"|([^'{_STOPS}][^{_STOPS}]*|'[^'{_STOPS}]*'[^{_STOPS}]+)"
    # (The second half is for `'a'b`, a name: an apostrophe may be in it, and it is longer than the text `'a'`.)
    # Groups 3 and 4: the quote that closes a text in double or in single quotes; empty if none does.
    rf'|"[^"\\]*(?:{_ESCAPE}[^"\\]*)*("?)'
    rf"|'[^'\\]*(?:{_ESCAPE}[^'\\]*)*('?)"
    # Group 5: whatever is left, but for the white space between words.
    r"|([@;:\\?])"
)
_WORDS: Final = re.compile(_WORD)
_NUMBER: Final = (
    r"(?P<integer>-?[0-9]+)|(?P<hex>0[xX][0-9a-fA-F]+)"
    r"|-?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|-?[0-9]*[eE][+-]?[0-9]+"
)


def _spellings(keyword: str) -> list[str]:
    return ["".join(letters) for letters in product(*((letter, letter.lower()) for letter in keyword))]


_MARKS: Final = ("!=", "<>", "<=", ">=", "??", "(", ")", "<", ">", "=", ",", "{", "}", "/", "*", "-", "+", "%", "||")
_FIXED: Final = {
    **{word: word for word in (*_MARKS, *CONSTANTS)},
    **{spelling: keyword for keyword in KEYWORDS for spelling in _spellings(keyword)},
}


class Tokens:
    """The words of a text, and `END` behind them.

    Attributes:
        text: all of it.
        kinds: the kind of each word; the last one is `END`.
    """

    __slots__ = ("_matches", "kinds", "text")

    def __init__(self, text: str, kinds: list[str], matches: list[re.Match[str]]) -> None:
        self.text = text
        self.kinds = kinds
        self._matches = matches

    def start(self, index: int) -> int:
        """The offset of a word's first character; for `END`, the text's length."""
        return self._matches[index].start() if index < len(self._matches) else len(self.text)

    def end(self, index: int) -> int:
        """The offset behind a word."""
        return self._matches[index].end() if index < len(self._matches) else len(self.text)

    def word(self, index: int) -> str:
        """The text of a word; empty for `END`."""
        return self._matches[index][0] if index < len(self._matches) else ""


def tokenize(text: str) -> Tokens:
    """Cut a text into words; blanks and comments are left out."""
    last_close = text.rfind("*/")
    matches = list(_WORDS.finditer(text) if last_close < 0 else _around_comments(text, last_close))
    kind_of = _FIXED.get
    kinds = [kind_of(match[1], NAME) if match.lastindex == 1 else _kind(match) for match in matches]
    kinds.append(END)
    return Tokens(text, kinds, matches)


def _kind(match: re.Match[str]) -> str:
    group = match.lastindex
    if group == 2:
        return _kind_of_word(match[2])
    if group == 5:
        return UNKNOWN
    return STRING if match[3] or match[4] else UNCLOSED


def _around_comments(text: str, last_close: int) -> Iterator[re.Match[str]]:
    """The words of a text in which `*/` occurs, for the last time at `last_close`.

    Most routes hold `/*` and hardly any holds a comment. Behind the last `*/` no comment can start, so none is looked
    for: from each `/*` to the end of the text would take quadratic time.
    """
    position = 0
    while position < len(text):
        if text.startswith("/*", position) and position + 2 <= last_close:
            position = text.index("*/", position + 2) + 2
        elif match := _WORDS.match(text, position):
            yield match
            position = match.end()
        else:
            position += 1


def _kind_of_word(word: str) -> str:
    if word[0] == "$" and len(word) > 1:
        return SYSTEM
    if "[" in word or "]" in word:
        return BRACKETED
    if word in _FIXED:
        return _FIXED[word]
    if number := re.fullmatch(_NUMBER, word):
        return {"integer": INTEGER, "hex": HEX, None: REAL}[number.lastgroup]
    return NAME
