"""Readable messages for a text that is not JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

_BLANKS: Final = " \t\n\r"
_STRING_OR_BRACKET: Final = r'(?s)"(?:[^"\\]|\\.)*("?)|[\[\]{}]'
_CONSTANT: Final = r'(?s)"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)'


class JsonError(Exception):
    """The text is not JSON.

    Attributes:
        what: what is wrong, in words.
        fix: what to do.
        offset: of the character where it shows.
    """

    def __init__(self, what: str, fix: str, offset: int) -> None:
        super().__init__(what, fix, offset)
        self.what = what
        self.fix = fix
        self.offset = offset


_LITERALS: Final[Mapping[str, str]] = {"True": "true", "False": "false", "None": "null", "undefined": "null"}


def explain(text: str, error: json.JSONDecodeError) -> JsonError:
    """A readable message for the scanner's error."""
    at = len(text) - len(text[error.pos :].lstrip(_BLANKS))
    message = error.msg
    if not text.strip(_BLANKS):
        return JsonError("the file is empty", "write a deployment manifest into it", 0)
    if message.startswith("Unterminated string"):
        return JsonError("a string is never closed", 'add the closing "', error.pos)
    if message.startswith("Invalid control character"):
        name = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}.get(text[error.pos : error.pos + 1])
        name = name or f"the control character {text[error.pos : error.pos + 1]!r}"
        return JsonError(f"{name} is inside a string", r"write \n or \t for it, or close the string", error.pos)
    if "escape" in message:
        return JsonError(
            "a backslash is followed by a character that it cannot escape",
            r"double the backslash, for example in 'C:\\data'",
            error.pos,
        )
    if message.startswith("Extra data"):
        return JsonError("there is more text after the end of the document", "keep one JSON document in the file", at)
    before = text[:at].rstrip(_BLANKS)
    if message.startswith("Illegal trailing comma"):
        return trailing_comma(error.pos)
    seen = text[at : at + 1]
    if not seen:
        return _unclosed(text)
    if seen in "}]" and before.endswith(","):
        return trailing_comma(len(before) - 1)
    if seen == "'":
        return JsonError("a string is in single quotes", "use double quotes", at)
    if text.startswith(("//", "/*", "#"), at):
        return comment(at)
    word = re.compile(r"[A-Za-z_$][\w$-]*").match(text, at)
    if word and word[0] in _LITERALS:
        return JsonError(f"{word[0]!r} is not a JSON value", f"write {_LITERALS[word[0]]}", at)
    if message.startswith("Expecting ',' delimiter"):
        return JsonError(f"a comma or a closing bracket is missing before {_seen(text, at)}", "add it", at)
    if message.startswith("Expecting ':' delimiter"):
        return JsonError(f"a colon is missing after the key, before {_seen(text, at)}", "add the colon", at)
    if message.startswith("Expecting property name"):
        if word:
            return JsonError("a key has no quotes", "put double quotes around keys", at)
        return JsonError(f"expected a key in double quotes, not {_seen(text, at)}", "write the key", at)
    if seen == "<":
        return JsonError("the file looks like HTML or XML", "check what you downloaded or generated", at)
    if seen == "\x00" or not seen.isprintable():
        return JsonError(f"the character {seen!r} is not allowed in JSON", "save the file as UTF-8 text", at)
    return JsonError(f"expected a JSON value, not {_seen(text, at)}", "put strings in double quotes", at)


def comment(offset: int) -> JsonError:
    """There is a comment at an offset."""
    return JsonError("JSON does not allow comments", 'remove it, or write it as a key such as "_comment"', offset)


def trailing_comma(offset: int) -> JsonError:
    """There is a comma at an offset that nothing follows."""
    return JsonError("there is a comma after the last item", "remove the comma", offset)


def _seen(text: str, offset: int) -> str:
    """A description of the text at an offset, without quoting text that cannot be parsed: it may be a password."""
    char = text[offset]
    if char == '"':
        return "a string"
    if char.isdigit():
        return "a number"
    return "a word without quotes" if char.isalpha() else repr(char)


def _unclosed(text: str) -> JsonError:
    open_: list[int] = []
    for match in re.finditer(_STRING_OR_BRACKET, text):
        if match[0] in "{[":
            open_.append(match.start())
        elif match[0] in "}]" and open_:
            open_.pop()
    if not open_:
        return JsonError("the text ends too early", "check that the file is complete", len(text))
    line = text.count("\n", 0, open_[-1]) + 1
    kind, close = ("object", "}") if text[open_[-1]] == "{" else ("list", "]")
    return JsonError(
        f"the text ends before the {kind} that begins in line {line} is closed",
        f"add the missing '{close}', or check that the file is complete",
        open_[-1],
    )


def no_constant(text: str) -> JsonError:
    """The first NaN or Infinity of a text that the scanner took."""
    for match in re.finditer(_CONSTANT, text):
        if match[1]:
            return JsonError(f"JSON has no {match[1]}", "write a number or null", match.start())
    raise AssertionError("the scanner saw a constant that the text does not have")


def deepest(text: str) -> int:
    """Offset of the first bracket below a hundred levels; 0 if there is none."""
    depth = 0
    for match in re.finditer(_STRING_OR_BRACKET, text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth > 100:
            return match.start()
    return 0
