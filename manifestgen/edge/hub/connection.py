"""A client's connection: packets to calls of the hub and back, and the times after which a silent client is gone.

PUBACKs count in the order of what was sent, as at edgeHub: one that comes out of turn is ignored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

from manifestgen.edge.hub import packet, topics
from manifestgen.edge.hub.limits import Limits
from manifestgen.edge.hub.session import Session
from manifestgen.edge.token import Login, Refused

_MOST_NUMBERS: Final = 0xFFFF
_GOODBYE: Final = 1.0


class Host(Protocol):
    """The calls of a connection to its hub."""

    limits: Limits

    def began(self, connection: Connection) -> None:
        """A client is there, and TLS established."""
        ...

    def login(self, connect: packet.Connect) -> Login:
        """Who connects; raises `Refused`."""
        ...

    def joined(self, connection: Connection, login: Login, clean: bool) -> tuple[Session, bool]:
        """A module is there: its session, and whether it had one before."""
        ...

    def left(self, connection: Connection) -> None:
        """The module is no longer there, though its socket may still be."""
        ...

    def ended(self, connection: Connection) -> None:
        """The socket is closed."""
        ...

    def heard(self, session: Session, publish: packet.Publish) -> None:
        """A module has published; raises `Ended` if that ends the connection."""
        ...

    def log(self, text: str) -> None:
        """A line of edgeHub's log."""
        ...


class Connection(asyncio.Protocol):
    """One client, from the TLS handshake on.

    Attributes:
        login: who it is; None before a CONNECT was accepted.
        clean: whether its subscriptions end with it.
    """

    def __init__(self, host: Host) -> None:
        self.login: Login | None = None
        self.clean = False
        self._host = host
        self._reader = packet.Reader()
        self._session: Session | None = None
        self._unacknowledged: deque[tuple[int, Callable[[], None] | None]] = deque()
        self._number = 0
        self._writing = True
        self._closed = False
        self._silence = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # As asyncio calls it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(self._host.limits.connect, self.close, "no CONNECT came")
        self._host.began(self)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._leave()
        self._host.ended(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._last = self._loop.time()
        try:
            for kind, flags, body in self._reader.packets(data):
                if self._closed:
                    return
                self._packet(kind, flags, body)
        except packet.WrongVersion as error:
            self._write(packet.connack(packet.BAD_VERSION))
            self.close(str(error))
        except packet.Ended as error:
            self.close(str(error))

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writing = False

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writing = True
        if self._session is not None:
            self._session.pump()

    # As a session uses it.

    @property
    def ready(self) -> bool:
        """See `Link`."""
        return self._writing and not self._closed

    def send(self, topic: str, payload: bytes, qos: int, acknowledged: Callable[[], None] | None) -> None:
        """See `Link`."""
        number = 0
        if qos:
            taken = {used for used, _ in self._unacknowledged}
            if len(taken) >= _MOST_NUMBERS:
                self.close("it acknowledges nothing")
                return
            while True:
                self._number = self._number % _MOST_NUMBERS + 1
                if self._number not in taken:
                    break
            number = self._number
            self._unacknowledged.append((number, acknowledged))
        self._write(packet.publish(topic, payload, qos, number))

    def close(self, reason: str) -> None:
        """See `Link`."""
        if not self._closed:
            name = self.login.module if self.login is not None else "a client"
            self._host.log(f"the connection of {name} is closed: {reason}")
            self._goodbye()

    def _goodbye(self) -> None:
        self._leave()
        self._transport.close()
        # A peer that never answers TLS's goodbye does not keep the socket.
        self._loop.call_later(_GOODBYE, self._transport.abort)

    def _leave(self) -> None:
        if not self._closed:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._host.left(self)

    def abort(self) -> None:
        """End the connection at once, without notifying the client."""
        self._leave()
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._host.limits.unsent:
            self.close("it does not read")
            self._transport.abort()

    def _packet(self, kind: int, flags: int, body: bytes) -> None:
        if self._session is None:
            if kind != packet.CONNECT:
                raise packet.Malformed("the first packet is not a CONNECT")
            self._connect(packet.read_connect(body))
        elif kind == packet.PUBLISH:
            self._published(self._session, packet.read_publish(flags, body))
        elif kind == packet.PUBACK:
            self._acknowledged(packet.read_number(body))
        elif kind == packet.SUBSCRIBE:
            self._subscribe(self._session, body)
        elif kind == packet.UNSUBSCRIBE:
            number, filters = packet.read_unsubscribe(body)
            for pattern in filters:
                self._session.subscriptions.pop(pattern, None)
            self._write(packet.unsuback(number))
        elif kind == packet.PINGREQ:
            self._write(packet.PONG)
        elif kind == packet.DISCONNECT:
            self._goodbye()
        else:
            raise packet.Malformed("a second CONNECT, or a packet that only servers send")

    def _connect(self, connect: packet.Connect) -> None:
        try:
            self.login = self._host.login(connect)
        except Refused as error:
            self._write(packet.connack(packet.NOT_AUTHORIZED))
            self.close(f"not authorized: {error}")
            return
        self.clean = connect.clean
        self._session, present = self._host.joined(self, self.login, connect.clean)
        self._write(packet.connack(packet.ACCEPTED, present=present))
        longest = self._host.limits.keep_alive
        self._silence = min(connect.keep_alive * 1.5 or longest, longest)
        self._listen()
        self._session.subscribed()

    def _listen(self) -> None:
        """Close the connection when nothing has been heard for too long."""
        if self._timer is not None:
            self._timer.cancel()
        left = self._last + self._silence - self._loop.time()
        if left <= 0:
            self.close(f"nothing was heard for {self._silence:g} s")
        else:
            self._timer = self._loop.call_later(left, self._listen)

    def _published(self, session: Session, publish: packet.Publish) -> None:
        if publish.qos > 1:
            raise packet.Malformed("QoS 2 is not supported")
        self._host.heard(session, publish)
        if publish.qos:
            self._write(packet.puback(publish.number))

    def _acknowledged(self, number: int) -> None:
        if not self._unacknowledged or self._unacknowledged[0][0] != number:
            expected = f"{self._unacknowledged[0][0]} was expected" if self._unacknowledged else "none was expected"
            name = self.login.module if self.login is not None else ""
            self._host.log(f"the acknowledgement {number} of {name} is ignored: {expected}")
            return
        _, then = self._unacknowledged.popleft()
        if then is not None:
            then()

    def _subscribe(self, session: Session, body: bytes) -> None:
        number, filters = packet.read_subscribe(body)
        for pattern, qos in filters:
            if not topics.is_known(pattern):
                self._host.log(f"the subscription of {session.module} to {pattern} is ignored")
            session.subscriptions[pattern] = min(qos, 1)
        self._write(packet.suback(number, [min(qos, 1) for _, qos in filters]))
        session.subscribed()
