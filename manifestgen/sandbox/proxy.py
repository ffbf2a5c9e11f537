"""The HTTP proxy for clients: it tunnels to the sandbox's own services and rejects every other host.

It never looks inside a tunnel. If a service resets a connection, the proxy resets the client's connection too, so the
client sees the same failure as without a proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Collection
from typing import Any

_HEAD_LIMIT = 64 * 1024
_HEAD_TIMEOUT = 30.0
_CHUNK = 64 * 1024
_CANCEL_SECONDS = 0.1


class Proxy:
    """An HTTP CONNECT proxy on loopback.

    Args:
        route: returns the loopback port that serves a host (in lower case), or None to reject the host.
        rejected: called with method, host and path of each rejected request.
    """

    def __init__(self, route: Callable[[str, int], int | None], rejected: Callable[[str, str, str], None]) -> None:
        self._route = route
        self._rejected = rejected
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and all tunnels."""
        if self._server is not None:
            await close_server(self._server)
        await end_all(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this callback as a task
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reset(writer)
        except asyncio.CancelledError:
            # The sandbox is stopping; asyncio would report a cancelled connection as an error.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_TIMEOUT)
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = rest.rpartition(" ")[0]
        host, port, path = _split_target(method, target)
        upstream = self._route(host, port) if method == "CONNECT" else None
        if upstream is None:
            self._rejected(method, host or "?", path)
            await _reject(writer, host)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream, limit=_HEAD_LIMIT)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _tunnel(reader, writer, far_reader, far_writer)
        except (OSError, asyncio.CancelledError):
            reset(far_writer)
            raise
        finally:
            far_writer.close()


async def close_server(server: asyncio.Server) -> None:
    """Stop accepting connections; when it returns, a connection that was being accepted is in the caller's hands."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        # A server that is closed while it accepts a connection loses it, and nothing would ever close that connection.
        with contextlib.suppress(NotImplementedError):  # Windows accepts connections differently
            loop.remove_reader(listening.fileno())
    await run_pending()
    server.close()


async def end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, repeatedly, until all have ended."""
    while ending := [task for task in tasks if not task.done()]:
        for task in ending:
            task.cancel()
        # Before Python 3.12, `asyncio.wait_for` swallows a cancellation that arrives together with the awaited result.
        await asyncio.wait(ending, timeout=_CANCEL_SECONDS)


async def run_pending() -> None:
    """Run the event loop a few times, enough to finish accepting a connection or closing a socket."""
    for _ in range(5):
        await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter | asyncio.WriteTransport) -> None:
    """Close a connection with a reset (RST) instead of an orderly end."""
    transport = writer.transport if isinstance(writer, asyncio.StreamWriter) else writer
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _split_target(method: str, target: str) -> tuple[str, int, str]:
    """Host, port and path of a proxy request; the host is empty if it has none."""
    path = ""
    default = 443
    if method != "CONNECT":
        scheme, separator, rest = target.partition("://")
        if not separator:
            return "", 0, target
        default = 443 if scheme == "https" else 80
        target, slash, path = rest.partition("/")
        path = slash + path.partition("?")[0]
    host, colon, port = target.rpartition(":")
    if not colon:
        return target.lower(), default, path
    return host.lower(), int(port) if port.isdecimal() else default, path


async def _reject(writer: asyncio.StreamWriter, host: str) -> None:
    """Name the host in the reason phrase too: most clients show nothing else of a proxy's response."""
    name = "".join(letter for letter in host if letter.isprintable() and letter.isascii()) or "this"
    body = (
        f"The manifestgen sandbox does not serve {name!r}. It is a local stand-in for the Azure services that "
        "manifestgen uses, and lets nothing through to the internet.\n"
    ).encode()
    writer.write(
        f"HTTP/1.1 403 {name} is not served by the manifestgen sandbox\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("latin-1")
        + body
    )
    await writer.drain()


async def _tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    directions = {
        asyncio.ensure_future(_pump(reader, far_writer)),
        asyncio.ensure_future(_pump(far_reader, writer)),
    }
    try:
        done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in directions:
            task.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
