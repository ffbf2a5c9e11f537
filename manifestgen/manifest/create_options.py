"""createOptions: a JSON text in one string, or cut into numbered chunks where it is longer than IoT Hub takes.

`split` writes what the hub and every runtime since 1.0.10 take; `join` reads as edgeAgent does
(`JsonEx.ChunkedProperty`), surprises included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.manifest.dump import compact

#: Longest string value that IoT Hub takes, in bytes of UTF-8.
CHUNK_BYTES: Final = 4096
#: edgeAgent reads this many chunks and silently drops the rest (Agent.Docker/Constants.cs).
MAX_CHUNKS: Final = 100

_NAME: Final = "createOptions"
_USUAL: Final = frozenset({_NAME, "image"})
# Not anchored, as in the runtime: any key that contains the name belongs to the sequence.
_KEY: Final = r"(?ai)createoptions([0-9]*)"


class ChunkError(InputError):
    """The chunks of createOptions do not form the sequence that edgeAgent wants.

    Attributes:
        key: the key in `settings` that breaks it.
    """

    def __init__(self, key: str, what: str, *, fix: str) -> None:
        super().__init__(what, fix=fix)
        self.key = key


def split(text: str) -> dict[str, str]:
    """`{"createOptions": text}`; above 4,096 bytes `createOptions`, `createOptions01`, … of at most that size each.

    A chunk never ends inside a character.

    Raises:
        InputError: it would take more than 100 chunks.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= CHUNK_BYTES:
        return {_NAME: text}
    chunks: dict[str, str] = {}
    start = 0
    while start < len(data):
        if len(chunks) == MAX_CHUNKS:
            raise InputError(
                f"createOptions of {len(data)} bytes do not fit in {MAX_CHUNKS} chunks",
                fix="move large content out of createOptions, for example into a file that the module mounts",
            )
        end = min(start + CHUNK_BYTES, len(data))
        # Bytes 10xxxxxx continue a character: step back to where it begins.
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        key = f"{_NAME}{len(chunks):02d}" if chunks else _NAME
        chunks[key] = data[start:end].decode("utf-8", "surrogatepass")
        start = end
    return chunks


def keys(settings: Mapping[str, Any]) -> list[str]:
    """The keys that edgeAgent takes for chunks of createOptions, in its order."""
    found = [key for key in settings if "createoptions" in key.lower()]
    # .NET's OrdinalIgnoreCase compares upper-case letters.
    return sorted(found, key=str.upper) if len(found) > 1 else found


def join(settings: Mapping[str, Any]) -> str:
    """The createOptions text of a module's `settings`, as edgeAgent puts it together; empty if there is none.

    A value that is an object counts as its JSON text.

    Raises:
        ChunkError: a number is missing, doubled or not a number, or the first chunk has one.
    """
    if _NAME in settings and settings.keys() <= _USUAL:
        return _text(settings[_NAME])
    chunks = keys(settings)
    for number, key in enumerate(chunks[:MAX_CHUNKS]):
        match = re.search(_KEY, key)
        digits = match[1] if match else ""
        if number == 0 and digits:
            raise ChunkError(
                key,
                f"the first chunk of createOptions must be 'createOptions', found {key!r}",
                fix="name the first chunk 'createOptions', the next 'createOptions01'",
            )
        if number and (not digits or len(digits) > 9 or int(digits) != number):
            raise ChunkError(
                key,
                f"chunk {number} of createOptions must be 'createOptions{number:02d}', found {key!r}",
                fix="number the chunks without a gap: createOptions, createOptions01, createOptions02, …; "
                "no other key of 'settings' may contain 'createOptions'",
            )
    return "".join(_text(settings[key]) for key in chunks[:MAX_CHUNKS])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "True" if value else "False"
    try:
        return compact(value)
    except RecursionError:
        # Hundreds of levels: IoT Hub accepts ten, so the text is never needed.
        return ""


def with_text_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with createOptions that were given as an object turned into text, in chunks if need be.

    Chunks that are already there are dropped then: edgeAgent would append them to the new text. createOptions that are
    a text, null or missing stay as they are.

    Raises:
        InputError: the text is too long for 100 chunks.
    """
    options = settings.get(_NAME)
    if not isinstance(options, dict):
        return dict(settings)
    result: dict[str, Any] = {}
    for key, value in settings.items():
        if key == _NAME:
            result.update(split(compact(options)))
        elif "createoptions" not in key.lower():
            result[key] = value
    return result
