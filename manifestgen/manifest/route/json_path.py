"""The path behind `$body.`: `name`, `name[3]`, and more of them with dots between.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/jsonpath/JsonPath.g4.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from manifestgen.manifest.route.error import quoted


class PathError(Struct, frozen=True):
    """An error in a path, with its offset."""

    message: str
    offset: int


_STEP: Final = r"([^.\[\]]+)(\[[0-9]+\])?"


def check_path(path: str) -> PathError | None:
    """Why the runtime's compiler refuses a path; None if it takes it."""
    if not path:
        return PathError("it is empty", 0)
    offset = 0
    while offset < len(path):
        step = re.compile(_STEP).match(path, offset)
        if step is None:
            return PathError(f"a name is missing before {quoted(path[offset])}", offset)
        if step[1].isascii() and step[1].isdigit():  # the lexer reads it as a number, not a name
            return PathError(f"{quoted(step[1])} is a number, not a name", offset)
        offset = step.end()
        if offset == len(path):
            return None
        if path[offset] == "[" and not step[2]:
            return PathError("[ and ] must have a number between them", offset)
        if path[offset] != ".":
            return PathError(f"{quoted(path[offset])} cannot follow here", offset)
        offset += 1
    return PathError("a name is missing at its end", len(path) - 1)
