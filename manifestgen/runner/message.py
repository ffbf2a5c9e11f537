"""A message that came in, and one that goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .topics import MESSAGE_ID, SYSTEM_PREFIX, ModuleTopics

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
        """The message ID, if whoever sent it gave one."""
        return self.properties.get(MESSAGE_ID) or None

    @property
    def custom(self) -> dict[str, str]:
        """The properties that are the sender's own. `$.cdid` and its like say who sent it, and are not passed on."""
        return {name: value for name, value in self.properties.items() if not name.startswith(SYSTEM_PREFIX)}


@dataclass(frozen=True)
class Outgoing:
    """A message to send.

    Attributes:
        system: the system properties, `$.on` for the output among them, in the order in which they are sent.
        custom: the other properties.
        body: at most 256 KiB together with the properties.
    """

    system: tuple[tuple[str, str], ...]
    custom: Mapping[str, str]
    body: bytes

    def topic(self, topics: ModuleTopics) -> str:
        """Where it is published."""
        return topics.event(self.system, self.custom)
