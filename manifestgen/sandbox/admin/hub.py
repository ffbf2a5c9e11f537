"""The IoT hub and its devices in large numbers, for the admin API."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from manifestgen.sandbox.admin.values import body_of, typed
from manifestgen.sandbox.hub import applied, series, store, throttle
from manifestgen.sandbox.world import World


def routes(world: World) -> list[web.RouteDef]:
    """The hub's size and limits, what was applied to its devices, and registering many of them."""

    def current() -> web.Response:
        hub = throttle.size(world)
        limits = {group: asdict(limit) for group, limit in hub.limits().items()}
        agents = store.agents_enabled(world)
        requests = world.views.get("hub-requests", dict)()
        return web.json_response({**asdict(hub), "agents": agents, "limits": limits, "requests": requests})

    async def show(_: web.Request) -> web.Response:
        return current()

    async def change(request: web.Request) -> web.Response:
        body = dict(await body_of(request))
        agents = typed(body, "agents", bool, store.agents_enabled(world))
        body.pop("agents", None)
        throttle.resize(world, body)
        store.enable_agents(world, agents)
        return current()

    async def reset(_: web.Request) -> web.Response:
        throttle.resize(world, asdict(throttle.Size()))
        store.enable_agents(world, True)
        return current()

    async def what_was_applied(request: web.Request) -> web.Response:
        limit = request.query.get("limit", "10000")
        if not limit.isdecimal() or int(limit) == 0:
            raise ValueError(f"limit must be a number of at least 1, not {limit!r}")
        return web.json_response(applied.applied(world, after=request.query.get("after", ""), limit=int(limit)))

    async def add(request: web.Request) -> web.Response:
        body = await body_of(request)
        made = series.register(
            world,
            typed(body, "id", str),
            typed(body, "count", int),
            first=typed(body, "first", int, 1),
            tags=typed(body, "tags", dict, {}),
        )
        return web.json_response(asdict(made), status=201)

    return [
        web.get("/hub", show),
        web.put("/hub", change),
        web.delete("/hub", reset),
        web.get("/hub/applied", what_was_applied),
        web.post("/devices", add),
    ]
