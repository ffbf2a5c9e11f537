"""Calls into a thread that waits for sockets."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable


class Wake:
    """Calls that another thread is to make, and the wait that they end."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._calls: deque[Callable[[], None]] = deque()
        self._waiting = False

    def call_soon(self, call: Callable[[], None]) -> None:
        """Let the waiting thread make this call. May be called in any thread."""
        self._calls.append(call)
        if self._waiting:
            self._waiting = False
            self.wake()

    def call_later(self, call: Callable[[], None]) -> None:
        """Let the waiting thread make this call when its wait ends anyway. May be called in any thread."""
        self._calls.append(call)

    def wake(self) -> None:
        """Let the waiting thread look around. May be called in any thread."""
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # it is awake already, or has ended

    def wait(self, poll: select.poll, seconds: float) -> list[tuple[int, int]]:
        """Wait until something is ready, a call is to be made, or the time is over; what is ready besides the calls."""
        poll.register(self._reader, select.POLLIN)
        # First this, then a look at the calls, and `call_soon` the other way round: one of the two sees the other.
        self._waiting = True
        ready = poll.poll(0 if self._calls else seconds * 1000)
        self._waiting = False
        own = self._reader.fileno()
        if any(descriptor == own for descriptor, _ in ready):
            self._reader.recv(4096)
        return [(descriptor, event) for descriptor, event in ready if descriptor != own]

    def run(self) -> None:
        """Make the calls."""
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        """Forget the sockets."""
        self._reader.close()
        self._writer.close()
