"""The numbers of an edgeHub: those of its settings, in one place, so that a test can be quick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes.

    Attributes:
        acknowledge: how long edgeHub waits for a PUBACK before it sends a message again (`MessageAckTimeoutSecs`).
        tokens: how often it looks at the tokens of all connections.
        connect: how long a client may take to its CONNECT (`ConnectArrivalTimeout`).
        keep_alive: the longest silence of a client, whatever it asks for (`MaxKeepAliveTimeout`).
        handshake: how long TLS may take to be established.
        sweep: how often messages that have expired are removed.
        store: how much may wait where the manifest names no limit; edgeHub itself has none but its disk.
        unsent: how much may be on its way to a client that does not read before it is disconnected.
        loop: the shortest time between two messages to a module that routes may lead back to itself. edgeHub itself
            has no such limit: there a loop takes all that the machine has.
        retry: the pauses before a message to the cloud is tried again: the first, and the longest.
    """

    acknowledge: float = 30.0
    tokens: float = 300.0
    connect: float = 60.0
    keep_alive: float = 600.0
    handshake: float = 15.0
    sweep: float = 60.0
    store: int = 256 * 1024 * 1024
    unsent: int = 8 * 1024 * 1024
    loop: float = 0.01
    retry: tuple[float, float] = (0.5, 30.0)
