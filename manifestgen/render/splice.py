"""Splices values into a template's output: marked during rendering, encoded for their place once the text is complete.

A value is output as JSON between two marks. Only the complete text shows whether a mark is inside a JSON string
(`"image": "{{ image }}"`, where the value becomes part of a string) or outside (`"ttl": {{ ttl }}`, where it is a JSON
value), whatever macros, loops and included templates produced the text. JSON of values is ASCII, and the marks are
Unicode noncharacters, so that neither a value nor a template can contain one.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from jinja2 import Undefined
from markupsafe import Markup

_OPEN: Final = "\ufdd0"
_CLOSE: Final = "\ufdd1"
_LINE: Final = "\ufdd2"
_LINE_END: Final = "\ufdd3"
_ESCAPED_MARK: Final = "\\ufdd"
MARKS: Final = re.compile(f"[{_OPEN}{_CLOSE}{_LINE}{_LINE_END}]")

_ESCAPED: Final = r"(?s)\\."
_TOKENS: Final = re.compile(f"({_OPEN}[^{_CLOSE}]*{_CLOSE}|{_LINE}[0-9]+:[0-9]+{_LINE_END})")
_LINES: Final = f"{_LINE}([0-9]+):([0-9]+){_LINE_END}"


class Json(str):
    """A JSON text, as returned by the filter `tojson`: output unchanged, while any other text is output as JSON."""

    __slots__ = ()


class NotJsonError(TypeError):
    """A value that JSON cannot represent."""


def _refuse(value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # raises an error with the name
    raise NotJsonError(f"a value of type {type(value).__name__} is not JSON")


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_refuse).encode


def to_json(value: Any) -> Json:
    """The filter `tojson`: any JSON value as JSON text; the output of a macro or a block as a string."""
    if isinstance(value, Markup):
        return Json(encode_basestring_ascii(text_of(value)))
    if type(value) is str:
        return Json(encode_basestring_ascii(value))
    text = _encode(value)
    if _ESCAPED_MARK in text:
        text = _encode(_without_marks(value))
    return Json(text)


def _without_marks(value: Any) -> Any:
    """The value, with output of macros converted to plain text."""
    if isinstance(value, dict):
        return {_without_marks(key): _without_marks(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_marks(item) for item in value]
    return text_of(value) if isinstance(value, Markup) else value


def mark(value: Any) -> str:
    """The marked output of `{{ value }}`."""
    kind = type(value)
    if kind is str:
        return f"{_OPEN}{encode_basestring_ascii(value)}{_CLOSE}"
    if kind is Json:
        return f"{_OPEN}{value}{_CLOSE}"
    if kind is Markup:
        return str(value)  # template text: from a macro, a block or a literal
    if isinstance(value, Undefined):
        return str(value)  # raises, or is empty for an 'if' without 'else'
    return f"{_OPEN}{to_json(value)}{_CLOSE}"


def line_mark(template: int, line: int) -> str:
    """A mark with the template and line of the text after it, to locate mistakes."""
    return f"{_LINE}{template}:{line}{_LINE_END}"


def text_of(text: str) -> str:
    """A text with every mark replaced with its value."""
    if _LINE in text:
        text = re.sub(_LINES, "", text)
    if _OPEN not in text:
        return str(text)
    first, *parts = str.split(text, _OPEN)
    inside = _odd_quotes(first)
    pieces = [first]
    for part in parts:
        value, _, rest = part.partition(_CLOSE)
        pieces.append(_inside_string(value) if inside else value)
        pieces.append(rest)
        inside ^= _odd_quotes(rest)
    return "".join(pieces)


def line_at(text: str, position: int) -> tuple[int, int] | None:
    """The number of the template and the line that a position in `text_of(text)` comes from, if that has line marks."""
    found: tuple[int, int] | None = None
    inside = False
    for token in _TOKENS.split(text):
        if match := re.fullmatch(_LINES, token):
            if position < 0:
                break
            found = int(match[1]), int(match[2])
            continue
        piece = token
        if token.startswith(_OPEN):
            piece = _inside_string(token[1:-1]) if inside else token[1:-1]
        else:
            inside ^= _odd_quotes(token)
        if found is not None:
            found = found[0], found[1] + piece.count("\n", 0, max(position, 0))
        position -= len(piece)
    return found


def _odd_quotes(text: str) -> bool:
    if "\\" in text:
        text = re.sub(_ESCAPED, "", text)
    return text.count('"') % 2 == 1


def _inside_string(value: str) -> str:
    """A JSON value inside a JSON string: the characters of a string; the JSON of anything else."""
    return value[1:-1] if value[0] == '"' else encode_basestring_ascii(value)[1:-1]
