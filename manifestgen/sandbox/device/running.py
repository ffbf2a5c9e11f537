"""One device whose modules run: between the sandbox's event loop and the threads of its edgeHub and agent.

The loop never waits for a thread of the device, since that may be waiting for the loop: all calls go through one worker
thread of the device's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from manifestgen.edge.agent.agent import ModuleState
from manifestgen.edge.agent.logs import ModuleLog
from manifestgen.edge.cloud import Twin
from manifestgen.edge.device import DeviceModule, EdgeDevice
from manifestgen.edge.hub import NotConnected, TimedOut
from manifestgen.edge.message import Message
from manifestgen.sandbox.hub import messages
from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, difference, report

_LOG = logging.getLogger(__name__)
_CLOUD_SECONDS: Final = 30.0

T = TypeVar("T")


class RunningDevice:
    """A device that runs modules."""

    def __init__(self, store: HubStore, device_id: str, changed: Callable[[], None]) -> None:
        self._store, self._id = store, device_id
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"device-{device_id}")
        self._changed = changed
        self._cloud = _Cloud(store, device_id, self._loop, self._connected_changed)
        pace = store.world.pace

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the sandbox has ended
                self._loop.call_soon_threadsafe(changed)

        self._edge = EdgeDevice(
            device_id,
            store.world.names.hub_host,
            self._cloud,
            first_pause=pace.retry,
            changed=wake,
            log=lambda text: _LOG.info("edgeHub of %s: %s", device_id, text),
        )
        self._version = -1
        self._connected: frozenset[str] = frozenset()
        self._desired: dict[str, tuple[int, Json]] = {}

    async def _call(self, call: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._worker, call)

    async def start(self) -> None:
        """Start edgeHub, and no module yet."""
        self._desired = _desired(self._store.modules(self._id))
        await self._call(self._edge.start)

    async def stop(self, seconds: float | None) -> None:
        """End all modules, with SIGKILL after these seconds; None is the usual grace time."""
        self._cloud.closed = True
        await self._call(lambda: self._edge.stop(seconds))
        self._worker.shutdown(wait=False)

    async def apply(self, modules: Sequence[DeviceModule]) -> None:
        """Make these the modules of the device."""
        await self._call(lambda: self._edge.apply(modules))

    def states(self) -> Mapping[str, ModuleState]:
        """The state of each module."""
        return self._edge.agent.states()

    async def configure(self, version: int, properties: Mapping[str, Any]) -> frozenset[str]:
        """Give edgeHub its desired properties, if they are new; the modules that are connected to it."""
        if version != self._version:
            self._version = version
            await self._call(lambda: self._edge.hub.configure(properties))
        self._connected = self._edge.hub.connected()
        return self._connected

    def _connected_changed(self) -> None:
        # Not while edgeHub ends: it would wait for the call that this is part of.
        if not self._cloud.closed and self._edge.hub.connected() != self._connected:
            self._changed()

    def twins_written(self, modules: Json) -> None:
        """The hub has written twins: modules get the patches of their desired properties."""
        before, self._desired = self._desired, _desired(modules)
        for name, (version, value) in self._desired.items():
            known = before.get(name)
            if known is None or known[0] == version:
                continue
            patch = difference(known[1], value)
            self._worker.submit(self._edge.hub.desired_changed, name, patch, version)

    async def invoke(self, module: str, method: str, payload: Any, connect: float, response: float) -> tuple[int, Any]:
        """Call a method of a module. Raises LookupError or TimeoutError."""

        def call() -> tuple[int, Any]:
            hub = self._edge.hub
            answer = hub.invoke(module, method, payload, connect_timeout=connect, response_timeout=response)
            return answer.status, answer.payload

        try:
            # Not the worker: a module may take its time.
            return await asyncio.to_thread(call)
        except NotConnected as error:
            raise LookupError(module) from error
        except TimedOut as error:
            raise TimeoutError(module) from error

    def restart(self, module: str) -> None:
        """Restart a module's process; returns at once."""
        self._edge.agent.restart(module)

    def log(self, module: str) -> ModuleLog | None:
        """The log of a module; None if there is no such module."""
        return self._edge.agent.log(module)

    def describe(self) -> Json:
        """The state of the device."""
        states = self.states()
        return {
            "port": self._edge.hub.port,
            "connected": sorted(self._edge.hub.connected()),
            "waiting": dict(self._edge.hub.waiting()),
            "modules": {
                name: {
                    "status": state.status,
                    "pid": state.pid,
                    "exit_code": state.exit_code,
                    "restarts": state.restarts,
                    "log": [f"{line.timestamp} {line.text}" for line in self._lines(name)],
                }
                for name, state in states.items()
            },
        }

    def _lines(self, name: str) -> Sequence[Any]:
        log = self._edge.agent.log(name)
        return log.lines(tail=50) if log is not None else ()


class _Cloud:
    """The sandbox's hub, as the device's edgeHub asks it: in its own thread."""

    def __init__(
        self, store: HubStore, device_id: str, loop: asyncio.AbstractEventLoop, reported: Callable[[], None]
    ) -> None:
        self._store, self._id, self._loop = store, device_id, loop
        self._reported = reported
        self.closed = False

    def received(self, message: Message) -> None:
        """See `manifestgen.edge.cloud.Cloud`."""
        self._ask(self._received(message))

    def twin(self, module: str) -> Twin:
        """See `manifestgen.edge.cloud.Cloud`."""
        return self._ask(self._twin(module))

    def report(self, module: str, patch: Mapping[str, Any]) -> int:
        """See `manifestgen.edge.cloud.Cloud`."""
        return self._ask(self._report(module, patch))

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        if self.closed:
            work.close()
            raise ConnectionError("the sandbox is stopping")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(_CLOUD_SECONDS)

    def _document(self) -> Json:
        """The device's document. Raises ConnectionError while the device is disconnected."""
        document = self._store.find_device(self._id)
        if document is None or not self._store.connected(self._id, document):
            raise ConnectionError(f"device {self._id} is not connected")
        return document

    async def _received(self, message: Message) -> None:
        self._document()
        messages.keep(
            self._store.world,
            self._id,
            message.module,
            message.output,
            message.body,
            message.properties,
            message.system,
            message.enqueued,
        )

    async def _twin(self, module: str) -> Twin:
        self._document()
        modules = self._store.modules(self._id)
        if module not in modules:
            return Twin()
        twin = modules[module]["twin"]
        desired, reported = twin["desired"], twin["reported"]
        return Twin(desired["value"], desired["version"], reported["value"], reported["version"])

    async def _report(self, module: str, patch: Mapping[str, Any]) -> int:
        device = self._document()
        modules = self._store.modules(self._id)
        if module not in modules:
            raise ValueError(f"there is no module {module}")
        document = modules[module]
        try:
            changed = report(document["twin"], patch, self._store.now)
        except HubError as error:
            raise ValueError(error.message) from error
        self._store.note_activity(self._id, device)
        self._store.put_modules(self._id, {**modules, module: {**document, "twin": changed}})
        self._reported()
        return int(changed["reported"]["version"])


def _desired(modules: Json) -> dict[str, tuple[int, Json]]:
    sections = {name: document["twin"]["desired"] for name, document in modules.items() if not name.startswith("$")}
    return {name: (section["version"], section["value"]) for name, section in sections.items()}
