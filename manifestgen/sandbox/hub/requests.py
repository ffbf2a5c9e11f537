"""What all requests to the simulated hub have in common: versions, rights, throttles, bodies, ETags, errors."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web

from manifestgen.sandbox.hub.auth import Right, authorize
from manifestgen.sandbox.hub.errors import HubError, invalid, stale
from manifestgen.sandbox.hub.twins import etag
from manifestgen.sandbox.world import World

# 2021-04-12 is what azure-iot-hub 2.7 asks with, 2024-03-31 what az's IoT extension does.
API_VERSIONS: Final = frozenset({"2021-04-12", "2024-03-31"})

Group = Literal["registry", "twin-read", "twin-write", "query", "configuration", "statistics"]
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Route:
    """One request that the hub answers: what it needs, and which throttle it counts against."""

    method: str
    path: str
    group: Group
    right: Right
    handler: Handler


class Throttle:
    """A token bucket for each group of requests; without a rate a group is not limited.

    The hub's own limits, which tests switch on: S1 takes 50 twin writes and 100 twin reads a second, 1.67 registry
    requests a second and unit, and 20 queries and 20 configuration requests a minute and unit.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._buckets: dict[str, tuple[float, float]] = {}
        self._settings: Mapping[str, Any] = {}
        self._load("throttle")
        world.store.watch("hub-setting", self._load)

    def _load(self, key: str) -> None:
        if key == "throttle":
            self._settings = self._world.store.get("hub-setting", "throttle") or {}
            self._buckets.clear()

    def take(self, group: Group) -> None:
        """Count a request. Raises HubError 429."""
        rate = self._settings.get("rates", {}).get(group)
        if rate is None:
            return
        now = time.monotonic()
        most = max(1.0, rate)
        tokens, since = self._buckets.get(group, (most, now))
        tokens = min(most, tokens + (now - since) * rate)
        if tokens < 1:
            self._buckets[group] = (tokens, now)
            after = self._settings.get("retry_after")
            headers = {} if after is None else {"Retry-After": str(after)}
            raise HubError(429, "ThrottlingException", "Throttling limit exceeded for this operation", headers=headers)
        self._buckets[group] = (tokens - 1, now)


def set_throttle(world: World, rates: Mapping[Group, float], *, retry_after: int | None = None) -> None:
    """Limit groups of requests to so many a second; an empty mapping switches all limits off."""
    world.store.put("hub-setting", "throttle", {"rates": dict(rates), "retry_after": retry_after})


def guarded(world: World, throttle: Throttle, route: Route) -> Handler:
    """The route's handler behind everything that is checked before a request is looked at."""

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


async def body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. Raises HubError 400."""
    try:
        data = json.loads(await request.read())
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
    """A JSON answer with its ETag."""
    return web.json_response(data, status=status, headers={"ETag": f'"{tag}"'})
