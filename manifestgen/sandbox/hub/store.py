"""The hub's documents in `World.store`.

    kind            key     value
    hub:device      DEVICE  {"identity", "twin"}; small, because queries over many devices read it
    hub:modules     DEVICE  {MODULE: {"identity", "twin", "configurations"}}; one document: a manifest is one change
    hub:gone        DEVICE  true: a deleted device of a series (see `series`)

Callbacks report changes: `desired_changed` to the simulated devices, `device_changed` and `devices_added` to the
automatic deployments, and `touched` to the counts; None means all devices. `modules_written` and `device_deleted` are
for the devices that run their modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from heapq import merge
from typing import Final

from manifestgen.sandbox import faults
from manifestgen.sandbox.hub import messages
from manifestgen.sandbox.hub.errors import device_not_found, module_not_found
from manifestgen.sandbox.hub.series import Series, all_series
from manifestgen.sandbox.hub.twins import Json, timestamp
from manifestgen.sandbox.world import World

_CHUNK: Final = 200


def _ignore_device(device_id: str) -> None:
    pass


def _nothing() -> None:
    pass


def _ignore_modules(device_id: str, modules: Json) -> None:
    pass


def _ignore_change(device_id: str | None) -> None:
    pass


def _id_of(entry: tuple[str, Json | None]) -> str:
    return entry[0]


class HubStore:
    """The documents of the simulated hub."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desired_changed: Callable[[str], None] = _ignore_device
        self.device_changed: Callable[[str], None] = _ignore_device
        self.devices_added: Callable[[], None] = _nothing
        self.touched: Callable[[str | None], None] = _ignore_change
        self.modules_written: Callable[[str, Json], None] = _ignore_modules
        self.device_deleted: Callable[[str], None] = _ignore_device
        self.agents_enabled = agents_enabled(world)
        self._series = all_series(world)
        # Devices that have rows, and deleted ones; any other device of a series needs no read of the file.
        self._rows = {kind: set(world.store.keys(kind)) for kind in ("hub:device", "hub:modules")}
        self._controlled = world.store.count("device-control") > 0
        self._gone = {device_id for device_id, _ in world.store.items("hub:gone")}
        world.store.watch("hub-agents", self._agents_switched)
        world.store.watch("hub:series", self._series_added)

    def control_changed(self, device_id: str) -> None:
        """A device was disconnected or reconnected, or its module faults changed."""
        self._controlled = True
        self.touched(None if device_id == faults.EVERY_DEVICE else device_id)

    @property
    def now(self) -> str:
        """The time in the hub's form."""
        return timestamp(self.world.now())

    def _agents_switched(self, key: str) -> None:
        self.agents_enabled = agents_enabled(self.world)
        self.touched(None)

    def _series_added(self, key: str) -> None:
        self._series = all_series(self.world)
        self.touched(None)
        self.devices_added()

    def _in_series(self, device_id: str) -> tuple[Series, int] | None:
        """The series and number of a device that has no rows."""
        if device_id in self._gone:
            return None
        for series in self._series:
            number = series.number(device_id)
            if number is not None:
                return series, number
        return None

    def of_series(self, device_id: str) -> bool:
        """Whether the device is one of many that were registered in one request."""
        return self._in_series(device_id) is not None

    def find_device(self, device_id: str) -> Json | None:
        """A device's document, or None."""
        if device_id in self._rows["hub:device"]:
            document: Json | None = self.world.store.get("hub:device", device_id)
            return document
        place = self._in_series(device_id)
        return None if place is None else place[0].device(place[1])

    def device(self, device_id: str) -> Json:
        """A device's document. Raises HubError 404."""
        document = self.find_device(device_id)
        if document is None:
            raise device_not_found(device_id)
        return document

    def put_device(self, device_id: str, document: Json) -> None:
        """Write a device's document."""
        self._write("hub:device", device_id, document)
        self.device_changed(device_id)

    def note_activity(self, device_id: str, document: Json) -> None:
        """Record that the device has sent something; calls no callback."""
        document["identity"]["activity"] = self.now
        self._write("hub:device", device_id, document)

    def delete_device(self, device_id: str) -> None:
        """Delete a device with everything that belongs to it."""
        if self._in_series(device_id) is not None:
            self._gone.add(device_id)
            self.world.store.put("hub:gone", device_id, True)
        for kind in ("hub:device", "hub:modules", "hub:agent", "hub:unsettled", "hub:applied"):
            self.world.store.delete(kind, device_id)
            self._rows.get(kind, set()).discard(device_id)
        messages.forget(self.world, device_id)
        self.device_deleted(device_id)
        self.touched(device_id)

    def _write(self, kind: str, device_id: str, document: Json) -> None:
        self._rows[kind].add(device_id)
        self.world.store.put(kind, device_id, document)
        self.touched(device_id)

    def modules(self, device_id: str) -> Json:
        """The documents of a device's modules, by module ID."""
        if device_id in self._rows["hub:modules"]:
            document: Json = self.world.store.get("hub:modules", device_id)
            return document
        place = self._in_series(device_id)
        return {} if place is None else place[0].modules(place[1])

    def module(self, device_id: str, module_id: str) -> Json:
        """A module's document. Raises HubError 404."""
        self.device(device_id)
        document = self.modules(device_id).get(module_id)
        if document is None:
            raise module_not_found(device_id, module_id)
        return dict(document)

    def put_modules(self, device_id: str, modules: Json) -> None:
        """Write the documents of a device's modules."""
        self._write("hub:modules", device_id, modules)
        self.modules_written(device_id, modules)

    def chunk(self, after: str = "", size: int = _CHUNK) -> list[tuple[str, Json]]:
        """The next devices after this ID, ordered by ID, in their current state; empty at the end."""
        stored: Iterator[tuple[str, Json | None]] = self.world.store.items("hub:device", after=after, limit=size)
        series = (((device_id, None) for device_id in one.ids(after)) for one in self._series)
        found: list[tuple[str, Json]] = []
        last = after
        for device_id, row in merge(stored, *series, key=_id_of):
            # For equal IDs, rows come first.
            document = row or (None if device_id == last else self.find_device(device_id))
            last = device_id
            if document is not None:
                found.append((device_id, document))
                if len(found) == size:
                    break
        return found

    async def walk(self, after: str = "") -> AsyncIterator[list[tuple[str, Json]]]:
        """All devices in chunks, each in its state when its chunk is read; other tasks may run in between."""
        while chunk := self.chunk(after):
            yield chunk
            after = chunk[-1][0]
            await asyncio.sleep(0)

    def connected(self, device_id: str, document: Json) -> bool:
        """Whether the device is connected: an edge device with a running agent, neither disabled nor disconnected."""
        return (
            bool(document["identity"]["edge"])
            and document["identity"]["status"] == "enabled"
            and self.agents_enabled
            and (not self._controlled or faults.device_online(self.world, device_id))
        )


def agents_enabled(world: World) -> bool:
    """Whether edge devices run a simulated agent; without agents, a device costs only its rows."""
    return world.store.get("hub-agents", "disabled") is None


def enable_agents(world: World, enabled: bool) -> None:
    """Enable or disable the simulated agents of all edge devices."""
    if enabled:
        world.store.delete("hub-agents", "disabled")
    else:
        world.store.put("hub-agents", "disabled", True)
