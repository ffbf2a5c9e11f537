"""The path behind `$body.`: `name`, `name[3]`, and more of them with dots between.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/jsonpath/JsonPath.g4.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from manifestgen.manifest.route.error import quoted


class PathError(NamedTuple):
    """What is wrong with a path, and the offset in it."""

    message: str
    offset: int


# Part of a path, as its lexer cuts: an all-digit part is a number and no name.
_PART: Final = re.compile(r"[^.\[\]]+|[.\[\]]")


def check_path(path: str) -> PathError | None:
    """Why the runtime's compiler refuses a path; None if it takes it."""
    if not path:
        return PathError("the path behind '$body.' is empty", 0)
    parts = _PART.findall(path)
    offset = index = 0

    def at(i: int) -> str:
        return parts[i] if i < len(parts) else ""

    while True:
        name = at(index)
        if name in ("", ".", "[", "]") or _is_number(name):
            return PathError(f"{quoted(name)} is no name" if name else "a name is missing at its end", offset)
        offset += len(name)
        index += 1
        if at(index) == "[":
            number = at(index + 1)
            if not _is_number(number):
                return PathError("only a number may stand in brackets", offset + 1)
            if at(index + 2) != "]":
                return PathError("']' is missing", offset + 1 + len(number))
            offset += len(number) + 2
            index += 3
        if index == len(parts):
            return None
        if at(index) != ".":
            return PathError("'.' is missing", offset)
        offset += 1
        index += 1


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()
