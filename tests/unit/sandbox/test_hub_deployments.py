from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.hub_service import HubService, content, module, with_hub

from manifestgen.sandbox import faults
from manifestgen.sandbox.hub.series import register
from manifestgen.sandbox.hub.store import enable_agents
from manifestgen.sandbox.hub.tally import Tallies
from manifestgen.sandbox.world import Store

QUERY = "/devices/query"


def configuration(name: str, deployed: Any, condition: str = "*", priority: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "schemaVersion": "2.0",
        "content": deployed,
        "targetCondition": condition,
        "priority": priority,
        "etag": "*",
        **more,
    }


async def create(hub: HubService, name: str, deployed: Any, *args: Any, **more: Any) -> Any:
    answer = await hub.call("PUT", f"/configurations/{name}", configuration(name, deployed, *args, **more))
    assert answer.status in (200, 201), answer
    return answer.json


async def counts(hub: HubService, name: str, *expected: int) -> None:
    """Wait for targeted, applied, reported successful and reported failed."""
    for _ in range(4000):
        results = (await hub.get(f"/configurations/{name}"))["systemMetrics"]["results"]
        found = tuple(results[f"{key}Count"] for key in ("targeted", "applied", "reportedSuccessful", "reportedFailed"))
        if found == expected:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{name}: {found} instead of {expected}")


async def modules_of(hub: HubService, device: str) -> list[str]:
    return [entry["moduleId"] for entry in await hub.get(f"/devices/{device}/modules")]


def layer(modules: dict[str, Any], **routes: str) -> dict[str, Any]:
    return {
        "modulesContent": {
            "$edgeAgent": {f"properties.desired.modules.{name}": value for name, value in modules.items()},
            "$edgeHub": {f"properties.desired.routes.{name}": value for name, value in routes.items()},
        }
    }


def test_a_deployment_reaches_the_devices_it_targets() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("lab-1", tags={"site": "lab"})
        await hub.add("plant-1", tags={"site": "plant"})
        await hub.add("leaf-1", edge=False, tags={"site": "lab"})
        await create(hub, "base", content({"scorer": module()}), "tags.site = 'lab'")
        await counts(hub, "base", 1, 1, 1, 0)
        assert await modules_of(hub, "lab-1") == ["$edgeAgent", "$edgeHub", "scorer"]
        assert await modules_of(hub, "plant-1") == ["$edgeAgent", "$edgeHub"]
        twin = await hub.get("/twins/lab-1/modules/$edgeAgent")
        assert twin["configurations"] == {"base": {"status": "Applied"}}
        assert "configurations" not in await hub.get("/twins/plant-1/modules/$edgeAgent")

    with_hub(work)


def test_a_device_that_comes_to_match_gets_the_deployment() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module()}), "tags.site = 'lab'")
        await hub.add("late", tags={"site": "lab"})
        await counts(hub, "base", 1, 1, 1, 0)
        await hub.call("PATCH", "/twins/edge-01", {"tags": {"site": "lab"}})
        await counts(hub, "base", 2, 2, 2, 0)
        await hub.call("PATCH", "/twins/edge-01", {"tags": {"site": None}})
        await counts(hub, "base", 1, 1, 1, 0)

    with_hub(work)


def test_the_highest_priority_wins_and_the_newest_of_equals() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "first", content({"first": module()}), "*", 5)
        await counts(hub, "first", 1, 1, 1, 0)
        await create(hub, "lower", content({"lower": module()}), "*", 4)
        await counts(hub, "lower", 1, 0, 0, 0)
        assert "first" in await modules_of(hub, "edge-01")
        await create(hub, "second", content({"second": module()}), "*", 5)
        await counts(hub, "second", 1, 1, 1, 0)
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub", "second"]
        statuses = (await hub.get("/twins/edge-01/modules/$edgeAgent"))["configurations"]
        assert {name: value["status"] for name, value in statuses.items()} == {
            "first": "Targeted",
            "lower": "Targeted",
            "second": "Applied",
        }
        assert (await hub.call("DELETE", "/configurations/second", If_Match='"*"')).status == 204
        await counts(hub, "first", 1, 1, 1, 0)

    with_hub(work)


