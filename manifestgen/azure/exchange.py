"""Limits of time and size for one request and its answer, kept by the connection itself.

A timeout of requests or urllib3 restarts with every byte: a server that sends one now and then, or `100 Continue`
for ever, holds a client as long as it likes. Here every wait of a connection, for its name, its handshake, each piece
it sends or receives, takes from the time that is left for its phase.

    with exchange(connect=10, answer=35):
        response = pool.urlopen(…, preload_content=False)
        body = body_of(response, limit=32 << 20)

It works for pools of `POOLS` whose TLS context went through `limited`.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CHUNK: Final = 1 << 16
# Bytes a second below which sending a large body is given up.
_SLOWEST: Final = 4096


class Phase(Enum):
    """The phase of a connection."""

    CONNECT = "no connection within {} s"
    SEND = "the request could not be sent within {} s"
    WAIT = "no response within {} s"
    READ = "the response was not complete after {} s"


class LimitError(TimeoutError):
    """The time for a phase is over; its message says which."""

    def __init__(self, phase: Phase, seconds: float) -> None:
        super().__init__(phase.value.format(f"{seconds:g}"))
        self.phase = phase


class TooLargeError(Exception):
    """A body is larger than the limit, compressed or not."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {_size(limit)}")


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


class _Exchange:
    """The time of one request: the connection moves it from phase to phase."""

    def __init__(self, connect: float, answer: float) -> None:
        self._limits = {Phase.CONNECT: connect, Phase.SEND: answer, Phase.WAIT: answer, Phase.READ: answer}
        self.enter(Phase.CONNECT)

    def enter(self, phase: Phase) -> None:
        # Waiting for an answer and reading it are one phase with two names.
        if phase is not Phase.READ:
            self._deadline = time.monotonic() + self._limits[phase]
        self._phase = phase

    def sent(self, count: int) -> None:
        """A large body may take longer than an answer."""
        if self._phase is Phase.SEND:
            self._deadline += count / _SLOWEST

    def remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.over()
        return left

    def over(self) -> LimitError:
        return LimitError(self._phase, self._limits[self._phase])


_threads = threading.local()


def _current() -> _Exchange | None:
    return getattr(_threads, "exchange", None)


def _enter(phase: Phase) -> None:
    if (current := _current()) is not None:
        current.enter(phase)


@contextmanager
def exchange(connect: float, answer: float) -> Iterator[None]:
    """Limit the time of the one request that this thread sends in the block.

    Args:
        connect: seconds to connect.
        answer: seconds for the whole answer, and for sending a small request.
    """
    before, _threads.exchange = _current(), _Exchange(connect, answer)
    try:
        yield
    finally:
        _threads.exchange = before


class _Limited:
    """Sockets whose every wait takes from the time of the thread's exchange."""

    def _waits(self, method: str, *arguments: Any) -> Any:
        current = _current()
        call = getattr(super(), method)
        if current is None:
            return call(*arguments)
        self.settimeout(current.remaining())  # type: ignore[attr-defined] # of the socket that this is mixed into
        try:
            return call(*arguments)
        except TimeoutError as error:
            raise current.over() from error

    def recv_into(self, *arguments: Any) -> Any:
        return self._waits("recv_into", *arguments)

    def recv(self, *arguments: Any) -> Any:
        return self._waits("recv", *arguments)

    def send(self, data: Any, *arguments: Any) -> Any:
        # In pieces: TLS would send all of it in one call, and take more time only at its end.
        count = self._waits("send", memoryview(data)[:_CHUNK], *arguments)
        if (current := _current()) is not None:
            current.sent(count)
        return count


class _LimitedSocket(_Limited, socket.socket):
    def sendall(self, *arguments: Any) -> Any:
        return self._waits("sendall", *arguments)


class _LimitedTls(_Limited, ssl.SSLSocket):
    # Its sendall is made of calls of send.
    def do_handshake(self, block: bool = False) -> None:
        self._waits("do_handshake", block)


def limited(context: ssl.SSLContext) -> ssl.SSLContext:
    """A TLS context whose connections keep the limits of the thread's exchange."""
    context.sslsocket_class = _LimitedTls
    return context


class _Phases:
    """Connections that tell the thread's exchange what they are doing."""

    def _new_conn(self) -> socket.socket:
        plain: socket.socket = super()._new_conn()  # type: ignore[misc] # of the connection this is mixed into
        timeout = plain.gettimeout()
        found = _LimitedSocket(plain.family, plain.type, plain.proto, plain.detach())
        found.settimeout(timeout)
        return found

    def connect(self) -> None:
        _enter(Phase.CONNECT)
        super().connect()  # type: ignore[misc]
        _enter(Phase.SEND)

    def request(self, *arguments: Any, **named: Any) -> None:
        _enter(Phase.SEND)
        super().request(*arguments, **named)  # type: ignore[misc]

    def getresponse(self) -> Any:
        _enter(Phase.WAIT)
        response = super().getresponse()  # type: ignore[misc]
        _enter(Phase.READ)
        return response


class _Http(_Phases, HTTPConnection):
    pass


class _Https(_Phases, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


#: The pools of a `PoolManager`, by scheme.
POOLS: Final = {"http": _HttpPool, "https": _HttpsPool}


def body_of(response: BaseHTTPResponse, limit: int) -> bytes:
    """The whole body of an answer, with its content coding undone.

    Raises:
        TooLargeError: it has more than `limit` bytes, compressed or not.
        zlib.error: its content coding is damaged, or is one that we never ask for.
    """
    body = bytearray()
    for chunk in response.stream(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > limit:
            response.close()
            raise TooLargeError(limit)
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity") or not body:
        return bytes(body)
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise zlib.error(f"unknown content coding {coding[:40]!r}")
    return _inflated(bytes(body), limit)


def _inflated(body: bytes, limit: int) -> bytes:
    """A gzip or zlib stream's content, never more of it than `limit`."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    found = inflate.decompress(body, limit + 1)
    if len(found) > limit:
        raise TooLargeError(limit)
    if not inflate.eof:
        raise zlib.error("the stream is cut off")
    return found


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL: what is sent with a login must not be redirected to another."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
