"""The hub's documents in `World.store`.

    kind            key     value
    hub:device      DEVICE  {"identity", "twin"}; small, so that a query over many devices reads little
    hub:modules     DEVICE  {MODULE: {"identity", "twin", "configurations"}}; one document, as a manifest is one change
    hub:gone        DEVICE  true: one of a series (see `series`), and deleted

Whoever must act on a change is told: `desired_changed` the simulated devices, `device_changed` and `devices_added` the
automatic deployments, and `touched` whoever counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from typing import Final

from manifestgen.sandbox import faults
from manifestgen.sandbox.hub.errors import device_not_found, module_not_found
from manifestgen.sandbox.hub.series import Series, all_series
from manifestgen.sandbox.hub.twins import Json, timestamp
from manifestgen.sandbox.world import World

_CHUNK: Final = 500


def _nobody(device_id: str) -> None:
    pass


def _nothing() -> None:
    pass


class HubStore:
    """The documents of the simulated hub."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desired_changed: Callable[[str], None] = _nobody
        self.device_changed: Callable[[str], None] = _nobody
        self.devices_added: Callable[[], None] = _nothing
        # Counts writes: what was computed from all devices holds for as long as it stays the same.
        self.revision = 0
        self._agents_enabled = agents_enabled(world)
        self._series = all_series(world)
        self._gone = {device_id for device_id, _ in world.store.items("hub:gone")}
        world.store.watch("hub-agents", self._agents_switched)
        world.store.watch("hub:series", self._series_added)

    @property
    def now(self) -> str:
        """The time as the hub writes it."""
        return timestamp(self.world.now())

    def _agents_switched(self, key: str) -> None:
        self._agents_enabled = agents_enabled(self.world)
        self.revision += 1

    def _series_added(self, key: str) -> None:
        self._series = all_series(self.world)
        self.revision += 1
        self.devices_added()

    def _in_series(self, device_id: str) -> tuple[Series, int] | None:
        """Where a device stands that no row is needed for."""
        if device_id in self._gone:
            return None
        for series in self._series:
            number = series.number(device_id)
            if number is not None:
                return series, number
        return None

    def find_device(self, device_id: str) -> Json | None:
        """A device's document, or None."""
        document: Json | None = self.world.store.get("hub:device", device_id)
        if document is None and (place := self._in_series(device_id)) is not None:
            series, number = place
            return series.device(number)
        return document

    def device(self, device_id: str) -> Json:
        """A device's document. Raises HubError 404."""
        document = self.find_device(device_id)
        if document is None:
            raise device_not_found(device_id)
        return document

    def put_device(self, device_id: str, document: Json) -> None:
        """Write a device's document."""
        self.revision += 1
        self.world.store.put("hub:device", device_id, document)
        self.device_changed(device_id)

    def note_activity(self, device_id: str, document: Json) -> None:
        """The device has sent something; nobody needs to be told."""
        document["identity"]["activity"] = self.now
        self.world.store.put("hub:device", device_id, document)

    def delete_device(self, device_id: str) -> None:
        """Remove a device with all that belongs to it."""
        self.revision += 1
        if self._in_series(device_id) is not None:
            self._gone.add(device_id)
            self.world.store.put("hub:gone", device_id, True)
        for kind in ("hub:device", "hub:modules", "hub:agent", "hub:unsettled", "hub:applied"):
            self.world.store.delete(kind, device_id)

    def modules(self, device_id: str) -> Json:
        """The documents of a device's modules, by module id."""
        document: Json | None = self.world.store.get("hub:modules", device_id)
        if document is None and (place := self._in_series(device_id)) is not None:
            series, number = place
            return series.modules(number)
        return document or {}

    def module(self, device_id: str, module_id: str) -> Json:
        """A module's document. Raises HubError 404."""
        self.device(device_id)
        document = self.modules(device_id).get(module_id)
        if document is None:
            raise module_not_found(device_id, module_id)
        return dict(document)

    def put_modules(self, device_id: str, modules: Json) -> None:
        """Write the documents of a device's modules."""
        self.revision += 1
        self.world.store.put("hub:modules", device_id, modules)

    def devices(self, after: str = "") -> Iterator[tuple[str, Json]]:
        """All devices after this id, in the order of their ids, read in chunks."""
        series = (((device_id, None) for device_id in one.ids(after)) for one in self._series)
        last = after
        for device_id, document in merge(self._stored(after), *series, key=lambda entry: entry[0]):
            if device_id == last:
                continue
            last = device_id
            # One of a series may have got a row since the rows were read.
            found = document or self.find_device(device_id)
            if found is not None:
                yield device_id, found

    def _stored(self, after: str) -> Iterator[tuple[str, Json | None]]:
        while True:
            chunk = list(self.world.store.items("hub:device", after=after, limit=_CHUNK))
            yield from chunk
            if len(chunk) < _CHUNK:
                return
            after = chunk[-1][0]

    def connected(self, device_id: str, document: Json) -> bool:
        """Whether the device is connected: an edge device with a running agent, not disabled and not cut off."""
        return (
            bool(document["identity"]["edge"])
            and document["identity"]["status"] == "enabled"
            and self._agents_enabled
            and faults.device_online(self.world, device_id)
        )


def agents_enabled(world: World) -> bool:
    """Whether edge devices run a simulated agent; without agents a device costs nothing but its rows."""
    return world.store.get("hub-agents", "disabled") is None


def enable_agents(world: World, enabled: bool) -> None:
    """Switch the simulated agents of all edge devices on or off."""
    if enabled:
        world.store.delete("hub-agents", "disabled")
    else:
        world.store.put("hub-agents", "disabled", True)
