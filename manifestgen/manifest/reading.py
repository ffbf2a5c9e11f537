"""How the runtime reads JSON and text: the habits of .NET and Newtonsoft.Json that decide what a device accepts.

The runtime is a .NET program. It finds properties whatever their case, calls a text blank by other characters than
Python does, and turns numbers into text where a text is wanted. All other modules read a manifest through these
functions, so that the habits are written down once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Char.IsWhiteSpace of .NET. Python's str.isspace also counts U+001C to U+001F, which .NET does not.
_WHITE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def trim(text: str) -> str:
    """The text without the white space around it, as `String.Trim` cuts it."""
    return text.strip(_WHITE)


def is_blank(text: str) -> bool:
    """Whether `String.IsNullOrWhiteSpace` would say so."""
    return not text.strip(_WHITE)


def key_of(data: Mapping[str, Any], name: str) -> str | None:
    """The key under which the runtime finds `name`: as it is written or, failing that, in any case."""
    if name in data:
        return name
    wanted = name.lower()
    for key in data:
        if len(key) == len(wanted) and key.lower() == wanted:
            return key
    return None


def get(data: Mapping[str, Any], name: str) -> Any:
    """What the runtime finds under `name`; None if it is missing or null."""
    key = key_of(data, name)
    return None if key is None else data[key]


def as_text(value: Any) -> str | None:
    """A scalar as Newtonsoft.Json puts it into a string property; None for null, an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, int | float):
        return repr(value)
    return None
