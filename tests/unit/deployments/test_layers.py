from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from fakes.hub_service import HubService, content, module, with_hub

from manifestgen.cloud import Configuration
from manifestgen.deployments.layers import compose, is_layer, on_device

_COMBINATIONS = 100


def desired(composed: Any, name: str) -> Any:
    return composed["modulesContent"][name]["properties.desired"]


def test_a_layer_adds_and_the_base_keeps_the_rest() -> None:
    base = content({"scorer": module("scorer:1")}, twins={"scorer": {"limit": 5}})
    layer = {
        "modulesContent": {
            "$edgeAgent": {"properties.desired.modules.extra": module("extra:1")},
            "$edgeHub": {"properties.desired.routes.more": "FROM /* INTO $upstream"},
            "scorer": {"properties.desired.colors": {"red": 1}},
        }
    }
    made = compose(base, [layer])
    assert desired(made, "$edgeAgent")["modules"].keys() == {"scorer", "extra"}
    assert desired(made, "$edgeHub")["routes"].keys() == {"up", "more"}
    assert desired(made, "scorer") == {"limit": 5, "colors": {"red": 1}}
    assert base == content({"scorer": module("scorer:1")}, twins={"scorer": {"limit": 5}}), "the base is not changed"


def test_the_last_of_two_layers_wins_and_null_removes() -> None:
    layers = [
        {"modulesContent": {"$edgeAgent": {"properties.desired.modules.scorer": module(image)}}}
        for image in ("scorer:2", "scorer:3")
    ]
    made = compose(content({"scorer": module("scorer:1")}), layers)
    assert desired(made, "$edgeAgent")["modules"]["scorer"]["settings"]["image"] == "scorer:3"
    gone = {"modulesContent": {"$edgeAgent": {"properties.desired.modules.scorer": None}}}
    assert desired(compose(content({"scorer": module("scorer:1")}), [gone]), "$edgeAgent")["modules"] == {}


def test_the_whole_comes_before_its_parts_within_a_layer() -> None:
    layer = {"modulesContent": {"x": {"properties.desired.a.b": 1, "properties.desired": {"c": 2}}}}
    assert desired(compose(content(), [layer]), "x") == {"c": 2, "a": {"b": 1}}


@pytest.mark.parametrize(
    ("deployed", "layered"),
    [
        (content(), False),
        ({"modulesContent": {"$edgeAgent": {}}}, True),
        ({"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": {}}}}, True),
        ({"modulesContent": {**content()["modulesContent"], "a": {"properties.desired.b": 1}}}, True),
    ],
)
def test_a_layer_is_recognised_by_its_keys(deployed: Any, layered: bool) -> None:
    assert is_layer(deployed) is layered


def test_layers_below_the_base_or_without_one_are_not_applied() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    base = Configuration("base", content({"scorer": module("scorer:1")}), "*", 10, created=now)
    layer = Configuration(
        "layer", {"modulesContent": {"$edgeAgent": {"properties.desired.modules.extra": module()}}}, "*", 5, created=now
    )
    alone = on_device([base])
    assert on_device([layer]) is None
    assert on_device([layer, base]) == alone
    above = on_device([replace(layer, priority=11), base])
    assert above is not None and "extra" in desired(above, "$edgeAgent")["modules"]


def _some(chance: random.Random, *things: Any) -> list[Any]:
    return [thing for thing in things if chance.random() < 0.5]


def _value(chance: random.Random) -> Any:
    return chance.choice(
        [1, "text", True, None, {"deep": {"er": chance.random()}}, [1, 2], {}, {"gone": None, "kept": 1}]
    )


def _base(chance: random.Random) -> Any:
    modules = {name: module(f"{name}:{chance.randrange(9)}") for name in _some(chance, "a", "b", "c")}
    routes = {name: "FROM /messages/* INTO $upstream" for name in _some(chance, "up", "down")}
    twins = {name: {"x": {"y": 1, "z": {"w": 2}}, "v": _value(chance)} for name in _some(chance, "a", "b")}
    return content(modules, routes=routes, twins=twins)


def _layer(chance: random.Random) -> Any:
    agent: dict[str, Any] = {"properties.desired.modules.d": module(f"d:{chance.randrange(9)}")}
    for name in _some(chance, "a", "b", "c"):
        agent[f"properties.desired.modules.{name}"] = module(f"{name}:1{chance.randrange(9)}")
    if chance.random() < 0.3:
        agent["properties.desired.modules.d.settings.image"] = "d:piece"
    if chance.random() < 0.3:
        login = {"address": "acme.azurecr.io", "username": "u", "password": "p"}
        agent["properties.desired.runtime.settings.registryCredentials.acme"] = login
    entries: dict[str, Any] = {"$edgeAgent": agent, "$edgeHub": {}}
    for name in _some(chance, "up", "more"):
        entries["$edgeHub"][f"properties.desired.routes.{name}"] = {"route": "FROM /* INTO $upstream", "priority": 1}
    for name in _some(chance, "a", "b", "d"):
        keys = {
            f"properties.desired.{path}": _value(chance) for path in _some(chance, "x", "x.y", "x.z.w", "v", "n.e.w")
        }
        if chance.random() < 0.3:
            keys["properties.desired"] = {"x": {"whole": True}}
        entries[name] = keys
    return {"modulesContent": entries}


@pytest.mark.no_cover  # the same ways a hundred times
def test_what_is_predicted_is_what_the_sandbox_s_device_gets() -> None:
    """A base and two layers, generated; their priorities in any order, equal ones among them."""
    chance = random.Random(20261122)  # noqa: S311 - for variety, and the same each time
    differing = 0

    async def work(hub: HubService) -> None:
        nonlocal differing
        device = "edge-01"
        for number in range(_COMBINATIONS):
            made = [_base(chance), _layer(chance), _layer(chance)]
            places = [10, chance.randrange(9, 13), chance.randrange(9, 13)]
            found = []
            for place, (deployed, priority) in enumerate(zip(made, places, strict=True)):
                name = f"c{number}-{place}"
                body = {"id": name, "content": deployed, "targetCondition": "*", "priority": priority}
                answer = await hub.call("PUT", f"/configurations/{name}", body)
                assert answer.status == 201, answer
                created = datetime.fromisoformat(answer.json["createdTimeUtc"][:26].rstrip("Z") + "+00:00")
                found.append(Configuration(name, deployed, "*", priority, created=created))
            predicted = on_device(found)
            assert predicted is not None
            await _followed(hub, device, {each.id for each in found})
            differing += predicted != compose(made[0], [])
            for name, entry in predicted["modulesContent"].items():
                twin = await hub.get(f"/twins/{device}/modules/{name}")
                got = {key: value for key, value in twin["properties"]["desired"].items() if not key.startswith("$")}
                assert got == entry["properties.desired"], (number, name, places, [str(each.created) for each in found])
            for each in found:
                await hub.call("DELETE", f"/configurations/{each.id}")

    with_hub(work)
    assert differing > _COMBINATIONS / 2


async def _followed(hub: HubService, device: str, ids: set[str]) -> None:
    """Wait until the hub has brought the device in line with these deployments, and no others."""
    for _ in range(2000):
        twin = await hub.get(f"/twins/{device}/modules/$edgeAgent")
        if twin.get("configurations", {}).keys() == ids:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"never followed: {twin.get('configurations')}")