def test_layers_add_to_their_base() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module("mcr.microsoft.com/scorer:1")}), "*", 1)
        await create(
            hub, "extra", layer({"extra": module()}, extra="FROM /messages/modules/extra/* INTO $upstream"), "*", 2
        )
        await create(hub, "newer", layer({"scorer": module("mcr.microsoft.com/scorer:2")}), "*", 3)
        await create(hub, "too-low", layer({"never": module()}), "*", 0)
        await counts(hub, "newer", 1, 1, 1, 0)
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub", "extra", "scorer"]
        reported = await hub.settled()
        assert reported["modules"]["scorer"]["settings"]["image"] == "mcr.microsoft.com/scorer:2"
        routes = (await hub.get("/twins/edge-01/modules/$edgeHub"))["properties"]["desired"]["routes"]
        assert set(routes) == {"up", "extra"}
        await counts(hub, "too-low", 1, 0, 0, 0)
        await hub.call("DELETE", "/configurations/newer", If_Match="*")
        done = lambda r: r["modules"]["scorer"]["settings"]["image"] == "mcr.microsoft.com/scorer:1"  # noqa: E731
        await hub.until(done)

    with_hub(work)


def test_a_layer_without_a_base_is_targeted_only() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "alone", layer({"extra": module()}), "*", 2)
        await counts(hub, "alone", 1, 0, 0, 0)
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub"]

    with_hub(work)


def test_an_automatic_deployment_overwrites_what_one_device_was_given() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module()}))
        await counts(hub, "base", 1, 1, 1, 0)
        assert (await hub.apply(content({"mine": module()}))).status == 204
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub", "scorer"]

    with_hub(work)


def test_a_rollout_that_the_sandbox_did_not_finish_resumes_at_its_next_start() -> None:
    store = Store()

    async def begin(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module()}))
        await counts(hub, "base", 1, 1, 1, 0)
        # As if the sandbox had been killed before it came to the device.
        modules = store.get("hub:modules", "edge-01")
        modules["$edgeAgent"]["configurations"] = {}
        store.put("hub:modules", "edge-01", modules)

    async def finish(hub: HubService) -> None:
        await counts(hub, "base", 1, 1, 1, 0)

    with_hub(begin, store=store)
    with_hub(finish, store=store)
    store.close()


def test_devices_that_fail_are_counted() -> None:
    async def work(hub: HubService) -> None:
        hub.images.problems["mcr.microsoft.com/scorer:9"] = "manifest unknown"
        await hub.add("d2")
        await create(hub, "base", content({"scorer": module("mcr.microsoft.com/scorer:9")}))
        await counts(hub, "base", 2, 2, 0, 2)

    with_hub(work)


def test_a_configuration_is_read_changed_and_deleted() -> None:
    async def work(hub: HubService) -> None:
        made = await create(hub, "base", content(), "tags.a = 1", 3, labels={"owner": "us"})
        assert made["createdTimeUtc"] == made["lastUpdatedTimeUtc"]
        assert made["content"] == content()
        assert (made["priority"], made["targetCondition"], made["labels"]) == (3, "tags.a = 1", {"owner": "us"})
        again = await hub.call("PUT", "/configurations/base", configuration("base", content()))
        assert (again.status, again.code) == (409, "ConfigurationAlreadyExists")
        other = configuration("base", content({"x": module()}))
        changed = await hub.call("PUT", "/configurations/base", other, If_Match='"*"')
        assert (changed.status, changed.code) == (400, "InvalidConfigurationContent")
        same = configuration("base", content(), "tags.a = 2", 7)
        changed = await hub.call("PUT", "/configurations/base", same, If_Match=f'"{made["etag"]}"')
        assert (changed.status, changed.json["priority"]) == (200, 7)
        stale = await hub.call("PUT", "/configurations/base", same, If_Match=f'"{made["etag"]}"')
        assert (stale.status, stale.code) == (412, "PreconditionFailed")
        assert [entry["id"] for entry in await hub.get("/configurations?top=5")] == ["base"]
        assert (await hub.call("DELETE", "/configurations/base", If_Match=f'"{made["etag"]}"')).status == 412
        assert (await hub.call("DELETE", "/configurations/base", If_Match='"*"')).status == 204
        assert (await hub.call("GET", "/configurations/base")).code == "ConfigurationNotFound"
        assert (await hub.call("PUT", "/configurations/base", same, If_Match='"*"')).status == 404

    with_hub(work)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"content": {}}, "InvalidConfigurationContent"),
        ({"content": {"modulesContent": {"a": {"wrong": 1}}}}, "InvalidConfigurationContent"),
        ({"content": {**content(), "deviceContent": {"properties.desired.a": 1}}}, "InvalidConfigurationContent"),
        ({"content": {"deviceContent": {"properties.desired.a": 1}, "other": 1}}, "InvalidConfigurationContent"),
        ({"targetCondition": "tags.a = "}, "InvalidConfigurationTargetCondition"),
        ({"targetCondition": 5}, "InvalidConfigurationTargetCondition"),
        ({"priority": -1}, "ArgumentInvalid"),
        ({"priority": "1"}, "ArgumentInvalid"),
        ({"priority": True}, "ArgumentInvalid"),
        ({"labels": {"a": 1}}, "ArgumentInvalid"),
        ({"metrics": {"queries": {"bad": "SELECT"}}}, "InvalidConfigurationCustomMetricsQuery"),
        ({"metrics": {"queries": {str(n): "SELECT * FROM devices" for n in range(6)}}}, "ArgumentInvalid"),
        ({"id": "other"}, "ArgumentInvalid"),
    ],
)
def test_a_malformed_configuration_is_refused(change: dict[str, Any], code: str) -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("PUT", "/configurations/c1", {**configuration("c1", content()), **change})
        assert (answer.status, answer.code) == (400, code)

    with_hub(work)


