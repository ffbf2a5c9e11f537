"""Many edge devices at once."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import HubService, content, module, with_hub

from manifestgen.sandbox.hub import applied
from manifestgen.sandbox.hub.content import fingerprint, whole
from manifestgen.sandbox.hub.series import Registered, register
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.world import Store, World


def test_ids_have_as_many_digits_as_the_last_one(world: World) -> None:
    assert register(world, "truck-{number}", 100) == Registered("truck-001", "truck-100", 100)
    assert register(world, "a{number}.plant", 2, first=9) == Registered("a09.plant", "a10.plant", 2)
    ids = [device_id for device_id, _ in HubStore(world).chunk()]
    assert (ids[:3], ids[-1], len(ids)) == (["a09.plant", "a10.plant", "truck-001"], "truck-100", 102)


def test_devices_take_turns_with_the_tags_of_a_list(world: World) -> None:
    register(
        world, "d{number}", 4, tags={"site": ["lab", "plant", "plant"], "row": "no {number}", "at": {"floor": [1, 2]}}
    )
    tags = [document["twin"]["tags"] for _, document in HubStore(world).chunk()]
    assert tags == [
        {"site": "lab", "row": "no 1", "at": {"floor": 1}},
        {"site": "plant", "row": "no 2", "at": {"floor": 2}},
        {"site": "plant", "row": "no 3", "at": {"floor": 1}},
        {"site": "lab", "row": "no 4", "at": {"floor": 2}},
    ]


def test_a_million_devices_need_one_row(world: World) -> None:
    register(world, "d{number}", 1_000_000)
    store = HubStore(world)
    assert store.device("d0999999")["identity"]["edge"] is True
    assert list(store.modules("d0999999")) == ["$edgeAgent", "$edgeHub"]
    assert [device_id for device_id, _ in store.chunk("d0999998")] == ["d0999999", "d1000000"]
    assert world.store.counts() == {"hub:series": 1}


@pytest.mark.parametrize("device_id", ["d000", "d101", "d1", "d0001", "e001", "d00a", "d٠٠١", "d001x"])
def test_what_is_not_one_of_the_series_is_not_registered(world: World, device_id: str) -> None:
    register(world, "d{number}", 100)
    assert HubStore(world).find_device(device_id) is None


def test_a_device_is_the_same_each_time_and_no_two_are_alike(world: World) -> None:
    register(world, "d{number}", 2)
    store = HubStore(world)
    assert store.device("d1") == store.device("d1")
    one, other = store.device("d1")["identity"], store.device("d2")["identity"]
    for key in ("generationId", "scope", "authentication"):
        assert one[key] != other[key]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pattern": "truck"}, "id must contain {number} once, not 'truck'"),
        ({"pattern": "{number}{number}"}, "id must contain {number} once"),
        ({"pattern": "a b{number}"}, "deviceId 'a b1' must have 1 to 128 of the characters"),
        ({"count": 0}, "count must be from 1 to 1000000"),
        ({"count": 1_000_001}, "count must be from 1 to 1000000"),
        ({"first": -1}, "first at least 0"),
        ({"tags": {"a.b": 1}}, "tags"),
        ({"tags": {"a": []}}, "a list in tags must not be empty"),
    ],
)
def test_a_series_that_no_hub_takes_is_refused(world: World, settings: dict[str, Any], words: str) -> None:
    given = {"pattern": "d{number}", "count": 1, **settings}
    with pytest.raises(ValueError, match=r".") as caught:
        register(world, given.pop("pattern"), given.pop("count"), **given)
    assert words in str(caught.value)
    assert world.store.count("hub:series") == 0


def test_ids_that_are_taken_are_refused() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("truck-07")
        with pytest.raises(ValueError, match=r"the id 'truck-07' is already registered"):
            register(hub.world, "truck-{number}", 20)
        register(hub.world, "bus-{number}", 20)
        with pytest.raises(ValueError, match=r"the id 'bus-05' is already registered"):
            register(hub.world, "bus-{number}", 20, first=5)

    with_hub(work)


def test_the_hub_treats_a_device_of_a_series_like_any_other() -> None:
    async def work(hub: HubService) -> None:
        register(hub.world, "truck-{number}", 30, tags={"site": "lab"})
        device = await hub.get("/devices/truck-07")
        assert device["deviceScope"].startswith("ms-azure-iot-edge://truck-07-")
        assert device["capabilities"] == {"iotEdge": True}
        again = await hub.call("PUT", "/devices/truck-07", {"capabilities": {"iotEdge": True}})
        assert (again.status, again.code) == (409, "DeviceAlreadyExists")
        await hub.call("PATCH", "/twins/truck-07", {"tags": {"site": "plant"}})
        assert (await hub.get("/twins/truck-07"))["tags"] == {"site": "plant"}
        assert (await hub.get("/devices/truck-07"))["etag"] == device["etag"]
        assert (await hub.apply(content({"scorer": module()}), "truck-08")).status == 204
        reported = await hub.settled(device="truck-08")
        assert reported["modules"]["scorer"]["runtimeStatus"] == "running"
        lab = "SELECT COUNT() AS n FROM devices WHERE tags.site = 'lab'"
        assert (await hub.call("POST", "/devices/query", {"query": lab})).json == [{"n": 29}]
        assert (await hub.get("/statistics/devices"))["totalDeviceCount"] == 31

    with_hub(work)


def test_a_deleted_device_of_a_series_stays_deleted_until_it_is_registered_again() -> None:
    async def work(hub: HubService) -> None:
        register(hub.world, "truck-{number}", 3, tags={"site": "lab"})
        assert (await hub.call("DELETE", "/devices/truck-2", If_Match="*")).status == 204
        assert (await hub.call("GET", "/devices/truck-2")).status == 404
        assert HubStore(hub.world).find_device("truck-2") is None
        listed = [entry["deviceId"] for entry in await hub.get("/devices")]
        assert listed == ["edge-01", "truck-1", "truck-3"]
        await hub.add("truck-2")
        assert (await hub.get("/twins/truck-2"))["tags"] == {}
        assert (await hub.call("DELETE", "/devices/truck-2", If_Match="*")).status == 204
        assert (await hub.call("GET", "/devices/truck-2")).status == 404

    with_hub(work)


def test_a_deployment_reaches_devices_that_are_registered_later_in_a_series() -> None:
    async def work(hub: HubService) -> None:
        body = {"content": content({"scorer": module()}), "targetCondition": "tags.site = 'lab'", "priority": 1}
        assert (await hub.call("PUT", "/configurations/base", body)).status == 201
        register(hub.world, "truck-{number}", 4, tags={"site": ["lab", "plant"]})
        for device, expected in (("truck-1", True), ("truck-2", False), ("truck-3", True)):
            await hub.until(lambda _: not hub.world.tasks, device=device)
            modules = [entry["moduleId"] for entry in await hub.get(f"/devices/{device}/modules")]
            assert ("scorer" in modules) is expected

    with_hub(work)


def test_what_was_applied_to_each_device_is_reported_in_pages() -> None:
    async def work(hub: HubService) -> None:
        first, second = content({"scorer": module()}), content({"scorer": module("mcr.microsoft.com/other:2")})
        register(hub.world, "d{number}", 9)
        for manifest, device in ((first, "d1"), (second, "d1"), (second, "d1"), (first, "d5"), (first, "edge-01")):
            assert (await hub.apply(manifest, device)).status == 204
        one, two = (fingerprint(whole(manifest["modulesContent"])) for manifest in (first, second))
        assert applied.applied(hub.world, limit=2) == {
            "devices": {"d1": {"applies": [one, two, two], "twins": two}, "d5": {"applies": [one], "twins": one}},
            "next": "d5",
        }
        page = applied.applied(hub.world, after="d5", limit=2)
        assert (list(page["devices"]), page["next"]) == (["edge-01"], None)

    with_hub(work)


def test_a_manifest_that_is_refused_was_not_applied() -> None:
    async def work(hub: HubService) -> None:
        assert (await hub.apply({"modulesContent": {}})).status == 400
        assert applied.applied(hub.world)["devices"] == {}

    with_hub(work)


def test_a_series_is_there_again_when_the_sandbox_starts_with_its_state() -> None:
    store = Store()

    async def begin(hub: HubService) -> None:
        register(hub.world, "truck-{number}", 3, tags={"site": "lab"})
        await hub.call("PATCH", "/twins/truck-1", {"tags": {"site": "plant"}})
        await hub.call("DELETE", "/devices/truck-3", If_Match="*")
        keys.append((await hub.get("/devices/truck-2"))["authentication"])

    async def again(hub: HubService) -> None:
        assert [entry["deviceId"] for entry in await hub.get("/devices")] == ["edge-01", "truck-1", "truck-2"]
        assert (await hub.get("/twins/truck-1"))["tags"] == {"site": "plant"}
        assert (await hub.get("/devices/truck-2"))["authentication"] == keys[0]
        assert (await hub.call("GET", "/devices/truck-3")).status == 404

    keys: list[Any] = []
    with_hub(begin, store=store)
    with_hub(again, store=store)
    store.close()


def test_the_script_that_measures_large_hubs_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[2] / "bench" / "sandbox.py"
    monkeypatch.setattr("sys.argv", [str(script), "50"])
    runpy.run_path(str(script), run_name="__main__")
    assert "read its counts after one device has changed" in capsys.readouterr().out
