"""A message that came in, and one that goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .topics import MESSAGE_ID, SYSTEM_PREFIX

MAX_BYTES = 256 * 1024
"""What edgeHub takes as one message; it closes the connection that a larger one comes by."""


@dataclass(frozen=True)
class Message:
    """A message that arrived at an input.

    Attributes:
        input: the input's name.
        body: as it came.
        properties: all of them, those of the system (`$.…`) too.
    """

    input: str
    body: bytes
    properties: Mapping[str, str]

    @property
    def id(self) -> str | None:
        """The message ID, if its sender set one."""
        return self.properties.get(MESSAGE_ID) or None

    @property
    def custom(self) -> dict[str, str]:
        """The properties that are the sender's own. `$.cdid` and its like say who sent it, and are not passed on."""
        return {name: value for name, value in self.properties.items() if not name.startswith(SYSTEM_PREFIX)}


@dataclass(frozen=True)
class Outgoing:
    """A message to send: where it is published, and its body; at most 256 KiB together."""

    topic: str
    body: bytes
