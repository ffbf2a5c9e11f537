"""EdgeHub for the rest of the program: calls from any thread, carried out in the thread of its event loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from manifestgen.edge.cloud import Cloud
from manifestgen.edge.hub import router
from manifestgen.edge.hub.connection import Connection
from manifestgen.edge.hub.core import Core, StoreFull
from manifestgen.edge.hub.limits import Limits
from manifestgen.edge.hub.listener import Listener
from manifestgen.edge.hub.methods import MethodAnswer, NotConnected
from manifestgen.edge.identity import Identity
from manifestgen.edge.message import Message

_T = TypeVar("_T")

_START: Final = 10.0
_STOP: Final = 20.0
_BACKLOG: Final = 100


class EdgeHub:
    """An edgeHub on a port of loopback.

    It may be stopped and started again: subscriptions and waiting messages are kept, in memory. They end with this
    object.
    """

    def __init__(
        self,
        identity: Identity,
        cloud: Cloud,
        *,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        limits: Limits = Limits(),  # noqa: B008 a frozen value
        port: int = 0,
    ) -> None:
        """Make a hub that is not started.

        Args:
            identity: the device, and the modules that may connect.
            cloud: the IoT hub above.
            log: gets a line for everything that a reader of edgeHub's log would want to know; from any thread.
            clock: seconds since 1970; only tokens and the time of a message depend on it.
            limits: times and sizes.
            port: of 127.0.0.1; 0 for any that is free.
        """
        self._identity = identity
        self._log = log
        self._port = port
        self._core = Core(identity, cloud, limits, clock, log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # held while it starts or stops
        self._lock = threading.Lock()  # held while work is handed to the loop, or the loop is taken away

    @property
    def port(self) -> int:
        """The port that modules connect to; kept over a stop. 0 before the first start, unless one was given."""
        return self._port

    def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        with self._starting:
            if self._loop is not None:
                return
            self._loop = loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=loop.run_forever, name="edgehub", daemon=True)
            self._thread.start()
            try:
                asyncio.run_coroutine_threadsafe(self._listen(), loop).result(_START)
            except BaseException:
                self._end_loop(loop)
                raise

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an uncaught error; the loop continues."""
        self._log(f"unexpected error: {context['message']}: {context.get('exception')!r}")

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unexpected)
        limits = self._core.limits
        self._listener = Listener(self._identity.server_context(), limits.handshake, lambda: Connection(self._core))
        self._port = self._listener.start(self._port, _BACKLOG)
        self._core.start()

    def stop(self) -> None:
        """End every connection and the thread; what waits is kept for the next start."""
        with self._starting:
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_STOP)
                self._end_loop(self._loop)

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        self._core.stop()
        await self._core.upstream.stop()
        while self._core.connections:  # each leaves when its transport has ended, which abort makes soon
            await asyncio.sleep(0.005)

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._loop = None
            loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(_START)
        loop.close()

    def configure(self, properties: Mapping[str, Any]) -> None:
        """Take routes and the time to live from `$edgeHub`'s desired properties.

        Raises:
            InputError: a route cannot be read or compiled: the previous routes stay, as at edgeHub.
        """
        routes = router.read(properties)
        self._call(lambda: self._core.configure(routes))

    def desired_changed(self, module: str, patch: Mapping[str, Any], version: int) -> None:
        """Tell a module that its desired properties have changed; one that is away reads them when it is back."""
        self._call(lambda: self._core.desired_changed(module, patch, version))

    def invoke(
        self, module: str, method: str, payload: object, *, connect_timeout: float = 0.0, response_timeout: float = 30.0
    ) -> MethodAnswer:
        """Call a direct method of a module with any JSON value, or with bytes as they are; blocks.

        Raises:
            NotConnected: it does not listen, and did not begin to within `connect_timeout` seconds.
            TimedOut: it did not answer within `response_timeout` seconds.
        """
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        with self._lock:
            if self._loop is None:
                raise NotConnected("edgeHub is not running")
            call = self._core.invoke(module, method, content, connect_timeout, response_timeout)
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        status, body = future.result()
        try:
            return MethodAnswer(status, json.loads(body) if body else None)
        except ValueError:
            return MethodAnswer(status, body.decode("utf-8", "replace"))

    def publish(self, message: Message) -> None:
        """Route a message of a module that runs inside this process, as if it had come over MQTT."""
        try:
            self._call(lambda: self._core.publish(message))
        except StoreFull:
            self._log(f"a message of {message.module} is dropped: the store is full")

    def disconnect(self, module: str) -> None:
        """End a module's connection, if it has one; it may connect again."""

        def close() -> None:
            session = self._core.sessions.get(module)
            if session is not None and session.link is not None:
                session.link.close("the module is disconnected")

        self._call(close)

    def waiting(self) -> Mapping[str, int]:
        """How many messages wait for `upstream` and for each `/modules/MODULE/inputs/INPUT`; no entry means none."""
        return self._call(self._core.waiting)

    def connected(self) -> frozenset[str]:
        """The modules that are connected."""
        return self._call(lambda: frozenset(m for m, s in self._core.sessions.items() if s.link is not None))

    def _call(self, act: Callable[[], _T]) -> _T:
        """Carry something out in the loop's thread, or in a new one while there is none."""

        async def inside() -> _T:
            return act()

        with self._lock:
            if self._loop is None:
                return _alone(inside())
            future = asyncio.run_coroutine_threadsafe(inside(), self._loop)
        return future.result()


def _alone(call: Coroutine[Any, Any, _T]) -> _T:
    """Run it in a loop of a new thread: the thread of the caller may already run one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, call).result()