@pytest.mark.parametrize("name", ["Upper", "a b", "x" * 129, "a[b]"])
def test_a_configuration_s_id_keeps_to_its_characters(name: str) -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("PUT", f"/configurations/{name}", {"content": content()})
        assert (answer.status, answer.code) == (400, "InvalidConfigurationId")

    with_hub(work)


def test_a_hub_has_a_hundred_configurations() -> None:
    async def work(hub: HubService) -> None:
        for number in range(100):
            hub.world.store.put("hub:configuration", f"c{number}", {"id": f"c{number}"})
        answer = await hub.call("PUT", "/configurations/more", configuration("more", content()))
        assert (answer.status, answer.code) == (413, "ConfigurationCountLimitExceeded")

    with_hub(work)


def test_custom_metrics_count_what_they_ask_for() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("d2", tags={"site": "lab"})
        queries = {"lab": "SELECT deviceId FROM devices WHERE tags.site = 'lab'"}
        made = await create(hub, "base", content(), "", metrics={"queries": queries})
        assert made["metrics"] == {"results": {}, "queries": queries}
        assert (await hub.get("/configurations/base"))["metrics"] == {"results": {"lab": 1}, "queries": queries}
        await hub.add("d3", tags={"site": "lab"})
        assert (await hub.get("/configurations/base"))["metrics"]["results"] == {"lab": 2}
        (listed,) = await hub.get("/configurations")
        assert listed["systemMetrics"]["results"]["targetedCount"] == 0

    with_hub(work)


def test_queries_can_be_tested_first() -> None:
    async def work(hub: HubService) -> None:
        body = {
            "targetCondition": "tags.a ==",
            "customMetricQueries": {"good": "SELECT * FROM devices", "bad": "SELECT FROM"},
        }
        answer = (await hub.call("POST", "/configurations/testQueries", body)).json
        assert "expected a value" in answer["targetConditionError"]
        assert set(answer["customMetricQueryErrors"]) == {"bad"}
        fine = (await hub.call("POST", "/configurations/testQueries", {"targetCondition": "*"})).json
        assert fine == {"targetConditionError": None, "customMetricQueryErrors": {}}

    with_hub(work)


def test_a_layer_of_the_base_s_own_priority_does_not_apply() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module()}), "*", 5)
        await create(hub, "same", layer({"extra": module()}), "*", 5)
        await counts(hub, "same", 1, 0, 0, 0)
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub", "scorer"]

    with_hub(work)


def test_modules_stay_when_their_deployment_is_deleted() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "base", content({"scorer": module()}), "*", 5)
        await counts(hub, "base", 1, 1, 1, 0)
        assert (await hub.call("DELETE", "/configurations/base", If_Match="*")).status == 204
        await hub.until(lambda _: not hub.world.tasks)
        assert await modules_of(hub, "edge-01") == ["$edgeAgent", "$edgeHub", "scorer"]
        assert "configurations" not in await hub.get("/twins/edge-01/modules/$edgeAgent")

    with_hub(work)


def test_counts_follow_every_kind_of_change() -> None:
    async def work(hub: HubService) -> None:
        register(hub.world, "truck-{number}", 100, tags={"site": ["lab", "plant"]})
        await create(hub, "base", content({"scorer": module()}), "tags.site = 'lab'", 5)
        await counts(hub, "base", 50, 50, 50, 0)
        await hub.call("PATCH", "/twins/truck-002", {"tags": {"site": "lab"}})
        await counts(hub, "base", 51, 51, 51, 0)
        assert (await hub.call("DELETE", "/devices/truck-001", If_Match="*")).status == 204
        await counts(hub, "base", 50, 50, 50, 0)
        register(hub.world, "bus-{number}", 4, tags={"site": "lab"})
        await counts(hub, "base", 54, 54, 54, 0)
        await hub.call("PATCH", "/twins/truck-003/modules/$edgeAgent", {"properties": {"desired": {"modules": None}}})
        await hub.until(lambda _: not hub.world.tasks)
        connected = "SELECT COUNT() AS n FROM devices WHERE connectionState = 'Connected'"
        assert (await hub.call("POST", QUERY, {"query": connected})).json == [{"n": 104}]
        faults.set_device_online(hub.world, "truck-005", False)
        assert (await hub.call("POST", QUERY, {"query": connected})).json == [{"n": 103}]
        enable_agents(hub.world, False)
        assert (await hub.call("POST", QUERY, {"query": connected})).json == [{"n": 0}]

    with_hub(work)


