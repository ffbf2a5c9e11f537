"""A TLS server that does what no honest one does, one way for each of its starts."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trustme

_STEP = 0.1
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class HostileServer:
    """A running server.

    Attributes:
        asked: first lines and bodies of its requests.
        answer: what an answer of the way `answers` is.
    """

    base: str
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    answer: bytes = b""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return self.base.partition("//")[2]

    def drip(self, connection: Any, data: Callable[[int], bytes]) -> None:
        """Send a little every tenth of a second until the client hangs up."""
        number = 0
        while not self.ended.wait(_STEP):
            connection.sendall(data(number))
            number += 1


def _never(server: HostileServer, connection: Any) -> None:
    server.ended.wait()


def _drip_header(server: HostileServer, connection: Any) -> None:
    connection.sendall(_HEAD + b"X-Slow: ")
    server.drip(connection, lambda number: b"x")


def _drip_body(server: HostileServer, connection: Any) -> None:
    connection.sendall(_HEAD + b"Content-Length: 1000000\r\n\r\n")
    server.drip(connection, lambda number: b" ")


def _drip_chunks(server: HostileServer, connection: Any) -> None:
    connection.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    server.drip(connection, lambda number: b"1\r\n \r\n")


def _continue(server: HostileServer, connection: Any) -> None:
    server.drip(connection, lambda number: b"HTTP/1.1 100 Continue\r\n\r\n")


def _endless(server: HostileServer, connection: Any) -> None:
    connection.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    block = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    while not server.ended.is_set():
        connection.sendall(block)


def _bomb(server: HostileServer, connection: Any) -> None:
    body = bomb_of(512)
    head = _HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


@functools.cache
def bomb_of(mebibytes: int) -> bytes:
    """Blanks, compressed to a thousandth of that."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = b" " * (1 << 20)
    return b"".join(deflate.compress(block) for _ in range(mebibytes)) + deflate.flush()


def _answers(server: HostileServer, connection: Any) -> None:
    connection.sendall(server.answer)


#: What a client is done to, by name.
WAYS: dict[str, Callable[[HostileServer, Any], None]] = {
    "never answers": _never,
    "drips a header": _drip_header,
    "drips the body": _drip_body,
    "drips chunks": _drip_chunks,
    "continues for ever": _continue,
    "sends without end": _endless,
    "sends a gzip bomb": _bomb,
    "answers": _answers,
}
#: Those that only cost time.
SLOW_WAYS = tuple(WAYS)[:5]


@contextlib.contextmanager
def hostile_server(
    authority: trustme.CA, way: str, *, answer: bytes = b"", handshakes: bool = True, name: str = "localhost"
) -> Iterator[HostileServer]:
    """A server on loopback that treats every request in one way.

    Args:
        answer: for the way `answers`.
        handshakes: whether it gets as far as a request; otherwise it never says a word, not even of TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = HostileServer(f"https://localhost:{listening.getsockname()[1]}", answer=answer)
        threads: list[threading.Thread] = []
        connections: list[ssl.SSLSocket] = []

        def serve(plain: socket.socket) -> None:
            with contextlib.suppress(OSError), plain:
                if not handshakes:
                    server.ended.wait()
                    return
                with context.wrap_socket(plain, server_side=True) as connection:
                    connections.append(connection)
                    while _read(server, connection):
                        WAYS[way](server, connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not server.ended.is_set():
                    connection, _ = listening.accept()
                    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    threads[-1].start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            # A client keeps its connection, and a thread would wait for the next request on it.
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            deadline = time.monotonic() + 5
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))


def _read(server: HostileServer, connection: Any) -> bool:
    """Take one request in; whether there was one."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return False
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    whole = bytearray(body)
    while len(whole) < length:
        whole += connection.recv(65536)
    server.asked.append((head.split(b"\r\n")[0].decode(), bytes(whole)))
    return True
