"""Between a module and its broker: TLS on the module's side, and every MQTT packet kept in the order of its passing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, DISCONNECT = 1, 2, 3, 4, 8, 14

Side = Literal["module", "broker"]


@dataclass(frozen=True)
class Packet:
    """An MQTT 3.1.1 packet.

    Attributes:
        sender: whose it is.
        connection: the number of the connection that it went by.
        first: the fixed header's first byte.
        body: what follows the remaining length.
    """

    sender: Side
    connection: int
    first: int
    body: bytes

    @property
    def kind(self) -> int:
        return self.first >> 4

    @property
    def qos(self) -> int:
        return (self.first >> 1) & 3

    @property
    def topic(self) -> str:
        """Of a PUBLISH."""
        return _text(self.body)[0].decode()

    @property
    def mid(self) -> int:
        """The packet ID of a PUBLISH with QoS 1, of a PUBACK, or of a SUBSCRIBE."""
        offset = len(_text(self.body)[0]) + 2 if self.kind == PUBLISH else 0
        return int(struct.unpack_from("!H", self.body, offset)[0])

    @property
    def payload(self) -> bytes:
        """Of a PUBLISH."""
        return _text(self.body)[1][2 if self.qos else 0 :]

    @property
    def filters(self) -> list[tuple[str, int]]:
        """Topic filters of a SUBSCRIBE, each with its QoS."""
        rest, found = self.body[2:], []
        while rest:
            text, rest = _text(rest)
            found.append((text.decode(), rest[0]))
            rest = rest[1:]
        return found

    @property
    def connect(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Of a CONNECT: protocol, flags and keep-alive as bytes; client ID; user name; password."""
        head, rest = self.body[:10], self.body[10:]
        client, rest = _text(rest)
        user, rest = _text(rest)
        return head, client, user, _text(rest)[0]


def _text(data: bytes) -> tuple[bytes, bytes]:
    length = int(struct.unpack_from("!H", data)[0])
    return data[2 : 2 + length], data[2 + length :]


class Proxy:
    """A recording proxy on a port of loopback.

    Attributes:
        packets: all so far.
        delay: seconds that each packet of the broker is held back.
        hold: whether a packet is not passed on: what a connection swallows before it breaks.
    """

    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        self.packets: list[Packet] = []
        self.delay = 0.0
        self.hold: Callable[[Packet], bool] = lambda packet: False
        self.refuse = False
        self._target, self._context = target, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._connections = 0
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Break every connection without a word, or with a reset, which lets the other side's next write fail."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            if reset:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _shut_down(sock)

    def of(self, sender: Side, kind: int) -> list[Packet]:
        return [packet for packet in list(self.packets) if packet.sender == sender and packet.kind == kind]

    def wait_for(self, sender: Side, kind: int, number: int = 1, timeout: float = 15) -> list[Packet]:
        deadline = time.monotonic() + timeout
        while len(found := self.of(sender, kind)) < number:
            assert time.monotonic() < deadline, self.packets
            time.sleep(0.01)
        return found

    def _accept(self) -> None:
        while not self._closed:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                raw.close()
                continue
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(raw)
            try:
                raw.settimeout(10)
                module = stack.enter_context(self._context.wrap_socket(raw, server_side=True))
                broker = stack.enter_context(socket.create_connection(("127.0.0.1", self._target)))
            except OSError:
                return
            module.settimeout(None)
            broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [module, broker]
            if self._closed:
                return
            self._connections += 1
            number = self._connections
            back = threading.Thread(target=self._pump, args=(broker, module, "broker", number), daemon=True)
            back.start()
            self._pump(module, broker, "module", number)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, sender: Side, number: int) -> None:
        data = b""
        with contextlib.suppress(OSError, ValueError):
            while chunk := source.recv(65536):
                data += chunk
                while (cut := _cut(data)) is not None:
                    packet, size = Packet(sender, number, data[0], cut[0]), cut[1]
                    raw, data = data[:size], data[size:]
                    if self.hold(packet):
                        continue
                    self.packets.append(packet)
                    if sender == "broker" and self.delay:
                        time.sleep(self.delay)
                    target.sendall(raw)
        for sock in (source, target):
            _shut_down(sock)


def _shut_down(sock: socket.socket) -> None:
    """End a connection that another thread may be reading or writing."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own method: it forgets the TLS state first, and the other thread would write plain text.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _cut(data: bytes) -> tuple[bytes, int] | None:
    """The first packet's body and whole size, or None if it is not complete."""
    length, shift = 0, 0
    for index in range(1, min(len(data), 5)):
        length |= (data[index] & 127) << shift
        shift += 7
        if not data[index] & 128:
            end = index + 1 + length
            return (data[index + 1 : end], end) if len(data) >= end else None
    return None


@contextmanager
def proxy(target: int, context: ssl.SSLContext) -> Iterator[Proxy]:
    """A proxy in front of a broker's plain port."""
    running = Proxy(target, context)
    try:
        yield running
    finally:
        running.close()
