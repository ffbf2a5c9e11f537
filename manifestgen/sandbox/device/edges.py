"""The devices of this sandbox whose modules run as processes.

A device runs its modules if the sandbox does (`World.modules`), or if the admin API enables it for the device; devices
of a series do so only if enabled. Only a few may at once. Which modules can run is decided when their images are
pulled; the others are simulated, and say why in `statusDescription`.

The agent and edgeHub of `manifestgen.edge` are not imported before the first device runs a module.

    kind            key     value
    device-modules  DEVICE  "run" or "simulate", where that was chosen for one device
    hub:runs        DEVICE  true: has modules that run, so that they are started again with kept state
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from manifestgen.sandbox import faults
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, timestamp

if TYPE_CHECKING:
    from manifestgen.edge.agent.logs import ModuleLog
    from manifestgen.edge.device import Code, DeviceModule
    from manifestgen.sandbox.device.running import RunningDevice

#: Devices that run their modules at once.
MOST: Final = 8
RUN, SIMULATE = "run", "simulate"
_STOP_SECONDS: Final = 3.0
_NO_FILES: Final = "simulated"


class Edges:
    """Starts and stops them; used in the sandbox's event loop.

    Args:
        store: of the hub.
        wake: called with a device whose modules have changed.
    """

    def __init__(self, store: HubStore, wake: Callable[[str], None]) -> None:
        self._store, self._world = store, store.world
        self._wake = wake
        self._running: dict[str, RunningDevice] = {}
        self._codes: dict[tuple[str, str], Code] = {}
        self._installing: dict[tuple[str, str], asyncio.Lock] = {}
        # Simulated containers with a requested restart, until their edgeAgent carries it out.
        self._restarts: set[tuple[str, str]] = set()
        self._ending: set[asyncio.Future[None]] = set()
        store.modules_written = self._written
        store.device_deleted = self._deleted

    def wanted(self, device_id: str) -> bool:
        """Whether the modules of this device should run."""
        chosen = self._world.store.get("device-modules", device_id)
        if chosen is not None:
            return bool(chosen == RUN)
        return self._world.modules == RUN and not self._store.of_series(device_id)

    def runs(self, device_id: str) -> bool:
        """Whether this device runs modules now."""
        return device_id in self._running

    def to_resume(self) -> list[str]:
        """Devices that ran modules when the sandbox was last stopped."""
        return list(self._world.store.keys("hub:runs"))

    async def prepare(self, device_id: str, container: Json) -> None:
        """Find out whether a new container can run, and make its files and packages ready."""
        container.pop("runs", None)
        if not self.wanted(device_id):
            return
        if device_id not in self._running and len(self._running) >= MOST:
            container["simulated"] = f"simulated: {MOST} devices of this sandbox already run their modules"
            return
        reason = await self._code(container)
        if reason:
            container["simulated"] = f"simulated: {reason}"
        else:
            container["runs"] = True

    async def _code(self, container: Json) -> str:
        """Make the code of a container's image known; why that cannot be, or nothing."""
        from manifestgen.sandbox.device.module_files import Simulated, code_of

        key = container["repository"], container["digest"]
        async with self._installing.setdefault(key, asyncio.Lock()):
            if key not in self._codes:
                try:
                    self._codes[key] = await code_of(self._world, *key, self._world.blobs / "unpacked")
                except Simulated as error:
                    return str(error)
        return ""

    async def apply(self, device_id: str, containers: Mapping[str, Json]) -> None:
        """Make the processes of a device what its containers are, and write what they do into these."""
        running = self._running.get(device_id)
        users = [container for container in containers.values() if not container["system"]]
        wanted = [container for container in users if container.get("runs")]
        for container in wanted:
            if reason := await self._code(container):  # with kept state, from an earlier run of the sandbox
                container.update(runs=False, simulated=f"simulated: {reason}")
        wanted = [container for container in wanted if container["runs"]]
        if not wanted:
            if running is not None:
                await self.stop(device_id)
            return
        if running is None:
            running = await self._start(device_id)
        modules = [self._module(device_id, container) for container in wanted]
        await running.apply(modules)
        for container in wanted:
            _take(container, running.states())

    async def _start(self, device_id: str) -> RunningDevice:
        from manifestgen.sandbox.device.running import RunningDevice

        running = self._running[device_id] = RunningDevice(self._store, device_id, lambda: self._wake(device_id))
        await running.start()
        self._world.store.put("hub:runs", device_id, True)
        return running

    def _module(self, device_id: str, container: Json) -> DeviceModule:
        from manifestgen.sandbox.device.module_files import device_module

        code = self._codes[container["repository"], container["digest"]]
        fault = faults.module_fault(self._world, device_id, container["name"], container["image"])
        exits = (fault.exit_code, fault.message) if fault is not None and fault.kind == "exit" else None
        return device_module(container, code, self._world.pace.sensor, exits)

    async def configure(self, device_id: str, version: int, properties: Mapping[str, Any]) -> frozenset[str]:
        """Give edgeHub its desired properties, if they are new to it; the modules that are connected to it."""
        running = self._running.get(device_id)
        return frozenset() if running is None else await running.configure(version, properties)

    async def invoke(
        self, device_id: str, module: str, method: str, payload: Any, connect: float, response: float
    ) -> tuple[int, Any]:
        """Call a method of a module. Raises LookupError if it is not connected, TimeoutError if it does not answer."""
        running = self._running.get(device_id)
        if running is None:
            raise LookupError(module)
        return await running.invoke(module, method, payload, connect, response)

    def restart(self, device_id: str, module: str) -> None:
        """Restart a module: its process, or what is simulated of it."""
        running = self._running.get(device_id)
        if running is not None and module in running.states():
            running.restart(module)
            return
        self._restarts.add((device_id, module))
        self._wake(device_id)

    def take_restart(self, device_id: str, module: str) -> bool:
        """Whether a simulated container is to be restarted; says so once."""
        found = (device_id, module) in self._restarts
        self._restarts.discard((device_id, module))
        return found

    def log(self, device_id: str, module: str) -> ModuleLog | None:
        """The log of a module's process; None if it is simulated."""
        running = self._running.get(device_id)
        return running.log(module) if running is not None else None

    def describe(self) -> Json:
        """The state of the devices, for the admin API."""
        return {device_id: running.describe() for device_id, running in self._running.items()}

    async def stop(self, device_id: str) -> None:
        """End all processes of a device for good."""
        running = self._running.pop(device_id, None)
        self._world.store.delete("hub:runs", device_id)
        if running is not None:
            # Not cancelled with its caller: processes would be left behind.
            ending = asyncio.ensure_future(running.stop(None))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def stop_all(self) -> None:
        """End all processes, because the sandbox stops."""
        running, self._running = self._running, {}
        await asyncio.gather(*(one.stop(_STOP_SECONDS) for one in running.values()), *self._ending)

    def _written(self, device_id: str, modules: Json) -> None:
        running = self._running.get(device_id)
        if running is not None:
            running.twins_written(modules)

    def _deleted(self, device_id: str) -> None:
        if device_id in self._running:
            self._world.spawn(self.stop(device_id))


def _take(container: Json, states: Mapping[str, Any]) -> None:
    """Write what a process does into its container."""
    state = states.get(container["name"])
    if state is None:
        return
    container.update(
        state=state.status,
        exit_code=state.exit_code,
        restarts=state.restarts,
        started=_time(state.started),
        exited=_time(state.exited),
        restarted=_time(state.restarted),
        simulated=state.reason,
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def description(container: Json) -> str | None:
    """The `statusDescription` of a container: that it is simulated, and why, or why its process ended."""
    if container.get("runs"):
        return container.get("simulated") or None
    if container["system"] and container["name"] == "edgeAgent":
        return None
    return container.get("simulated") or _NO_FILES
