"""Incremental counts of the devices or modules that match a query.

The first request for a query's count examines all devices. From then on, only changed devices are examined: a rollout
to a hundred thousand devices can be polled at any rate.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

from manifestgen.sandbox.hub import query
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json
from manifestgen.sandbox.hub.views import module_twin_view, twin_view

# Number of queries that are kept up to date; the least recently used ones are dropped.
_KEPT: Final = 200
_CHUNK: Final = 200


class _Tally:
    """The matches of one query: a count for each device, by position, and their sum."""

    def __init__(self, text: str) -> None:
        parsed = query.parse(text)
        self.source = parsed.source
        self.matches = parsed.matches
        self.modules = parsed.only.get("moduleId")
        self.numbers = bytearray()
        self.total = 0

    def set(self, position: int, number: int) -> None:
        if position >= len(self.numbers):
            self.numbers.extend(bytes(max(1024, position + 1 - len(self.numbers))))
        self.total += number - self.numbers[position]
        self.numbers[position] = number


class Tallies:
    """The counts of all queries over a hub's devices."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()
        self._positions: dict[str, int] = {}
        self._changed: set[str] = set()
        self._turn = asyncio.Lock()

    def touched(self, device_id: str | None) -> None:
        """Record that a device has changed; None means all."""
        if device_id is None:
            self._tallies.clear()
            self._changed.clear()
        elif self._tallies:
            self._changed.add(device_id)

    async def count(self, texts: Collection[str]) -> dict[str, int]:
        """How many documents each query matches. Raises `query.QueryError`."""
        async with self._turn:
            while new := {text: _Tally(text) for text in texts if text not in self._tallies}:
                # Changes from here on are recorded: a device that changes after it was examined is examined again.
                self._tallies.update(new)
                async for chunk in self._store.walk():
                    for device_id, document in chunk:
                        changed = device_id in self._changed
                        self._changed.discard(device_id)
                        self._count_device(device_id, document, (self._tallies if changed else new).values())
            await self._catch_up()
            found = {text: self._tallies[text].total for text in texts if text in self._tallies}
            for text in found:
                self._tallies.move_to_end(text)
            while len(self._tallies) > max(_KEPT, len(texts)):
                self._tallies.popitem(last=False)
        return found if len(found) == len(set(texts)) else await self.count(texts)

    async def _catch_up(self) -> None:
        number = 0
        while self._changed:
            device_id = self._changed.pop()
            self._count_device(device_id, self._store.find_device(device_id), self._tallies.values())
            number += 1
            if number % _CHUNK == 0:
                await asyncio.sleep(0)

    def _count_device(self, device_id: str, document: Json | None, tallies: Iterable[_Tally]) -> None:
        position = self._positions.setdefault(device_id, len(self._positions))
        if document is None:
            for tally in tallies:
                tally.set(position, 0)
            return
        connected = self._store.connected(device_id, document)
        twin: Json | None = None
        modules: Json | None = None
        views: dict[str, Json] = {}
        for tally in tallies:
            if tally.source == "devices":
                twin = twin or twin_view(device_id, document, connected=connected, metadata=False)
                tally.set(position, int(tally.matches(twin)))
                continue
            if modules is None:
                modules = self._store.modules(device_id)
            asked = modules if tally.modules is None else [name for name in tally.modules if name in modules]
            for name in asked:
                if name not in views:
                    views[name] = module_twin_view(device_id, name, modules[name], connected=connected, metadata=False)
            tally.set(position, sum(tally.matches(views[name]) for name in asked))
