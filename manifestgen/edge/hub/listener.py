"""Takes connections in and establishes TLS.

asyncio's own TLS server keeps no hold of clients that are still at their handshake: a hub that stops would leave their
sockets open.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Final

# After an error of the system, such as too many open files.
_PAUSE: Final = 0.1


class Listener:
    """A port of loopback; each client that has ended its handshake gets a protocol."""

    def __init__(self, context: ssl.SSLContext, handshake: float, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Make a listener; `handshake` is how many seconds a client may take."""
        self._context, self._handshake, self._protocol = context, handshake, protocol
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, port: int, backlog: int) -> int:
        """Listen; the port. Raises OSError if it is taken."""
        listening = socket.create_server(("127.0.0.1", port), backlog=backlog)
        listening.setblocking(False)
        self._begin(self._accept(listening))
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and end the handshakes under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    client, _ = await loop.sock_accept(listening)
                except OSError:
                    await asyncio.sleep(_PAUSE)
                else:
                    self._begin(self._shake_hands(client))

    async def _shake_hands(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # no TLS, another authority, too slow, or gone
            await loop.connect_accepted_socket(
                self._protocol, client, ssl=self._context, ssl_handshake_timeout=self._handshake
            )
