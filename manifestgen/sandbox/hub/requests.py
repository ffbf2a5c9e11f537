"""Shared by all requests to the simulated hub: api-versions, permissions, throttling, bodies, ETags, errors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox.hub.auth import Right, authorize
from manifestgen.sandbox.hub.errors import HubError, invalid, stale
from manifestgen.sandbox.hub.throttle import Group, Throttle
from manifestgen.sandbox.hub.twins import etag
from manifestgen.sandbox.world import World

# azure-iot-hub 2.7 uses 2021-04-12; az's IoT extension uses 2024-03-31.
API_VERSIONS: Final = frozenset({"2021-04-12", "2024-03-31"})

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Route:
    """A request that the hub supports: its permissions, and the throttle it counts against."""

    method: str
    path: str
    group: Group
    right: Right
    handler: Handler


def guarded(world: World, throttle: Throttle, route: Route) -> Handler:
    """The route's handler, preceded by all checks."""

    async def handle(request: web.Request) -> web.Response:
        try:
            _check_version(request)
            authorize(world, request, route.right)
            throttle.take(route.group)
            return await route.handler(request)
        except HubError as error:
            await request.read()
            return error.response()

    return handle


def _check_version(request: web.Request) -> None:
    version = request.query.get("api-version")
    if version is None:
        raise invalid("The API version is missing.", "InvalidProtocolVersion")
    if version not in API_VERSIONS:
        raise invalid(f"Unsupported API version {version}.", "InvalidProtocolVersion")


def _reject_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


async def body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. Raises HubError 400."""
    try:
        data = json.loads(await request.read(), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"BadRequest: the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise invalid("BadRequest: the body is not a JSON object")
    return data


def check_match(request: web.Request, version: int, *, required: bool = False) -> None:
    """Compare If-Match with the ETag of a version. Raises HubError 412, or 400 if it is required and missing."""
    given = request.headers.get("If-Match")
    if given is None:
        if required:
            raise invalid("BadRequest: the header If-Match is required")
        return
    value = given.removeprefix("W/").strip().strip('"')
    if value not in ("*", etag(version)):
        raise stale(etag(version), value)


def tagged(data: Any, tag: str, status: int = 200) -> web.Response:
    """A JSON response with its ETag."""
    return web.json_response(data, status=status, headers={"ETag": f'"{tag}"'})
