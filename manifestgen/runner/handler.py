"""The interface between the MQTT session and the module on top of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Receipt:
    """Acknowledges a received message: its packet ID, valid only in the connection that delivered it; 0 for QoS 0."""

    generation: int
    mid: int


class Handler(Protocol):
    """Gets a session's events. All methods are called in the session's thread."""

    def connected(self) -> None:
        """EdgeHub has accepted the connection; the subscriptions are sent first."""
        ...

    def disconnected(self) -> None:
        """The connection is gone: what was received by it can no longer be acknowledged."""
        ...

    def received(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        """A message has arrived and waits for `Session.ack`."""
        ...

    def flushed(self) -> None:
        """All that has arrived so far was received, and the acknowledgements made meanwhile were sent."""
        ...

    def expecting(self) -> bool:
        """Whether there may soon be calls by `Session.call_later`."""
        ...

    def tick(self, now: float) -> None:
        """Called about twice a second, connected or not; `now` is monotonic."""
        ...

    def idle(self) -> bool:
        """Whether nothing waits to be finished, so that a disconnect would interrupt nothing."""
        ...
