"""A call into a thread that waits for sockets."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable


class Wake:
    """Calls that another thread is to make, and a socket that becomes readable when there are some."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def fileno(self) -> int:
        """What to wait for."""
        return self._reader.fileno()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Let the waiting thread make this call. May be called in any thread."""
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            self.wake()

    def wake(self) -> None:
        """Let the waiting thread look around. May be called in any thread."""
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # it is awake already, or has ended

    def clear(self) -> None:
        """Wait again from now on. The calls must be made after this, or one could be missed."""
        # Once is enough: while this thread is awake nobody writes a second byte, and what is left wakes it again.
        self._reader.recv(4096)
        self._woken = False

    def run(self) -> None:
        """Make the calls."""
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        """Forget the sockets."""
        self._reader.close()
        self._writer.close()
