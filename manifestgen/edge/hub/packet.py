"""MQTT 3.1.1: bytes to packets and back.

Only what a broker needs: it reads what clients send and writes what servers send. A packet that breaks the protocol is
`Malformed`, and the specification's answer to that is to close the connection.

Source: docs.oasis-open.org/mqtt/mqtt/v3.1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

#: edgeHub's limit: `MaxInboundMessageSize` of its settings, in bytes after the fixed header. The runner, which
#: imports nothing of manifestgen, has it as `message.MAX_BYTES`.
LARGEST: Final = 256 * 1024

ACCEPTED, BAD_VERSION, BAD_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORIZED = range(6)

# The flags that the specification fixes for packets other than PUBLISH.
_FLAGS: Final = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}
_LENGTH_BYTES: Final = 4


class Ended(Exception):
    """The connection has to be closed."""


class Malformed(Ended):
    """A packet is not what the protocol allows."""


@dataclass(frozen=True)
class Connect:
    """A client's first packet; `keep_alive` in seconds."""

    client: str
    clean: bool
    keep_alive: int
    user: str
    password: str


@dataclass(frozen=True)
class Publish:
    """A message; `number` is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int
    number: int


class Reader:
    """Cuts a stream into packets."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._data = bytearray()

    def packets(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The packets that are complete with this data: kind, flags and what follows the header.

        Raises:
            Malformed: the header is, or the packet is too large.
        """
        buffer = self._data
        buffer += data
        start = 0
        try:
            while (end := self._end(buffer, start)) is not None:
                body, after = end
                first = buffer[start]
                kind, flags = first >> 4, first & 15
                if kind != PUBLISH and _FLAGS.get(kind) != flags:
                    raise Malformed(f"a packet starts with {first:#04x}")
                content = bytes(buffer[body:after])
                start = after
                yield kind, flags, content
        finally:
            del buffer[:start]

    def _end(self, buffer: bytearray, start: int) -> tuple[int, int] | None:
        """Where the body of the packet starts and ends; None while it is not all there."""
        length = 0
        for index in range(_LENGTH_BYTES):
            at = start + 1 + index
            if at >= len(buffer):
                return None
            byte = buffer[at]
            length |= (byte & 127) << (7 * index)
            if length > self._largest:
                raise Malformed(f"a packet of {length:,} bytes or more is above the limit of {self._largest:,}")
            if byte < 128:
                after = at + 1 + length
                return (at + 1, after) if after <= len(buffer) else None
        raise Malformed("the length of a packet has more than four bytes")


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        at, self._at = self._at, self._at + 2
        if self._at > len(self._data):
            raise Malformed("a packet ends too early")
        return self._data[at] << 8 | self._data[at + 1]

    def byte(self) -> int:
        if self._at >= len(self._data):
            raise Malformed("a packet ends too early")
        self._at += 1
        return self._data[self._at - 1]

    def block(self) -> bytes:
        length = self.number()
        at, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise Malformed("a packet ends too early")
        return self._data[at : self._at]

    def text(self) -> str:
        try:
            text = self.block().decode()
        except UnicodeDecodeError:
            raise Malformed("a text is not UTF-8") from None
        if "\0" in text:
            raise Malformed("a text contains U+0000")
        return text

    def rest(self) -> bytes:
        at, self._at = self._at, len(self._data)
        return self._data[at:]

    @property
    def done(self) -> bool:
        return self._at >= len(self._data)

    def end(self) -> None:
        if not self.done:
            raise Malformed("a packet is longer than its content")


class WrongVersion(Malformed):
    """Another version of MQTT, which is answered before the connection is closed."""


def read_connect(data: bytes) -> Connect:
    """Read a CONNECT. A will is read over: this broker does not send one."""
    body = _Body(data)
    if body.text() != "MQTT":
        raise Malformed("the protocol is not MQTT 3.1.1")
    level, flags = body.byte(), body.byte()
    if level != 4:
        raise WrongVersion(f"protocol level {level} is not MQTT 3.1.1")
    keep_alive = body.number()
    client = body.text()
    user, password = flags & 128, flags & 64
    will, will_qos = flags & 4, flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not will and flags & 0x38) or (password and not user):
        raise Malformed(f"the flags {flags:#04x} of a CONNECT contradict each other")
    if will:
        body.text()
        body.block()
    user_name = body.text() if user else ""
    try:
        secret = body.block().decode() if password else ""
    except UnicodeDecodeError:
        raise Malformed("the password is not UTF-8") from None
    body.end()
    return Connect(client, bool(flags & 2), keep_alive, user_name, secret)


def read_publish(flags: int, data: bytes) -> Publish:
    """Read a PUBLISH."""
    body = _Body(data)
    topic, qos = body.text(), flags >> 1 & 3
    if qos == 3 or (qos == 0 and flags & 8):
        raise Malformed(f"the flags {flags:#03x} of a PUBLISH contradict each other")
    if not topic or "#" in topic or "+" in topic:
        raise Malformed("the topic of a PUBLISH is empty or has a wildcard")
    number = body.number() if qos else 0
    if qos and not number:
        raise Malformed("the packet ID 0 is not allowed")
    return Publish(topic, body.rest(), qos, number)


def read_number(data: bytes) -> int:
    """The packet ID of a PUBACK."""
    body = _Body(data)
    number = body.number()
    body.end()
    return number


def read_subscribe(data: bytes) -> tuple[int, list[tuple[str, int]]]:
    """The packet ID of a SUBSCRIBE, and its filters with the QoS that is asked for."""
    body = _Body(data)
    number, filters = body.number(), []
    while not body.done:
        topic, qos = body.text(), body.byte()
        if qos > 2 or not topic:
            raise Malformed("a SUBSCRIBE asks for an unknown QoS or has an empty filter")
        filters.append((topic, qos))
    if not filters or not number:
        raise Malformed("a SUBSCRIBE has no filter or no packet ID")
    return number, filters


def read_unsubscribe(data: bytes) -> tuple[int, list[str]]:
    """The packet ID of an UNSUBSCRIBE, and its filters."""
    body = _Body(data)
    number, filters = body.number(), []
    while not body.done:
        filters.append(body.text())
    if not filters or not number:
        raise Malformed("an UNSUBSCRIBE has no filter or no packet ID")
    return number, filters


def connack(code: int, *, present: bool = False) -> bytes:
    """The answer to a CONNECT; `present` if there is a session from before."""
    return bytes((CONNACK << 4, 2, int(present), code))


def publish(topic: str, payload: bytes, qos: int, number: int) -> bytes:
    """A message to a client. edgeHub never sets DUP: what it sends again is a new packet."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name
    if qos:
        head += struct.pack("!H", number)
    length = len(head) + len(payload)
    return bytes((PUBLISH << 4 | qos << 1,)) + _length(length) + head + payload


def puback(number: int) -> bytes:
    """The answer to a PUBLISH with QoS 1."""
    return struct.pack("!BBH", PUBACK << 4, 2, number)


def suback(number: int, granted: list[int]) -> bytes:
    """The answer to a SUBSCRIBE."""
    return bytes((SUBACK << 4,)) + _length(2 + len(granted)) + struct.pack("!H", number) + bytes(granted)


def unsuback(number: int) -> bytes:
    """The answer to an UNSUBSCRIBE."""
    return struct.pack("!BBH", UNSUBACK << 4, 2, number)


PONG: Final = bytes((PINGRESP << 4, 0))


def _length(number: int) -> bytes:
    written = bytearray()
    while True:
        number, low = number >> 7, number & 127
        written.append(low | (128 if number else 0))
        if not number:
            return bytes(written)
