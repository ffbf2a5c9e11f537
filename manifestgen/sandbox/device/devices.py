"""The simulated edge devices: each has an edgeAgent that runs only while it has work.

A sleeping device is rows in `World.store` (`hub:agent`: its containers and what it last applied). A change of its
desired properties, connection or faults wakes it. It executes one plan, reports, and sleeps again, with a timer if it
must retry. `hub:unsettled` names the devices that had not finished, so a sandbox that starts with kept state resumes
their work. Memory depends on the number of devices awake at once, not on the total.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from manifestgen.edge import policy
from manifestgen.sandbox import faults
from manifestgen.sandbox.device import edge_agent, edge_hub
from manifestgen.sandbox.device.edge_agent import Spec
from manifestgen.sandbox.device.edges import Edges
from manifestgen.sandbox.hub.documents import AGENT, EDGE_HUB
from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, difference, report
from manifestgen.sandbox.registry.pull import PullResult
from manifestgen.sandbox.world import World

_AWAKE_AT_ONCE: Final = 64


Pull = Callable[[World, str, Mapping[str, str] | None], Awaitable[PullResult]]


class Agents:
    """Wakes the agents of devices, a bounded number at a time."""

    def __init__(self, store: HubStore, pull: Pull) -> None:
        self._store = store
        self._pull = pull
        self.edges = Edges(store, self.wake)
        self._waiting: dict[str, None] = {}
        self._awake: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._running = False
        store.world.store.watch("device-control", self._control_changed)

    def start(self) -> None:
        """Start, beginning with the devices that had not finished when the sandbox last stopped."""
        self._running = True
        for device_id, _ in self._store.world.store.items("hub:unsettled"):
            self._waiting[device_id] = None
        self._waiting.update(dict.fromkeys(self.edges.to_resume()))
        self._pump()

    def stop(self) -> None:
        """Stop waking agents."""
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def wake(self, device_id: str) -> None:
        """Wake this device: something has changed for it."""
        if not self._store.agents_enabled:
            return
        self._store.world.store.put("hub:unsettled", device_id, True)
        self._waiting[device_id] = None
        self._pump()

    def _control_changed(self, device_id: str) -> None:
        self._store.control_changed(device_id)
        if device_id == faults.EVERY_DEVICE:
            for known in self._store.world.store.keys("hub:agent"):
                self.wake(known)
        elif self._store.find_device(device_id) is not None:
            self.wake(device_id)

    def _pump(self) -> None:
        if not self._running:
            return
        ready = (device_id for device_id in self._waiting if device_id not in self._awake)
        for device_id in list(islice(ready, _AWAKE_AT_ONCE - len(self._awake))):
            del self._waiting[device_id]
            timer = self._timers.pop(device_id, None)
            if timer is not None:
                timer.cancel()
            self._awake.add(device_id)
            self._store.world.spawn(self._work(device_id))

    async def _work(self, device_id: str) -> None:
        try:
            pause = await Agent(self._store, device_id, self._pull, self.edges).reconcile()
        except asyncio.CancelledError:
            self.stop()  # the sandbox is stopping: no device may wake in the meantime
            raise
        finally:
            self._awake.discard(device_id)
        if device_id not in self._waiting:
            if pause is None:
                self._store.world.store.delete("hub:unsettled", device_id)
            elif self._running:
                loop = asyncio.get_running_loop()
                self._timers[device_id] = loop.call_later(pause, self.wake, device_id)
        self._pump()


class Agent:
    """One device's edgeAgent, while it is awake."""

    def __init__(self, store: HubStore, device_id: str, pull: Pull, edges: Edges) -> None:
        self._store = store
        self._edges = edges
        self._ask_registry = pull
        self._world = store.world
        self._id = device_id
        memory = self._world.store.get("hub:agent", device_id) or {}
        # Version and value of the desired properties in use; -1 before it has accepted any.
        self._version: int = memory.get("version", -1)
        self._desired: Json = memory.get("desired", {})
        self._containers: dict[str, Json] = memory.get("containers", {})
        self._failures: dict[str, int] = memory.get("failures", {})
        self._routes: Json | None = memory.get("routes")

    async def reconcile(self) -> float | None:
        """Execute one plan and report. Returns the seconds until a retry, or None."""
        document = self._store.find_device(self._id)
        if document is None or not self._store.connected(self._id, document):
            return None
        modules = self._store.modules(self._id)
        if AGENT not in modules:
            return None
        desired = modules[AGENT]["twin"]["desired"]
        if not modules[AGENT]["twin"]["reported"]["value"]:
            self._report_agent((406, ""), {})
        rejected = edge_agent.rejection(desired["value"])
        if rejected is not None:
            self._report_agent(rejected, self._containers)
            return None
        if desired["version"] != self._version:
            self._failures.clear()
        reserved = edge_agent.has_reserved_name(desired["value"])
        if reserved is not None:
            # Fails before the plan, so the old version stays.
            words = f"An item with the same key has already been added. Key: {reserved}"
            self._report_agent((500, words), self._containers)
            return None
        self._version, self._desired = desired["version"], desired["value"]
        before = {name: dict(container) for name, container in self._containers.items()}
        errors = await self._carry_out(edge_agent.specs(self._desired))
        status = edge_agent.failure(list(errors.values())) if errors else edge_agent.SUCCESS
        if self._containers != before:
            # edgeAgent inspects its containers before it executes the plan, and reports that state with the outcome;
            # only its next report shows the new state.
            self._report_agent(status, before)
            await asyncio.sleep(self._world.pace.start)
        await self._edges.apply(self._id, self._containers)
        self._exit_failing_modules()
        await self._run_edge_hub()
        self._report_agent(status, self._containers)
        return self._next_try(errors)

    async def _carry_out(self, wanted: Sequence[Spec]) -> dict[str, str]:
        """Bring the containers to their desired state. Returns what went wrong, by module."""
        names = {spec.name for spec in wanted}
        self._containers = {name: container for name, container in self._containers.items() if name in names}
        errors: dict[str, str] = {}
        for spec in wanted:
            problem = await self._reconcile_container(spec)
            if problem is None:
                self._failures.pop(spec.name, None)
            else:
                errors[spec.name] = problem
                self._failures[spec.name] = self._failures.get(spec.name, 0) + 1
        return errors

    async def _reconcile_container(self, spec: Spec) -> str | None:
        container = self._containers.get(spec.name)
        if container is None or container["fingerprint"] != spec.fingerprint:
            pulled, problem = await self._pull(spec)
            if problem is not None:
                return problem
            fault = faults.module_fault(self._world, self._id, spec.name, spec.image)
            if fault is not None and fault.kind == "create":
                self._containers.pop(spec.name, None)
                return edge_agent.create_error(spec.name, fault.message or "Conflict. The container name is in use")
            created = self._created(spec, pulled)
            if not spec.system and created["runnable"]:
                await self._edges.prepare(self._id, created)
            container = self._containers[spec.name] = created
        container.update(
            status=spec.status, restart_policy=spec.restart_policy, order=spec.order, pull_policy=spec.pull_policy
        )
        if self._edges.take_restart(self._id, spec.name) and container["state"] == "running":
            container.update(exited=self._store.now, exit_code=0, started=self._store.now)
        if spec.runs and container["state"] == "stopped" and not self._stays_stopped(container):
            return await self._start(spec, container)
        if not spec.runs and container["state"] == "running":
            container.update(state="stopped", exited=self._store.now)
        return None

    async def _pull(self, spec: Spec) -> tuple[PullResult, str | None]:
        """The image, or edgeAgent's message about the failed pull."""
        await asyncio.sleep(self._world.pace.pull)
        fault = faults.module_fault(self._world, self._id, spec.name, spec.image)
        if fault is not None and fault.kind == "pull":
            return PullResult(), edge_agent.pull_error(spec.name, spec.image, fault.message or "manifest unknown")
        if spec.pull_policy == "never":
            return PullResult(), edge_agent.create_error(spec.name, f"No such image: {spec.image}")
        result = await self._ask_registry(self._world, spec.image, edge_agent.credential(self._desired, spec.image))
        if result.error:
            return result, edge_agent.pull_error(spec.name, spec.image, result.error)
        if len(result.platforms) > 1 and edge_agent.DOCKER_PLATFORM not in result.platforms:
            words = f"no matching manifest for {edge_agent.DOCKER_PLATFORM} in the manifest list entries"
            return result, edge_agent.pull_error(spec.name, spec.image, words)
        return result, None

    def _created(self, spec: Spec, pulled: PullResult) -> Json:
        return {
            "name": spec.name,
            "system": spec.system,
            "image": spec.image,
            "digest": pulled.digest,
            "repository": pulled.repository,
            "runnable": not pulled.platforms or edge_agent.DOCKER_PLATFORM in pulled.platforms,
            "options": spec.options,
            "env": dict(spec.env),
            "version": spec.version or None,
            "fingerprint": spec.fingerprint,
            "ports": sorted(spec.host_ports()),
            "state": "stopped",
            "exit_code": 0,
            "restarts": 0,
            "started": None,
            "exited": None,
            "restarted": None,
        }

    async def _start(self, spec: Spec, container: Json) -> str | None:
        await asyncio.sleep(self._world.pace.start)
        if not container["runnable"]:
            return edge_agent.start_error(spec.name, edge_agent.WRONG_PLATFORM)
        for name, other in self._containers.items():
            taken = sorted(set(other["ports"]) & set(container["ports"])) if other["state"] == "running" else []
            if name != spec.name and taken:
                return edge_agent.start_error(spec.name, edge_agent.port_taken(spec.name, taken[0]))
        container.update(state="running", exit_code=0, started=self._store.now)
        return None

    def _stays_stopped(self, container: Json) -> bool:
        """Whether the container has exited and its restart policy leaves it stopped."""
        if container["exited"] is None or container["started"] is None:
            return False
        return container["restart_policy"] == "never" or bool(
            container["restart_policy"] != "always" and container["exit_code"] == 0
        )

    def _exit_failing_modules(self) -> None:
        """Modules with a fault exit; edgeAgent restarts them after a pause, according to their restart policy."""
        for name, container in self._containers.items():
            if container.get("runs"):
                continue  # its process does what it does
            fault = faults.module_fault(self._world, self._id, name, container["image"])
            ends = fault is not None and fault.kind == "exit"
            if container["state"] == "running" and fault is not None and ends:
                container["exit_message"] = fault.message
                self._end(container, fault.exit_code)
            elif container["state"] in ("backoff", "failed") and container["status"] == "running":
                self._restart(container, fault.exit_code if fault is not None and ends else None)

    def _end(self, container: Json, exit_code: int) -> None:
        state = policy.status_after_exit(exit_code, container["restart_policy"], container["restarts"])
        container.update(exit_code=exit_code, exited=self._store.now, state=state)

    def _restart(self, container: Json, exit_code: int | None) -> None:
        if container["restart_policy"] == "never" or container["restarts"] >= policy.MAX_RESTARTS:
            container["state"] = "failed"
            return
        time = self._store.now
        container.update(restarts=container["restarts"] + 1, started=time, restarted=time, state="running", exit_code=0)
        if exit_code is not None:
            self._end(container, exit_code)

    def _next_try(self, errors: Mapping[str, str]) -> float | None:
        first = self._world.pace.retry
        pauses = [edge_agent.pause(self._failures[name], first) for name in errors]
        for container in self._containers.values():
            if container["state"] == "backoff" and not container.get("runs"):
                pauses.append(edge_agent.pause(container["restarts"] + 1, first))
        left = [pause for pause in pauses if pause is not None]
        return min(left) if left else None

    async def _run_edge_hub(self) -> None:
        container = self._containers.get("edgeHub")
        document = self._store.modules(self._id).get(EDGE_HUB)
        if container is None or document is None or container["state"] != "running":
            return
        desired = document["twin"]["desired"]
        verdict = edge_hub.judge(desired["value"])
        if verdict.code == 200 and not verdict.uncompiled:
            self._routes = edge_hub.routes(desired["value"])
        container["runs"] = self._edges.runs(self._id)
        there = await self._edges.configure(self._id, desired["version"], desired["value"] if self._routes else {})
        connected = {"status": "Connected", "lastConnectedTimeUtc": container["started"], "lastDisconnectTimeUtc": None}
        clients = {
            f"{self._id}/{name}": connected
            for name, module in self._containers.items()
            if not module["system"] and module["state"] == "running" and (name in there or not module.get("runs"))
        }
        self._report(EDGE_HUB, edge_hub.reported(desired["version"], verdict, clients))
        if self._routes is None:
            # Without older routes to fall back on, edgeHub stops, and every restart fails the same way.
            self._end(container, 1)

    def _report_agent(self, status: tuple[int, str], containers: Mapping[str, Json]) -> None:
        self._remember()
        self._report(AGENT, edge_agent.reported(self._desired, self._version, status, containers))

    def _remember(self) -> None:
        memory = {
            "version": self._version,
            "desired": self._desired,
            "containers": self._containers,
            "failures": self._failures,
            "routes": self._routes,
        }
        if self._store.find_device(self._id) is not None:
            self._world.store.put("hub:agent", self._id, memory)

    def _report(self, module: str, value: Json) -> None:
        """Send the difference from the last report, as the runtime does; nothing while the device is disconnected."""
        device = self._store.find_device(self._id)
        modules = self._store.modules(self._id)
        document = modules.get(module)
        if device is None or document is None or not self._store.connected(self._id, device):
            return
        self._store.note_activity(self._id, device)
        twin = document["twin"]
        change = difference(twin["reported"]["value"], value)
        if not change:
            return
        try:
            changed = report(twin, change, self._store.now)
        except HubError:
            return  # as on a real device: the hub rejects a report that is too large, and the old one stays
        self._store.put_modules(self._id, {**modules, module: {**document, "twin": changed}})