def test_a_poll_of_many_devices_looks_only_at_those_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    look = Tallies._count_device

    def noted(self: Tallies, device_id: str, *rest: Any) -> None:
        looked_at.append(device_id)
        look(self, device_id, *rest)

    monkeypatch.setattr(Tallies, "_count_device", noted)

    async def work(hub: HubService) -> None:
        enable_agents(hub.world, False)
        register(hub.world, "truck-{number}", 1000)
        await create(hub, "base", content(), "tags.site = 'lab'")
        await counts(hub, "base", 0, 0, 0, 0)
        assert len(looked_at) >= 1001
        looked_at.clear()
        await hub.call("PATCH", "/twins/truck-0007", {"tags": {"site": "lab"}})
        await counts(hub, "base", 1, 1, 0, 0)
        assert set(looked_at) == {"truck-0007"}

    with_hub(work)


async def pages(hub: HubService, text: str, size: int) -> list[list[Any]]:
    found: list[list[Any]] = []
    headers: dict[str, Any] = {}
    while True:
        answer = await hub.call("POST", QUERY, {"query": text}, x_ms_max_item_count=str(size), **headers)
        assert answer.status == 200, answer
        found.append(answer.json)
        if "x-ms-continuation" not in answer.headers:
            return found
        headers = {"x_ms_continuation": answer.headers["x-ms-continuation"]}


def test_queries_are_answered_in_pages() -> None:
    async def work(hub: HubService) -> None:
        for number in range(5):
            await hub.add(f"d{number}", tags={"site": "lab"})
        found = await pages(hub, "SELECT deviceId FROM devices WHERE tags.site = 'lab'", 2)
        assert [[entry["deviceId"] for entry in page] for page in found] == [["d0", "d1"], ["d2", "d3"], ["d4"]]
        exact = await pages(hub, "SELECT * FROM devices", 3)
        assert [len(page) for page in exact] == [3, 3]
        modules = await pages(hub, "SELECT deviceId, moduleId FROM devices.modules WHERE STARTSWITH(deviceId, 'd')", 3)
        flat = [(entry["deviceId"], entry["moduleId"]) for page in modules for entry in page]
        assert flat == [(f"d{number}", name) for number in range(5) for name in ("$edgeAgent", "$edgeHub")]
        assert [len(page) for page in modules] == [3, 3, 3, 1]

    with_hub(work)


def test_devices_that_a_query_names_are_found_without_a_look_at_the_others() -> None:
    async def work(hub: HubService) -> None:
        register(hub.world, "truck-{number}", 1_000_000)
        text = "SELECT deviceId, moduleId FROM devices.modules WHERE deviceId IN ['truck-0999999', 'edge-01', 'nobody']"
        found = await pages(hub, text, 3)
        assert [[(entry["deviceId"], entry["moduleId"]) for entry in page] for page in found] == [
            [("edge-01", "$edgeAgent"), ("edge-01", "$edgeHub"), ("truck-0999999", "$edgeAgent")],
            [("truck-0999999", "$edgeHub")],
        ]

    with_hub(work)


def test_a_query_says_what_kind_of_items_it_gives() -> None:
    async def work(hub: HubService) -> None:
        twins = await hub.call("POST", QUERY, {"query": "SELECT * FROM devices"})
        assert twins.headers["x-ms-item-type"] == "twin"
        assert twins.json[0]["properties"]["desired"]["$version"] == 1
        number = await hub.call("POST", QUERY, {"query": "SELECT COUNT() AS n FROM devices.modules"})
        assert (number.headers["x-ms-item-type"], number.json) == ("raw", [{"n": 2}])

    with_hub(work)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"query": "SELECT"}, {}),
        ({"query": 5}, {}),
        ({}, {}),
        ({"query": "SELECT * FROM devices"}, {"x_ms_max_item_count": "0"}),
        ({"query": "SELECT * FROM devices"}, {"x_ms_max_item_count": "many"}),
        ({"query": "SELECT * FROM devices"}, {"x_ms_continuation": "?"}),
    ],
)
def test_a_malformed_query_is_refused(body: Any, headers: dict[str, Any]) -> None:
    async def work(hub: HubService) -> None:
        assert (await hub.call("POST", QUERY, body, **headers)).status == 400

    with_hub(work)
