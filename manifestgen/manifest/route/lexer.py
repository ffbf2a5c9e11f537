r"""The words of a route: the longest match wins, and among equally long ones the first rule.

That is how the runtime's generated lexer reads, and it surprises. A name may hold any character that does not end it,
`- + * % ! | & ' . #` and even a no-break space among them, so `a-b` is one name, `5-3` too, and `temp!='x'` compares a
property called `temp!`. Where a whole name would also be a number or a keyword (`123`, `1e5`, `e5`, `and`), it is one.

Nothing is ever refused here: a character that starts no word is a word of its own, `UNKNOWN`, and a text that is not
closed is one too. What to make of them is the parser's business.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, grammar/GrammarLexer.g4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

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

# What a name may not hold; `[` and `]` only make it BRACKETED.
_STOPS: Final = r"""()<>@,;:\\"/?={} \t\n\r"""
_ESCAPE: Final = r"""\\(?:["'\\]|u[0-9a-fA-F]{4})"""
_WORD: Final = (
    # Group 1, marks. `!=` is one only where the name in front of `=` would be `!` alone: a longer name wins.
    r"(!=|<>|<=|>=|\?\?|[()<>=,{}/])"
    # Group 2: names, numbers and keywords.
    rf"|([^'{_STOPS}][^{_STOPS}]*)"
    # Group 3: the quote that closes a text in double quotes; empty if none does.
    rf'|"[^"\\]*(?:{_ESCAPE}[^"\\]*)*("?)'
    # Group 4: `'a'` is a text, `'a'b` a name, because a name may hold an apostrophe and is longer here.
    rf"|('[^'{_STOPS}]*'[^{_STOPS}]+)"
    # Group 5: as group 3, in single quotes.
    rf"|'[^'\\]*(?:{_ESCAPE}[^'\\]*)*('?)"
    # Group 6: whatever is left, but for the white space between words.
    r"|([@;:\\?])"
)
_WORDS: Final = re.compile(_WORD)
_NUMBER: Final = re.compile(
    r"(?P<integer>-?[0-9]+)|(?P<hex>0[xX][0-9a-fA-F]+)"
    r"|-?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|-?[0-9]*[eE][+-]?[0-9]+"
)
_NUMBER_STARTS: Final = frozenset("0123456789-.eE")

# Names that are something else when they stand alone.
_RESERVED: Final = {word: word for word in ("+", "-", "*", "%", "||", *CONSTANTS)}
_KEYWORD_OF: Final = {word.lower(): word for word in KEYWORDS}
_LONGEST_KEYWORD: Final = max(map(len, KEYWORDS))


class Tokens(NamedTuple):
    """The words of a text, in three columns of one length; the last row is `END`, at the end of the text."""

    text: str
    kinds: list[str]
    starts: list[int]
    ends: list[int]

    def word(self, index: int) -> str:
        """The text of one word."""
        return self.text[self.starts[index] : self.ends[index]]


def tokenize(text: str) -> Tokens:
    """Cut a text into words; blanks and comments are left out."""
    kinds: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last_close = text.rfind("*/")
    matches = _WORDS.finditer(text) if last_close < 0 else _around_comments(text, last_close)
    for match in matches:
        group = match.lastindex
        word = match[0]
        if group == 1:
            kind = word
        elif group == 2:
            kind = _kind_of_name(word)
        elif group == 3 or group == 5:
            kind = STRING if match[group] else UNCLOSED
        elif group == 4:
            kind = BRACKETED if "[" in word or "]" in word else NAME
        else:
            kind = UNKNOWN
        kinds.append(kind)
        start, end = match.span()
        starts.append(start)
        ends.append(end)
    kinds.append(END)
    starts.append(len(text))
    ends.append(len(text))
    return Tokens(text, kinds, starts, ends)


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


def _kind_of_name(word: str) -> str:
    if word[0] == "$" and len(word) > 1:
        return SYSTEM
    if "[" in word or "]" in word:
        return BRACKETED
    if word in _RESERVED:
        return word
    if len(word) <= _LONGEST_KEYWORD and (keyword := _KEYWORD_OF.get(word.lower())):
        return keyword
    if word[0] in _NUMBER_STARTS and (number := _NUMBER.fullmatch(word)):
        return {"integer": INTEGER, "hex": HEX, None: REAL}[number.lastgroup]
    return NAME
