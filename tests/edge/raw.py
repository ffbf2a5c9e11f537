"""A module as bytes: an MQTT client that sends exactly what a test says, and looks at every packet that comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

from manifestgen.edge.identity import Identity

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 9, 11, 13


@dataclass(frozen=True)
class Packet:
    """A packet of the hub's."""

    first: int
    body: bytes

    @property
    def kind(self) -> int:
        return self.first >> 4

    @property
    def qos(self) -> int:
        return self.first >> 1 & 3

    @property
    def duplicate(self) -> bool:
        return bool(self.first & 8)

    @property
    def topic(self) -> str:
        return self.body[2 : 2 + self._length].decode()

    @property
    def number(self) -> int:
        at = 2 + self._length if self.kind == PUBLISH else 0
        return int(struct.unpack_from("!H", self.body, at)[0])

    @property
    def payload(self) -> bytes:
        return self.body[2 + self._length + (2 if self.qos else 0) :]

    @property
    def _length(self) -> int:
        return int(struct.unpack_from("!H", self.body)[0])


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(first: int, body: bytes = b"") -> bytes:
    length, written = len(body), bytearray()
    while True:
        length, low = length >> 7, length & 127
        written.append(low | (128 if length else 0))
        if not length:
            return bytes((first,)) + bytes(written) + body


def token(identity: Identity, module: str, expires: float | None = None, key: bytes | None = None) -> str:
    resource = quote(f"{identity.hub}/devices/{identity.device}/modules/{module}", safe="")
    end = int(time.time() + 3600 if expires is None else expires)
    secret = key or identity.key(module)
    assert secret is not None
    digest = hmac.new(secret, f"{resource}\n{end}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={quote(base64.b64encode(digest).decode(), safe='')}&se={end}"


def user_name(identity: Identity, module: str) -> str:
    return f"{identity.hub}/{identity.device}/{module}/?api-version=2019-10-01&DeviceClientType=test"


def connect(client: str, user: str, password: str, *, clean: bool = False, keep_alive: int = 60) -> bytes:
    flags = 0xC0 | (2 if clean else 0)
    head = text("MQTT") + bytes((4, flags)) + struct.pack("!H", keep_alive)
    return packet(0x10, head + text(client) + text(user) + text(password))


class Gone(Exception):
    """The hub has closed the connection."""


class Module:
    """A connection to a hub, over TLS; at first without a word of MQTT."""

    def __init__(self, identity: Identity, port: int, module: str) -> None:
        self.identity, self.module = identity, module
        context = ssl.create_default_context(cadata=identity.trust_bundle)
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(plain, server_hostname=identity.gateway)
        except OSError:
            plain.close()
            raise
        self._data = bytearray()
        self._packets: deque[Packet] = deque()
        self._number = 0

    def __enter__(self) -> Module:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, timeout: float = 10) -> Packet:
        """The next packet. Raises Gone at the end of the connection, TimeoutError if nothing comes."""
        deadline = time.monotonic() + timeout
        while not self._packets:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Gone from error
            if not data:
                raise Gone
            self._data += data
            self._cut()
        return self._packets.popleft()

    def _cut(self) -> None:
        while len(self._data) >= 2:
            length, shift, at = 0, 0, 1
            while True:
                if at >= len(self._data):
                    return
                byte = self._data[at]
                length |= (byte & 127) << shift
                shift, at = shift + 7, at + 1
                if byte < 128:
                    break
            if len(self._data) < at + length:
                return
            self._packets.append(Packet(self._data[0], bytes(self._data[at : at + length])))
            del self._data[: at + length]

    def nothing(self, seconds: float = 0.2) -> None:
        """Assert that nothing comes."""
        try:
            raise AssertionError(f"unexpected {self.receive(seconds)}")
        except TimeoutError:
            return

    def gone(self, timeout: float = 10) -> None:
        """Assert that the hub closes the connection; what it sends before is passed over."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.receive(max(0.01, deadline - time.monotonic()))
        except Gone:
            return

    def login(
        self, *, clean: bool = False, keep_alive: int = 60, password: str | None = None, user: str | None = None
    ) -> Packet:
        """CONNECT; the CONNACK."""
        name = user_name(self.identity, self.module) if user is None else user
        secret = token(self.identity, self.module) if password is None else password
        client = f"{self.identity.device}/{self.module}"
        self.send(connect(client, name, secret, clean=clean, keep_alive=keep_alive))
        return self.receive()

    def subscribe(self, *patterns: str, qos: int = 1) -> list[int]:
        """SUBSCRIBE; what was granted. For the module's inputs without a pattern."""
        base = f"devices/{self.identity.device}/modules/{self.module}"
        filters = b"".join(text(pattern) + bytes((qos,)) for pattern in patterns or (f"{base}/inputs/#",))
        self.send(packet(0x82, self._next() + filters))
        answer = self.receive()
        assert answer.kind == SUBACK, answer
        return list(answer.body[2:])

    def publish(self, topic: str, payload: bytes = b"", *, qos: int = 1, wait: bool = True) -> None:
        number = self._next() if qos else b""
        self.send(packet(0x30 | qos << 1, text(topic) + number + payload))
        if qos and wait:
            answer = self.receive()
            assert (answer.kind, answer.body) == (PUBACK, number), answer

    def event(
        self, payload: bytes = b"", output: str = "out", properties: Mapping[str, str] = {}, *, wait: bool = True
    ) -> None:
        """Publish a message at an output."""
        bag = ({"$.on": output} if output else {}) | dict(properties)
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in bag.items())
        base = f"devices/{self.identity.device}/modules/{self.module}/messages/events/"
        self.publish(base + pairs, payload, wait=wait)

    def acknowledge(self, received: Packet) -> None:
        self.send(packet(0x40, struct.pack("!H", received.number)))

    def _next(self) -> bytes:
        self._number += 1
        return struct.pack("!H", self._number)
