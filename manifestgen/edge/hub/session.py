"""edgeHub's state of a module, connected or not: its subscriptions, and the message in flight.

To a module goes one message at a time, from whichever of its inputs: the next one when the last is acknowledged. One
that is not acknowledged in time, or whose connection ends, is sent again as a new packet, without DUP.

Source: Azure/iotedge, DeviceMessageHandler.cs, ModuleEndpoint.cs; Azure/azure-iot-protocol-gateway, MqttAdapter.cs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from manifestgen.edge.hub import topics
from manifestgen.edge.hub.endpoint import Endpoint, Waiting


class Link(Protocol):
    """A connection, as a session uses it."""

    @property
    def ready(self) -> bool:
        """Whether the client reads what is sent."""
        ...

    def send(self, topic: str, payload: bytes, qos: int, acknowledged: Callable[[], None] | None) -> None:
        """Publish; with QoS 1, `acknowledged` is called with the PUBACK."""
        ...

    def close(self, reason: str) -> None:
        """End the connection; the reason goes to the log."""
        ...


class Session:
    """A module at edgeHub.

    Attributes:
        link: its connection, or None.
        subscriptions: topic filters with their QoS.
        waiters: who waits until it listens for methods.
        interval: the shortest time between two messages to it, in seconds.
    """

    def __init__(
        self, device: str, module: str, acknowledge: float, log: Callable[[str], None], emptied: Callable[[], None]
    ) -> None:
        """Make a session; `emptied` is called whenever a message has left its queue."""
        self.module = module
        self.link: Link | None = None
        self.subscriptions: dict[str, int] = {}
        self.waiters: list[asyncio.Future[None]] = []
        self.interval = 0.0
        self._next = 0.0
        self._later: asyncio.TimerHandle | None = None
        self._device, self._acknowledge, self._log, self._emptied = device, acknowledge, log, emptied
        self._endpoints: list[Endpoint] = []
        self._in_flight: tuple[Endpoint, Waiting] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    def add(self, endpoint: Endpoint) -> None:
        """Deliver from another input's queue too."""
        self._endpoints.append(endpoint)

    def attach(self, link: Link) -> None:
        """A connection is there; an older one of the same module ends."""
        if self.link is not None:
            self.link.close("the same module connected again")
        self.link = link

    def detach(self, link: Link) -> None:
        """A connection has ended; what was on its way waits again."""
        if self.link is not link:
            return
        self.link = None
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._give_back()

    def subscribed(self) -> None:
        """Look at what waits for the subscriptions there are now."""
        if self.link is not None and any(map(topics.is_for_methods, self.subscriptions)):
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        self.pump()

    def qos(self, topic: str) -> int | None:
        """With which QoS a topic is sent; None if no subscription asks for it."""
        found = [qos for pattern, qos in self.subscriptions.items() if topics.matches(pattern, topic)]
        return max(found) if found else None

    def notify(self, topic: str, payload: bytes) -> bool:
        """Send without storing: an answer, a patch, a call. False if the module does not receive it."""
        qos = self.qos(topic)
        if self.link is None or qos is None:
            return False
        self.link.send(topic, payload, qos, None)
        return True

    def pump(self) -> None:
        """Send the next message, if there is one and the module can take it."""
        if self._pumping:  # a message with QoS 0 is acknowledged at once: the loop below continues
            return
        self._pumping = True
        try:
            while self._in_flight is None and self._can_send() and self._is_time() and self._send_next():
                pass
        finally:
            self._pumping = False

    def _can_send(self) -> bool:
        return self.link is not None and self.link.ready and any(map(topics.is_for_inputs, self.subscriptions))

    def _is_time(self) -> bool:
        if not self.interval:
            return True
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next:
            return True
        if self._later is None:
            self._later = loop.call_at(self._next, self._now)
        return False

    def _now(self) -> None:
        self._later = None
        self.pump()

    def _send_next(self) -> bool:
        now = asyncio.get_running_loop().time()
        for _ in range(len(self._endpoints)):
            # In turn: no input waits until another one is empty.
            endpoint = self._endpoints.pop(0)
            self._endpoints.append(endpoint)
            waiting = endpoint.take(now)
            if waiting is not None:
                self._next = now + self.interval
                self._send(endpoint, waiting)
                return True
        return False

    def _send(self, endpoint: Endpoint, waiting: Waiting) -> None:
        message = waiting.message
        topic = topics.input_topic(self._device, self.module, endpoint.name, message.properties, message.system)
        qos = self.qos(topic)
        if qos is None or self.link is None:
            self._log(f"{self.module} does not subscribe to the input {endpoint.name}: the message is dropped")
            endpoint.done(waiting)
            self._emptied()
            return
        self._in_flight = current = (endpoint, waiting)
        if qos:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._acknowledge, self._late, current)
            self.link.send(topic, message.body, 1, lambda: self._acknowledged(current))
        else:
            self.link.send(topic, message.body, 0, None)
            self._acknowledged(current)

    def _acknowledged(self, sent: tuple[Endpoint, Waiting]) -> None:
        if self._in_flight is not sent:
            return  # it was late, and has been sent again
        self._settle()
        sent[0].done(sent[1])
        self._emptied()
        self.pump()

    def _late(self, sent: tuple[Endpoint, Waiting]) -> None:
        if self._in_flight is sent:
            self._log(f"{self.module} has not acknowledged a message within {self._acknowledge:g} s: it is sent again")
            self._give_back()
            self.pump()

    def _give_back(self) -> None:
        if self._in_flight is not None:
            endpoint, waiting = self._in_flight
            self._settle()
            endpoint.given_back(waiting)

    def _settle(self) -> None:
        self._in_flight = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
