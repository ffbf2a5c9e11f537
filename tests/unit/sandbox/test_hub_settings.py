"""Automatic device management: configurations that set desired properties in twins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.hub_service import VERSION, Answer, HubService, with_hub

_QUERY = "/devices/query"


async def create(hub: HubService, name: str, content: Any, condition: str, priority: int = 1) -> Any:
    body = {"id": name, "content": content, "targetCondition": condition, "priority": priority}
    answer = await hub.call("PUT", f"/configurations/{name}", body)
    assert answer.status == 201, answer
    return answer.json


def of_devices(**settings: Any) -> dict[str, Any]:
    return {"deviceContent": {f"properties.desired.{path}": value for path, value in settings.items()}}


def of_modules(**settings: Any) -> dict[str, Any]:
    return {"moduleContent": {f"properties.desired.{path}": value for path, value in settings.items()}}


async def desired(hub: HubService, path: str, **expected: Any) -> dict[str, Any]:
    """Wait for these desired properties of a twin and no others; returns the statuses of its configurations."""
    for _ in range(2000):
        twin = await hub.get(path)
        found = {key: value for key, value in twin["properties"]["desired"].items() if not key.startswith("$")}
        if found == expected:
            return {name: entry["status"] for name, entry in twin.get("configurations", {}).items()}
        await asyncio.sleep(0.005)
    raise AssertionError(f"{found} instead of {expected}")


async def results(hub: HubService, name: str, **expected: int) -> None:
    for _ in range(2000):
        found = (await hub.get(f"/configurations/{name}"))["systemMetrics"]["results"]
        if found == expected:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{found} instead of {expected}")


def test_a_configuration_sets_its_paths_in_the_twins_that_it_targets() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("lab-1", edge=False, tags={"site": "lab"})
        await hub.add("plant-1", edge=False, tags={"site": "plant"})
        await hub.call("PATCH", "/twins/lab-1", {"properties": {"desired": {"own": 1, "unit": {"name": "K"}}}})
        content = {"deviceContent": {"properties.desired.unit.limit": 5, "properties.desired.interval": 60}}
        made = await create(hub, "limits", content, "tags.site = 'lab'")
        assert made["content"] == content
        statuses = await desired(hub, "/twins/lab-1", own=1, unit={"name": "K", "limit": 5}, interval=60)
        assert statuses == {"limits": "Applied"}
        assert await desired(hub, "/twins/plant-1") == {}
        await results(hub, "limits", targetedCount=1, appliedCount=1)
        applied = "SELECT deviceId FROM devices WHERE configurations.[[limits]].status = 'Applied'"
        assert (await hub.call("POST", _QUERY, {"query": applied})).json == [{"deviceId": "lab-1"}]

    with_hub(work)


def test_a_device_that_is_tagged_later_gets_the_settings_and_keeps_them() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "later", of_devices(mode="slow"), "tags.site = 'lab'")
        await hub.add("moved", edge=False)
        await hub.call("PATCH", "/twins/moved", {"tags": {"site": "lab"}})
        assert await desired(hub, "/twins/moved", mode="slow") == {"later": "Applied"}
        await hub.call("PATCH", "/twins/moved", {"tags": {"site": None}})
        assert await desired(hub, "/twins/moved", mode="slow") == {}

    with_hub(work)


def test_the_higher_priority_wins_where_two_set_the_same() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("contested", edge=False)
        await create(hub, "low", of_devices(mode="slow", other=1), "deviceId = 'contested'", 1)
        await create(hub, "lowest", of_devices(mode="off"), "deviceId = 'contested'", 0)
        await create(hub, "high", of_devices(mode="fast"), "deviceId = 'contested'", 9)
        statuses = await desired(hub, "/twins/contested", mode="fast", other=1)
        assert statuses == {"high": "Applied", "low": "Applied", "lowest": "Targeted"}
        assert (await hub.call("DELETE", "/configurations/high", If_Match="*")).status == 204
        statuses = await desired(hub, "/twins/contested", mode="slow", other=1)
        assert statuses == {"low": "Applied", "lowest": "Targeted"}

    with_hub(work)


def test_modules_are_targeted_by_their_own_twins() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("plain", edge=False)
        for name in ("thermostat", "camera"):
            await hub.call("PUT", f"/devices/plain/modules/{name}", {"deviceId": "plain", "moduleId": name})
        await create(hub, "modules", of_modules(limit=5), "FROM devices.modules WHERE tags.kind = 'heat'")
        await hub.call("PATCH", "/twins/plain/modules/thermostat", {"tags": {"kind": "heat"}})
        assert await desired(hub, "/twins/plain/modules/thermostat", limit=5) == {"modules": "Applied"}
        assert await desired(hub, "/twins/plain/modules/camera") == {}
        await results(hub, "modules", targetedCount=1, appliedCount=1)
        assert (await hub.call("DELETE", "/configurations/modules", If_Match="*")).status == 204
        await desired(hub, "/twins/plain/modules/thermostat", limit=5)
        for _ in range(2000):
            if "configurations" not in await hub.get("/twins/plain/modules/thermostat"):
                break
            await asyncio.sleep(0.005)
        assert "configurations" not in await hub.get("/twins/plain/modules/thermostat")

    with_hub(work)


def test_an_edge_device_has_settings_and_deployments_side_by_side() -> None:
    async def work(hub: HubService) -> None:
        await create(hub, "settings", of_devices(mode="slow"), "*")
        agent = {"properties.desired": {"schemaVersion": "1.1", "modules": {}}}
        deployment = {"modulesContent": {"$edgeAgent": agent, "$edgeHub": {"properties.desired": {}}}}
        await create(hub, "deployment", deployment, "*")
        assert await desired(hub, "/twins/edge-01", mode="slow") == {"settings": "Applied"}
        for _ in range(2000):
            statuses = (await hub.get("/twins/edge-01/modules/$edgeAgent")).get("configurations")
            if statuses:
                break
            await asyncio.sleep(0.005)
        assert statuses == {"deployment": {"status": "Applied"}}
        listed = await hub.get("/configurations")
        assert {one["id"]: list(one["content"]) for one in listed} == {
            "settings": ["deviceContent"],
            "deployment": ["modulesContent"],
        }

    with_hub(work)


@pytest.mark.parametrize(
    ("content", "condition", "code"),
    [
        ({"deviceContent": {"tags.site": 1}}, "*", "InvalidConfigurationContent"),
        ({"deviceContent": {"properties.reported.a": 1}}, "*", "InvalidConfigurationContent"),
        ({"deviceContent": {"properties.desired": 1}}, "*", "InvalidConfigurationContent"),
        ({"deviceContent": [1]}, "*", "InvalidConfigurationContent"),
        ({"deviceContent": {"properties.desired.a": "x" * 5000}}, "*", "ArgumentInvalid"),
        ({"deviceContent": {"properties.desired.a": 1}, "moduleContent": {}}, "*", "InvalidConfigurationContent"),
        (of_modules(a=1), "*", "InvalidConfigurationTargetCondition"),
        (of_modules(a=1), "tags.kind = 'heat'", "InvalidConfigurationTargetCondition"),
        (of_devices(a=1), "from devices.modules where true", "InvalidConfigurationTargetCondition"),
    ],
)
def test_a_malformed_configuration_is_rejected(content: Any, condition: str, code: str) -> None:
    async def work(hub: HubService) -> None:
        body = {"id": "bad", "content": content, "targetCondition": condition}
        answer = await hub.call("PUT", "/configurations/bad", body)
        assert (answer.status, answer.code) == (400, code)
        assert (await hub.call("GET", "/configurations/bad")).code == "ConfigurationNotFound"

    with_hub(work)


def test_the_content_cannot_change_and_the_rest_can() -> None:
    async def work(hub: HubService) -> None:
        made = await create(hub, "fixed", of_devices(a=1), "*", 1)
        changed = {**made, "priority": 7, "content": of_devices(a=2)}
        answer = await hub.call("PUT", "/configurations/fixed", changed, If_Match="*")
        assert (answer.status, answer.code) == (400, "InvalidConfigurationContent")
        answer = await hub.call("PUT", "/configurations/fixed", {**made, "priority": 7}, If_Match="*")
        assert (answer.status, answer.json["priority"], answer.json["content"]) == (200, 7, of_devices(a=1))

    with_hub(work)


def test_target_conditions_for_modules_are_tried() -> None:
    async def work(hub: HubService) -> None:
        async def problem(condition: str) -> Any:
            tried = await hub.call("POST", "/configurations/testQueries", {"targetCondition": condition})
            return tried.json["targetConditionError"]

        assert await problem("FROM devices.modules WHERE tags.kind = 'heat'") is None
        assert "expected" in await problem("FROM devices.modules WHERE")
        assert "GROUP BY" in await problem("FROM devices.modules WHERE true GROUP BY tags.kind")

    with_hub(work)


def test_queries_group_and_limit() -> None:
    async def work(hub: HubService) -> None:
        for number, site in enumerate(("lab", "plant", "plant")):
            await hub.add(f"d{number}", edge=False, tags={"site": site, "roles": ["a", site]})

        async def ask(text: str, **headers: str) -> Answer:
            return await hub.call("POST", _QUERY, {"query": text}, version=VERSION, raw=None, **headers)

        grouped = await ask(
            "SELECT tags.site, COUNT() AS n FROM devices WHERE IS_DEFINED(tags.site) GROUP BY tags.site"
        )
        assert grouped.json == [{"site": "lab", "n": 1}, {"site": "plant", "n": 2}]
        assert grouped.headers["x-ms-item-type"] == "raw"
        top = await ask("SELECT TOP 2 deviceId FROM devices")
        assert [row["deviceId"] for row in top.json] == ["d0", "d1"]
        assert "x-ms-continuation" not in top.headers
        first = await ask("SELECT TOP 3 deviceId FROM devices", x_ms_max_item_count="2")
        rest = await ask(
            "SELECT TOP 3 deviceId FROM devices",
            x_ms_max_item_count="2",
            x_ms_continuation=first.headers["x-ms-continuation"],
        )
        assert [row["deviceId"] for row in (*first.json, *rest.json)] == ["d0", "d1", "d2"]
        assert "x-ms-continuation" not in rest.headers
        held = await ask("SELECT deviceId FROM devices WHERE ARRAY_CONTAINS(tags.roles, 'plant')")
        assert [row["deviceId"] for row in held.json] == ["d1", "d2"]

    with_hub(work)
