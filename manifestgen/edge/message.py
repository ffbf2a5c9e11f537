"""A message on its way between modules and to the hub."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

#: System properties that edgeHub itself sets.
DEVICE: Final = "connectionDeviceId"
MODULE: Final = "connectionModuleId"
OUTPUT: Final = "outputName"
TYPE: Final = "messageType"
TWIN_CHANGE: Final = "twinChangeNotification"


def _now() -> datetime:
    return datetime.now(timezone.utc)


def readable(body: bytes) -> dict[str, Any]:
    """A body under the key that says how it is written: JSON as `body`, else `text`, else `base64`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    try:
        return {"body": json.loads(text, parse_constant=_refuse)}
    except (ValueError, RecursionError):
        return {"text": text}


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


@dataclass(frozen=True)
class Message:
    """A message as edgeHub holds it.

    Attributes:
        body: the payload.
        properties: application properties.
        system: system properties by the names that edgeHub gives them: `messageId`, `cid` (the correlation id),
            `userId`, `contentType`, `contentEncoding`, `creationTime`, `absolute-expiry-time`, `connectionDeviceId`,
            `connectionModuleId`, `outputName` and others. A route's `$name` finds these.
        device: who sent it.
        module: which of the device's modules.
        output: the output's name; empty without one.
        enqueued: when edgeHub received it.
    """

    body: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    module: str = ""
    output: str = ""
    enqueued: datetime = field(default_factory=_now)

    @property
    def source(self) -> str:
        """The source that a route's FROM is compared with."""
        if self.system.get(TYPE) == TWIN_CHANGE:
            return "/twinChangeNotifications"
        if not self.module:
            return "/messages"
        return f"/messages/modules/{self.module}" + (f"/outputs/{self.output}" if self.output else "")

    @property
    def size(self) -> int:
        """As edgeHub counts it: the body, and names and values of all properties; in bytes and characters."""
        bags = (self.properties, self.system)
        return len(self.body) + sum(len(name) + len(value) for bag in bags for name, value in bag.items())
