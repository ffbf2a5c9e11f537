"""Decodes a module's log from edgeAgent's `GetModuleLogs`.

Sources: edge-agent `LogMessageParser.cs`, `LogsProcessor.cs` and `ModuleLogsRequestHandler.cs` in Azure/iotedge. A line
without edgeAgent's own prefix (`<6> 2026-11-29 21:03:44.123 +00:00 `) has level 6 and no time.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

#: Syslog's severities by their names on the command line.
LEVELS: Final[Mapping[str, int]] = {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
_DEFAULT_LEVEL: Final = 6
#: Limit for an unpacked answer of 128 KB, in bytes: gzip can compress a thousandfold.
_MOST_BYTES: Final = 64 << 20
# In the runtime's and our own messages: with status 400 today; older agents wrote it in place of a log.
_TOO_LARGE: Final = re.compile(r"payload is too large for a direct method", re.IGNORECASE)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:\d\d)?")


class UnreadableError(ValueError):
    """The answer is not in edgeAgent's format."""


@dataclass(frozen=True)
class Line:
    """One line of a module's log.

    Attributes:
        time: when it was written, by the device's clock, to the microsecond; None if the line does not say.
        level: syslog's severity, 0 to 7; larger is less severe.
        text: without level, time and line break; whatever the module wrote.
    """

    module: str
    time: datetime | None
    level: int
    stream: str
    text: str


def is_too_large(text: str) -> bool:
    """Whether a text is edgeAgent's error that the log is too long for an answer."""
    return _TOO_LARGE.search(text[:1000]) is not None


def lines_of(entry: Mapping[str, Any]) -> tuple[Line, ...] | None:
    """The lines of one module in an answer; None if the log was too large for it. Raises UnreadableError."""
    module, text = str(entry.get("id") or ""), _text_of(entry)
    try:
        found = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        if is_too_large(text):
            return None
        raise UnreadableError(f"the log of {module!r} is not JSON") from error
    if isinstance(found, str) and is_too_large(found):
        return None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnreadableError(f"the log of {module!r} is not a list of lines")
    return tuple(_line(module, each) for each in found)


def _text_of(entry: Mapping[str, Any]) -> str:
    packed, plain = entry.get("payloadBytes"), entry.get("payload")
    if not isinstance(packed, str):
        return plain if isinstance(plain, str) else ""
    try:
        raw = base64.b64decode(packed, validate=True)
        # edgeAgent compresses in pieces: several gzip members, one after the other.
        return _unpacked(raw).decode(errors="replace")
    except (binascii.Error, zlib.error, EOFError) as error:
        raise UnreadableError(f"the log of {entry.get('id')!r} cannot be unpacked: {error}") from error


def _unpacked(raw: bytes) -> bytes:
    pieces: list[bytes] = []
    left = _MOST_BYTES
    while raw:
        unpacker = zlib.decompressobj(wbits=31)
        pieces.append(unpacker.decompress(raw, left))
        left -= len(pieces[-1])
        if left <= 0:
            raise UnreadableError(f"the log unpacks to more than {_MOST_BYTES} bytes")
        if not unpacker.eof:
            raise EOFError("it is cut off")
        raw = unpacker.unused_data
    return b"".join(pieces)


def _line(module: str, found: Mapping[str, Any]) -> Line:
    level, text = found.get("loglevel"), found.get("text")
    return Line(
        module,
        read_time(found.get("timestamp")),
        level if isinstance(level, int) and 0 <= level <= 7 else _DEFAULT_LEVEL,
        str(found.get("stream") or "stdout"),
        (text if isinstance(text, str) else "").rstrip("\r\n"),
    )


def read_time(value: Any) -> datetime | None:
    """A time in edgeAgent's format: ISO 8601, up to seven digits of a second, UTC by default."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    fraction = (found[2] or "").ljust(6, "0")[:6]
    zone = "+00:00" if found[3] in (None, "Z") else found[3]
    try:
        return datetime.fromisoformat(f"{found[1].replace(' ', 'T')}.{fraction}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def written_time(time: datetime) -> str:
    """A time in the format of `since` and `until`."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
