"""Pipelines and whose tokens the service principal takes, for the admin API."""

from __future__ import annotations

from aiohttp import web

from manifestgen.sandbox.admin.values import body_of
from manifestgen.sandbox.federation import credentials, delete_credential, put_credential
from manifestgen.sandbox.pipelines import variables_of
from manifestgen.sandbox.world import World


def routes(world: World) -> list[web.RouteDef]:
    """A job's variables, and the federated credentials."""

    async def job(request: web.Request) -> web.Response:
        return web.json_response(variables_of(world, request.match_info["kind"], request.query.get("subject", "")))

    async def known(_: web.Request) -> web.Response:
        return web.json_response(credentials(world))

    async def put(request: web.Request) -> web.Response:
        return web.json_response(put_credential(world, request.match_info["name"], await body_of(request)))

    async def delete(request: web.Request) -> web.Response:
        if not delete_credential(world, request.match_info["name"]):
            raise ValueError(f"there is no federated credential {request.match_info['name']!r}")
        return web.json_response({})

    return [
        web.get("/pipelines/{kind}", job),
        web.get("/federation", known),
        web.put("/federation/{name}", put),
        web.delete("/federation/{name}", delete),
    ]
