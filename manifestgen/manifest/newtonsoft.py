"""JSON as Newtonsoft.Json reads it, which is more than JSON: the text of createOptions goes through it on the device.

It takes single quotes, keys without quotes, comments, a comma after the last item, NaN and the infinities.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

#: Newtonsoft.Json 13 reads no deeper.
MAX_DEPTH: Final = 64

_BLANK: Final = re.compile(r"(?:[\s\x00]|/\*.*?\*/|//[^\r\n]*)*", re.DOTALL)
_NAME: Final = r"[\w$]+"
_NUMBER: Final = r"-?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
# JsonTextReader.ParseReadNumber: a number that begins with 0 and has no fraction is octal.
_OCTAL: Final = re.compile("0[0-9]+$")
_WORDS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "undefined": None,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "\\": "\\", '"': '"', "'": "'", "/": "/"}


class NewtonsoftError(ValueError):
    """The text is not even JSON to Newtonsoft.Json.

    Attributes:
        what: what is wrong, in words.
        offset: where, in characters.
    """

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset


def loads(text: str) -> Any:
    """The value of a text; None for one that holds nothing but blanks and comments.

    Raises:
        NewtonsoftError: it would throw.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _Reader(text).document()
    # Python reads deeper than Newtonsoft.Json, which few texts have enough brackets for.
    return value if text.count("{") + text.count("[") <= MAX_DEPTH else _Reader(text).document()


class _Reader:
    """Reads one text from the left to the right; an instance lives for one call of `loads`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> Any:
        value = self._value(1) if self._blank() else None
        self._blank()
        if self._at < len(self._text):
            raise NewtonsoftError("there is more text after the end of the value", self._at)
        return value

    def _blank(self) -> str:
        match = _BLANK.match(self._text, self._at)
        if match:
            self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Any:
        seen = self._blank()
        if depth > MAX_DEPTH and seen and seen in "{[":
            raise NewtonsoftError(f"it is nested deeper than {MAX_DEPTH} levels", self._at)
        if seen == "{":
            return self._object(depth)
        if seen == "[":
            return self._list(depth)
        if seen in ("'", '"') and seen:
            return self._string(seen)
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        number = re.compile(_NUMBER).match(self._text, self._at)
        if number and number[0]:
            self._at = number.end()
            return _number(number[0], number.start())
        if not seen:
            raise NewtonsoftError("it ends where a value is expected", self._at)
        raise NewtonsoftError(f"unexpected {seen!r}", self._at)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while True:
            seen = self._blank()
            if seen == "}":
                self._at += 1
                return found
            if seen in ("'", '"') and seen:
                key = self._string(seen)
            elif name := re.compile(_NAME).match(self._text, self._at):
                key = name[0]
                self._at = name.end()
            else:
                raise NewtonsoftError(f"expected a key, not {seen!r}" if seen else "it ends too early", self._at)
            if self._blank() != ":":
                raise NewtonsoftError("a colon is missing after a key", self._at)
            self._at += 1
            found[key] = self._value(depth + 1)
            if not self._next("}"):
                return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while True:
            seen = self._blank()
            if seen == "]":
                self._at += 1
                return found
            if seen == ",":
                # A missing item is undefined.
                found.append(None)
            else:
                found.append(self._value(depth + 1))
            if not self._next("]"):
                return found

    def _next(self, close: str) -> bool:
        seen = self._blank()
        self._at += 1
        if seen == ",":
            return True
        if seen == close:
            return False
        raise NewtonsoftError(
            f"expected a comma or {close!r}, not {seen!r}" if seen else f"the closing {close!r} is missing",
            self._at - 1,
        )

    def _string(self, quote: str) -> str:
        start = self._at
        at = start + 1
        parts: list[str] = []
        text = self._text
        while at < len(text):
            char = text[at]
            if char == quote:
                self._at = at + 1
                return "".join(parts)
            if char == "\\":
                escape = text[at + 1 : at + 2]
                if escape == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", text[at + 2 : at + 6]):
                    parts.append(chr(int(text[at + 2 : at + 6], 16)))
                    at += 6
                    continue
                if escape not in _ESCAPES:
                    raise NewtonsoftError(f"a backslash cannot escape {escape!r}", at)
                parts.append(_ESCAPES[escape])
                at += 2
                continue
            parts.append(char)
            at += 1
        raise NewtonsoftError("a string is not closed", start)


def _number(text: str, offset: int) -> int | float:
    try:
        if "x" in text.lower():
            return int(text, 16)
        if _OCTAL.match(text):
            return int(text, 8)
        return float(text) if any(char in text for char in ".eE") else int(text)
    except ValueError:
        raise NewtonsoftError("a number is not valid", offset) from None
