"""Takes connections in and establishes TLS.

asyncio's own TLS server keeps no hold of clients that are still at their handshake: a hub that stops would leave their
sockets open.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast


class Listener:
    """A port of loopback; each client that has ended its handshake gets a protocol."""

    def __init__(self, context: ssl.SSLContext, handshake: float, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Make a listener; `handshake` is how many seconds a client may take."""
        self._context, self._handshake, self._protocol = context, handshake, protocol
        self._server: asyncio.Server | None = None
        self._coming: dict[asyncio.Task[None], asyncio.Transport] = {}

    async def start(self, port: int, backlog: int) -> int:
        """Listen; the port. Raises OSError if it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Plain(self._came), "127.0.0.1", port, backlog=backlog, reuse_address=True
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and end the handshakes under way."""
        if self._server is not None:
            self._server.close()
        coming = dict(self._coming)
        for task, transport in coming.items():
            task.cancel()
            transport.abort()
        if coming:
            await asyncio.wait(coming)

    def _came(self, transport: asyncio.Transport) -> None:
        task = asyncio.get_running_loop().create_task(self._shake_hands(transport))
        self._coming[task] = transport
        task.add_done_callback(self._coming.pop)

    async def _shake_hands(self, plain: asyncio.Transport) -> None:
        early = _Early()
        try:
            transport = await asyncio.get_running_loop().start_tls(
                plain, early, self._context, server_side=True, ssl_handshake_timeout=self._handshake
            )
        except OSError:  # no TLS, another authority, too slow, or gone
            plain.abort()
            return
        if transport is not None and not early.lost:
            protocol = self._protocol()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            if early.data:
                protocol.data_received(bytes(early.data))


class _Early(asyncio.Protocol):
    """Keeps what comes with the end of the handshake, before anybody else is there."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


class _Plain(asyncio.Protocol):
    """A connection before TLS, which reads nothing."""

    def __init__(self, came: Callable[[asyncio.Transport], None]) -> None:
        self._came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        plain.pause_reading()
        self._came(plain)
