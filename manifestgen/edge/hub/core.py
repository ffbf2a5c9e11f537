"""EdgeHub's work: logins, routing, twins, methods.

Everything here runs in the thread of one event loop, and therefore without locks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Final

from manifestgen.edge.cloud import Cloud, Twin
from manifestgen.edge.hub import packet, topics
from manifestgen.edge.hub.connection import Connection
from manifestgen.edge.hub.endpoint import Endpoint
from manifestgen.edge.hub.limits import Limits
from manifestgen.edge.hub.methods import Methods
from manifestgen.edge.hub.router import UPSTREAM, Router, Sink
from manifestgen.edge.hub.session import Session
from manifestgen.edge.hub.upstream import Upstream
from manifestgen.edge.identity import Identity
from manifestgen.edge.message import DEVICE, MODULE, OUTPUT, TWIN_CHANGE, TYPE, Message
from manifestgen.edge.token import Login, check_login

# Properties that edgeHub adds to a message and that count towards its limit: a GUID and the sender.
_OWN: Final = len("edgeMessageId") + 36 + len("edgeHubOriginInterface") + len("internal")


class StoreFull(packet.Ended):
    """No more messages may wait."""


class Core:
    """The state of an edgeHub and what happens to it.

    Attributes:
        connections: the open ones, of modules and of clients that have not logged in yet.
        sessions: of all modules that were ever there, or that a route leads to.
    """

    def __init__(
        self, identity: Identity, cloud: Cloud, limits: Limits, clock: Callable[[], float], log: Callable[[str], None]
    ) -> None:
        self.limits = limits
        self.log = log
        self.connections: set[Connection] = set()
        self.sessions: dict[str, Session] = {}
        self._identity, self._cloud, self._clock = identity, cloud, clock
        self._router = Router()
        self._endpoints: dict[Sink, Endpoint] = {}
        self._full = False
        self._methods = Methods()
        self._timers: list[asyncio.TimerHandle] = []
        self.upstream = Upstream(cloud, limits, log, self._emptied)
        self._endpoints[UPSTREAM] = self.upstream.endpoint

    def start(self) -> None:
        """Begin to look after time."""
        self.upstream.start()
        self._every(self.limits.tokens, self._check_tokens)
        self._every(self.limits.sweep, self.sweep)

    def stop(self) -> None:
        """End all connections; what waits, waits on."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for connection in list(self.connections):
            connection.abort()
        self._methods.stop()

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            act()
            self._timers[position] = loop.call_later(seconds, again)

        position = len(self._timers)
        self._timers.append(loop.call_later(seconds, again))

    # Called by a connection; see `manifestgen.edge.hub.connection.Host`.

    def began(self, connection: Connection) -> None:
        """A client is there."""
        self.connections.add(connection)

    def login(self, connect: packet.Connect) -> Login:
        """Who connects."""
        return check_login(self._identity, connect.client, connect.user, connect.password, self._clock())

    def joined(self, connection: Connection, login: Login, clean: bool) -> tuple[Session, bool]:
        """A module is there."""
        session = self.session(login.module)
        present = bool(session.subscriptions) and not clean
        if clean:
            session.subscriptions.clear()
        session.attach(connection)
        self.log(f"{login.module} is connected")
        return session, present

    def ended(self, connection: Connection) -> None:
        """A socket is closed."""
        self.connections.discard(connection)

    def left(self, connection: Connection) -> None:
        """A module is no longer there."""
        session = self.sessions.get(connection.login.module) if connection.login is not None else None
        if session is not None and session.link is connection:
            session.detach(connection)
            if connection.clean:
                session.subscriptions.clear()
            self.log(f"{session.module} is disconnected")

    def heard(self, session: Session, publish: packet.Publish) -> None:
        """A module has published."""
        topic = publish.topic
        if topic.startswith(topics.TWIN):
            self._twin(session, topic, publish.payload)
        elif topic.startswith(topics.METHOD_RESPONSE):
            if not self._methods.answered(session, topic, publish.payload):
                self.log(f"{session.module} answers a method that was not called, or is no longer waited for")
        else:
            self._sent(session, topic, publish.payload)

    # Messages.

    def configure(self, routes: Router) -> None:
        """Replace the routes; messages that wait for a sink keep waiting."""
        self._router = routes
        for session in self.sessions.values():
            session.interval = 0.0
        for loop in routes.loops if self.limits.loop else ():
            way = " -> ".join((*loop, loop[0]))
            self.log(f"routes form a loop, which gets at most {1 / self.limits.loop:g} messages a second: {way}")
            for module in loop:
                self.session(module).interval = self.limits.loop

    def session(self, module: str) -> Session:
        """The state of a module."""
        if module not in self.sessions:
            limit = self.limits.acknowledge
            self.sessions[module] = Session(self._identity.device, module, limit, self.log, self._emptied)
        return self.sessions[module]

    def publish(self, message: Message) -> None:
        """Route a message of a module.

        Raises:
            StoreFull: nothing was done.
        """
        system = {**message.system, DEVICE: message.device, MODULE: message.module}
        if message.output:
            system[OUTPUT] = message.output
        self._route(replace(message, system=system))

    def _sent(self, session: Session, topic: str, payload: bytes) -> None:
        device, module = self._identity.device, session.module
        try:
            read = topics.read_event(topic, topics.events(device, module))
        except topics.TopicError as error:
            self.log(f"a message of {module} is dropped: {error}")
            return
        if read is None:
            self.log(f"a message of {module} is dropped: {topic[:200]!r} is not a topic for messages")
            return
        properties, system = read
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        self.publish(Message(payload, properties, system, device, module, system.get(OUTPUT, ""), now))

    def _route(self, message: Message) -> None:
        if message.size + _OWN > packet.LARGEST:
            self.log(f"a message of {message.module} is dropped: {message.size:,} bytes with its properties")
            return
        targets = self._router.targets(message)
        if not targets:
            return
        if self._stored() > (self._router.limit or self.limits.store):
            if not self._full:
                self.log("the store is full: messages are rejected until some have been delivered or have expired")
            self._full = True
            raise StoreFull("the store is full")
        now = asyncio.get_running_loop().time()
        for target in targets:
            self._endpoint(target.sink).put(message, target.priority, now + target.seconds)
            if target.sink == UPSTREAM:
                self.upstream.pump()
            else:
                self.sessions[target.sink[0]].pump()

    def _endpoint(self, sink: Sink) -> Endpoint:
        if sink not in self._endpoints:
            self._endpoints[sink] = endpoint = Endpoint(*sink)
            self.session(sink[0]).add(endpoint)
        return self._endpoints[sink]

    def _stored(self) -> int:
        return sum(endpoint.size for endpoint in self._endpoints.values())

    def _emptied(self) -> None:
        self._full = False

    def sweep(self) -> None:
        """Remove what has expired."""
        now = asyncio.get_running_loop().time()
        for endpoint in self._endpoints.values():
            endpoint.sweep(now)

    def waiting(self) -> dict[str, int]:
        """How many messages wait, or are on their way, for each sink that has any."""
        self.sweep()
        return {_name(sink): len(endpoint) for sink, endpoint in self._endpoints.items() if len(endpoint)}

    # Tokens.

    def _check_tokens(self) -> None:
        now = self._clock()
        for connection in list(self.connections):
            if connection.login is not None and connection.login.expires <= now:
                connection.close("its token has expired")

    # Twins.

    def _twin(self, session: Session, topic: str, payload: bytes) -> None:
        get, report = topics.read_twin_get(topic), topics.read_twin_report(topic)
        if get is not None:
            request = get
            self.upstream.ask(
                lambda: self._cloud.twin(session.module), lambda done: self._give_twin(session, request, done)
            )
        elif report is not None:
            self._reported(session, report, payload)
        else:
            raise packet.Ended(f"edgeHub does not know the topic {topic[:200]!r}")

    def _give_twin(self, session: Session, request: str, done: Future[Twin]) -> None:
        error = done.exception()
        if error is not None:
            self.log(f"the twin of {session.module} cannot be read: {error}")
            session.notify(topics.twin_response(500, request), b"")
            return
        twin = done.result()
        content = {
            "desired": {**twin.desired, "$version": twin.desired_version},
            "reported": {**twin.reported, "$version": twin.reported_version},
        }
        session.notify(topics.twin_response(200, request), json.dumps(content).encode())

    def _reported(self, session: Session, request: str, payload: bytes) -> None:
        try:
            patch = json.loads(payload)
        except (ValueError, RecursionError):
            patch = None
        if not isinstance(patch, dict):
            self._answer_report(session, request, 400)
            return
        module = session.module

        def done(future: Future[int]) -> None:
            error = future.exception()
            if error is not None:
                self.log(f"reported properties of {module} are not taken: {error}")
            self._answer_report(session, request, 204 if error is None else 400 if _is_refusal(error) else 500)
            if error is None:
                self._twin_changed(module, payload)

        self.upstream.ask(lambda: self._cloud.report(module, patch), done)

    def _answer_report(self, session: Session, request: str, status: int) -> None:
        if request:
            session.notify(topics.twin_response(status, request), b"")

    def _twin_changed(self, module: str, patch: bytes) -> None:
        device = self._identity.device
        system = {
            TYPE: TWIN_CHANGE,
            "messageSchema": TWIN_CHANGE,
            DEVICE: device,
            MODULE: "$edgeHub",
            "rpSenderDeviceId": device,
            "rpSenderModuleId": module,
        }
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        try:
            self._route(Message(patch, {}, system, device, module, "", now))
        except StoreFull:
            self.log(f"the change of {module}'s twin is not routed")

    def desired_changed(self, module: str, patch: Mapping[str, Any], version: int) -> None:
        """Tell a module, if it is there and wants to know."""
        content = json.dumps({**patch, "$version": version}).encode()
        self.session(module).notify(topics.desired(version), content)

    # Methods.

    async def invoke(
        self, module: str, method: str, payload: bytes, connect: float, respond: float
    ) -> tuple[int, bytes]:
        """Call a method of a module; see `Methods.invoke`."""
        return await self._methods.invoke(self.session(module), method, payload, connect, respond)


def _name(sink: Sink) -> str:
    return "upstream" if sink == UPSTREAM else f"/modules/{sink[0]}/inputs/{sink[1]}"


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, ValueError)
