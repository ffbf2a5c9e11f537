"""Evaluates `$body.…` in a message: edgeHub parses the body with Newtonsoft.Json and selects by a path.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, Message.cs, JsonMessageQueryValueProvider.cs,
query/builtins/BodyQuery.cs, query/types/QueryValue.cs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from manifestgen.manifest.newtonsoft import loads


class Nothing:
    """A marker that is not a JSON value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: An unknown value: every comparison with it is undefined too.
UNDEFINED: Final = Nothing("undefined")
#: The value of a path that finds nothing; it compares like null, but `is_null` distinguishes the two.
MISSING: Final = Nothing("missing")

_ENCODINGS: Final = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_STEP: Final = re.compile(r"([^.\[\]]+)(?:\[([0-9]+)\])?\.?")
_ISO_DATE: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_MICROSOFT_DATE: Final = re.compile(r"/Date\(-?[0-9]+(?:[+-][0-9]{4})?\)/")
_SHORTEST_DATE: Final = 19
_LONGEST_DATE: Final = 40

#: A path's names, each with the index behind it, or None.
Path = tuple[tuple[str, int | None], ...]


def read_path(text: str) -> Path:
    """Take apart a path that `check_path` accepts."""
    return tuple((step[1], int(step[2]) if step[2] else None) for step in _STEP.finditer(text))


def read_body(body: bytes, content_type: str | None, encoding: str | None) -> Any:
    """The JSON of a message's body; `UNDEFINED` unless edgeHub would look into it."""
    codec = _ENCODINGS.get((encoding or "").lower())
    if codec is None or (content_type or "").lower() != "application/json":
        return UNDEFINED
    try:
        value = loads(body.decode(codec, "replace"))
    except (ValueError, RecursionError):  # Python itself reads no number of more than 4,300 digits
        return UNDEFINED
    return value if isinstance(value, dict) else UNDEFINED


def find(value: Any, path: Path) -> Any:
    """The value of a path in a JSON body: a bool, float, str or None, `MISSING` or `UNDEFINED`."""
    if value is UNDEFINED:
        return UNDEFINED
    found = [value]
    for name, index in path:
        found = [below for item in found for below in _below(item, name)]
        if index is not None:
            found = [item[index] for item in found if isinstance(item, list) and index < len(item)]
    if not found:
        return MISSING
    return _leaf(found[0]) if len(found) == 1 else UNDEFINED


def _below(item: Any, name: str) -> list[Any]:
    if name == "*":
        return list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else []
    return [item[name]] if isinstance(item, Mapping) and name in item else []


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return UNDEFINED if _is_date(value) else value
    return UNDEFINED  # an object or a list


def _is_date(text: str) -> bool:
    """Whether Newtonsoft.Json makes a date of a string, which a condition cannot compare."""
    if not _SHORTEST_DATE <= len(text) <= _LONGEST_DATE:
        return text.startswith("/Date(") and _MICROSOFT_DATE.fullmatch(text) is not None
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        return _MICROSOFT_DATE.fullmatch(text) is not None
    try:
        datetime.fromisoformat(match[1])
    except ValueError:
        return False
    return True
