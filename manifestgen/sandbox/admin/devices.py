"""Simulated devices, their modules and what they have sent, for the admin API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox import faults
from manifestgen.sandbox.admin.values import body_of, number, typed
from manifestgen.sandbox.device import agent_faults, agent_logs, edges
from manifestgen.sandbox.hub import messages
from manifestgen.sandbox.world import World


def routes(world: World) -> list[web.RouteDef]:
    """Devices, their modules, edgeAgents and messages."""

    async def device(request: web.Request) -> web.Response:
        body, device_id = await body_of(request), request.match_info["id"]
        modules = typed(body, "modules", str, "")
        if modules and modules not in (edges.RUN, edges.SIMULATE):
            raise ValueError(f"modules must be run or simulate, not {modules!r}")
        if modules:
            world.store.put("device-modules", device_id, modules)
        if "online" in body or not modules:
            faults.set_device_online(world, device_id, typed(body, "online", bool))
        return web.json_response({})

    async def running(_: web.Request) -> web.Response:
        return web.json_response(world.views.get("modules", dict)())

    async def received(request: web.Request) -> web.Response:
        device_id = request.query.get("device")
        after, limit = number(request, "after", 0), number(request, "limit", messages.MOST_AT_ONCE)
        if device_id is None:
            return web.json_response(messages.counts(world))
        found = messages.messages(world, device_id, after=after, limit=min(limit, messages.MOST_AT_ONCE))
        return web.json_response(
            {"device": device_id, "sent": messages.counts(world).get(device_id, 0), "messages": found}
        )

    return [
        web.put("/devices/{id}", device),
        web.get("/modules", running),
        web.get("/messages", received),
        *_faults(world),
    ]


def _faults(world: World) -> list[web.RouteDef]:
    """Faults of a device, and lines in the log of a module."""

    async def module(request: web.Request) -> web.Response:
        body = await body_of(request)
        kind = typed(body, "kind", str)
        if kind not in ("pull", "create", "exit"):
            raise ValueError(f"kind must be pull, create or exit, not {kind!r}")
        fault = faults.ModuleFault(
            kind,
            typed(body, "message", str, ""),
            typed(body, "exit_code", int, 1),
            typed(body, "image", str, ""),
            _share(body),
        )
        faults.set_module_fault(world, request.match_info["id"], request.match_info["module"], fault)
        return web.json_response({})

    async def clear_fault(request: web.Request) -> web.Response:
        faults.set_module_fault(world, request.match_info["id"], request.match_info["module"], None)
        return web.json_response({})

    async def agent_fault(request: web.Request) -> web.Response:
        agent_faults.add(world, request.match_info["id"], agent_faults.parse(await body_of(request)))
        return web.json_response({}, status=201)

    async def clear_agent_faults(request: web.Request) -> web.Response:
        agent_faults.clear(world, request.match_info["id"])
        return web.json_response({})

    async def log(request: web.Request) -> web.Response:
        body = await body_of(request)
        lines, seconds = typed(body, "lines", list), body.get("seconds", 0)
        if not all(isinstance(line, str) for line in lines) or not isinstance(seconds, int | float):
            raise ValueError("lines must be a list of lines, and seconds a number")
        agent_logs.add(world, request.match_info["id"], request.match_info["module"], lines, seconds=seconds)
        return web.json_response({}, status=201)

    return [
        web.post("/devices/{id}/agent", agent_fault),
        web.delete("/devices/{id}/agent", clear_agent_faults),
        web.post("/devices/{id}/modules/{module}/log", log),
        web.put("/devices/{id}/modules/{module}", module),
        web.delete("/devices/{id}/modules/{module}", clear_fault),
    ]


def _share(body: Mapping[str, Any]) -> float:
    value = body.get("share", 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"share must be from 0 to 1, not {value!r}")
    return float(value)
