"""Counts that are kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from manifestgen.sandbox.hub import tally
from manifestgen.sandbox.hub.query import QueryError
from manifestgen.sandbox.hub.series import register
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.tally import Tallies
from manifestgen.sandbox.world import World

LAB = "SELECT * FROM devices WHERE tags.site = 'lab'"
AGENTS = "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'"
MODULES = "SELECT * FROM devices.modules"


@pytest.fixture
def store(world: World) -> HubStore:
    register(world, "d{number}", 1000, tags={"site": ["lab", "plant"]})
    return HubStore(world)


@pytest.fixture
def tallies(store: HubStore) -> Tallies:
    made = Tallies(store)
    store.touched = made.touched
    return made


def move(store: HubStore, device_id: str, site: str) -> None:
    document = store.device(device_id)
    document["twin"]["tags"] = {"site": site}
    store.put_device(device_id, document)


def test_devices_and_modules_are_counted(tallies: Tallies) -> None:
    assert asyncio.run(tallies.count([LAB, AGENTS, MODULES])) == {LAB: 500, AGENTS: 1000, MODULES: 2000}


@pytest.mark.parametrize("device_id", ["d0002", "d0998"])
def test_a_device_that_changes_while_all_are_counted_is_counted_as_it_is_now(
    store: HubStore, tallies: Tallies, device_id: str
) -> None:
    async def run() -> dict[str, int]:
        counting = asyncio.ensure_future(tallies.count([LAB]))
        for _ in range(3):
            await asyncio.sleep(0)  # some chunks are counted by now, the last ones are not
        assert not counting.done()
        move(store, device_id, "lab")
        return await counting

    assert asyncio.run(run()) == {LAB: 501}


def test_who_asks_while_all_are_counted_waits_for_the_same_walk(store: HubStore, tallies: Tallies) -> None:
    async def run() -> list[dict[str, int]]:
        return await asyncio.gather(*(tallies.count([LAB]) for _ in range(5)))

    walks = []
    walk = store.walk

    def counted(after: str = "") -> AsyncIterator[list[tuple[str, dict[str, Any]]]]:
        walks.append(after)
        return walk(after)

    store.walk = counted  # type: ignore[method-assign] # counts the walks
    assert asyncio.run(run()) == [{LAB: 500}] * 5
    assert len(walks) == 1


def test_a_change_of_all_devices_begins_anew(world: World, store: HubStore, tallies: Tallies) -> None:
    async def run() -> dict[str, int]:
        counting = asyncio.ensure_future(tallies.count([LAB]))
        for _ in range(3):
            await asyncio.sleep(0)
        register(world, "a{number}", 10, tags={"site": "lab"})
        return await counting

    assert asyncio.run(run()) == {LAB: 510}


def test_of_many_queries_the_oldest_are_forgotten_and_counted_again(
    tallies: Tallies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_KEPT", 2)

    async def run() -> list[int]:
        texts = [LAB, AGENTS, MODULES, LAB]
        return [(await tallies.count([text]))[text] for text in texts]

    assert asyncio.run(run()) == [500, 1000, 2000, 500]
    assert len(tallies._tallies) == 2


def test_what_is_not_a_query_is_refused_and_the_next_one_counted(tallies: Tallies) -> None:
    async def run() -> dict[str, int]:
        with pytest.raises(QueryError):
            await tallies.count(["SELECT"])
        return await tallies.count([LAB])

    assert asyncio.run(run()) == {LAB: 500}


def test_more_changes_than_a_chunk_are_all_seen(store: HubStore, tallies: Tallies) -> None:
    async def run() -> list[int]:
        before = (await tallies.count([LAB]))[LAB]
        for number in range(2, 1001, 2):
            move(store, f"d{number:04}", "lab")
        return [before, (await tallies.count([LAB]))[LAB]]

    assert asyncio.run(run()) == [500, 1000]
