"""Writes plain data as YAML, in a form that `source` reads back as the same data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.project import source


class Reference(str):
    """A text with references such as `${env:NAME}`, which are written as they are. In other texts they are escaped."""

    __slots__ = ()


def scalar(value: Any) -> str:
    """A string, number, true, false or null in YAML; a string is quoted if it would be read as another type."""
    if not isinstance(value, str):
        return json.dumps(value)
    text = str(value) if isinstance(value, Reference) else re.sub(r"\$(?=\$?\{(env|file):)", "$$$", value)
    try:
        plain = text.isprintable() and source.parse(f"key: {text}", "").data == {"key": text}
    except InputError:
        plain = False
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def block(data: Mapping[str, Any], notes: Mapping[str, str] | None = None, indent: int = 0) -> str:
    """A mapping in block style, a key a line; lists of scalars, and empty mappings, in flow style.

    Args:
        data: texts, numbers, true, false, null, mappings, and lists of scalars.
        notes: comments by the key's path, joined by dots, written at the end of the key's line.
        indent: spaces before each line.
    """
    return "".join(f"{' ' * indent}{line}\n" for line in _lines(data, notes or {}, ""))


_NOTE: Final = 40


def _lines(data: Mapping[str, Any], notes: Mapping[str, str], path: str) -> Iterator[str]:
    for key, value in data.items():
        place = f"{path}{key}"
        note = notes.get(place, "")
        below = isinstance(value, Mapping) and bool(value)
        line = f"{scalar(key)}:" if below else f"{scalar(key)}: {_flow(value)}"
        yield f"{line:<{_NOTE - 2}}  # {note}" if note else line
        if below:
            yield from (f"  {inner}" for inner in _lines(value, notes, f"{place}."))


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_item(one) for one in value)}]"
    return scalar(value)


def _item(value: Any) -> str:
    """A scalar in a list, where some plain scalars need quotes."""
    text = scalar(value)
    if isinstance(value, str) and text[:1] != '"' and re.search(r"[\[\]{},]", text):
        return _quoted(text)
    return text
