"""Device and module twins: read, patch, replace.

Source: learn.microsoft.com/rest/api/iothub/service/devices/update-twin and its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from manifestgen.sandbox.hub.auth import Right
from manifestgen.sandbox.hub.documents import AGENT, EDGE_HUB
from manifestgen.sandbox.hub.errors import invalid
from manifestgen.sandbox.hub.requests import Route, body, check_match, tagged
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import (
    Json,
    check_section,
    etag,
    patch,
    patch_section,
    replace_section,
    without_nulls,
    without_system,
)
from manifestgen.sandbox.hub.views import module_twin_view, twin_view


def routes(store: HubStore) -> Sequence[Route]:
    """Handlers for twins."""
    right = Right.SERVICE_CONNECT
    api = _Twins(store)
    return [
        Route("GET", "/twins/{id}", "twin-read", right, api.get),
        Route("PATCH", "/twins/{id}", "twin-write", right, api.update),
        Route("PUT", "/twins/{id}", "twin-write", right, api.update),
        Route("GET", "/twins/{id}/modules/{module}", "twin-read", right, api.get_module),
        Route("PATCH", "/twins/{id}/modules/{module}", "twin-write", right, api.update_module),
        Route("PUT", "/twins/{id}/modules/{module}", "twin-write", right, api.update_module),
    ]


class _Twins:
    def __init__(self, store: HubStore) -> None:
        self._store = store

    async def get(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        return self._respond(device_id, self._store.device(device_id))

    async def update(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        document = self._store.device(device_id)
        check_match(request, document["twin"]["version"])
        document["twin"] = changed(document["twin"], await body(request), request.method, self._store.now)
        self._store.put_device(device_id, document)
        return self._respond(device_id, document)

    def _respond(self, device_id: str, document: Json) -> web.Response:
        view = twin_view(device_id, document, connected=self._store.connected(device_id, document))
        return tagged(view, etag(document["twin"]["version"]))

    async def get_module(self, request: web.Request) -> web.Response:
        device_id, module_id = request.match_info["id"], request.match_info["module"]
        return self._respond_module(device_id, module_id, self._store.module(device_id, module_id))

    async def update_module(self, request: web.Request) -> web.Response:
        device_id, module_id = request.match_info["id"], request.match_info["module"]
        document = self._store.module(device_id, module_id)
        check_match(request, document["twin"]["version"])
        document["twin"] = changed(document["twin"], await body(request), request.method, self._store.now)
        self._store.put_modules(device_id, {**self._store.modules(device_id), module_id: document})
        self._store.device_changed(device_id)
        if module_id in (AGENT, EDGE_HUB):
            self._store.desired_changed(device_id)
        return self._respond_module(device_id, module_id, document)

    def _respond_module(self, device_id: str, module_id: str, document: Json) -> web.Response:
        connected = self._store.connected(device_id, self._store.device(device_id))
        view = module_twin_view(device_id, module_id, document, connected=connected)
        return tagged(view, etag(document["twin"]["version"]))


def changed(twin: Json, data: Json, method: str, time: str) -> Json:
    """The twin after a PATCH, which merges tags and desired properties, or a PUT, which replaces both.

    The body may contain what the hub owns (`reported`, `etag`, `version`, …), because clients send back what they
    read; it has no effect. Raises HubError.
    """
    properties = _object(data, "properties") or {}
    desired, tags = without_system(_object(properties, "desired")), _object(data, "tags")
    if method == "PUT":
        desired, tags = desired or {}, tags or {}
    result = {**twin, "version": twin["version"] + 1}
    if desired is not None:
        if method == "PUT":
            result["desired"] = replace_section(twin["desired"], without_nulls(desired), time)
        else:
            result["desired"] = patch_section(twin["desired"], desired, time)
        check_section("desired", result["desired"]["value"])
    if tags is not None:
        result["tags"] = without_nulls(tags) if method == "PUT" else patch(twin["tags"], tags)
        check_section("tags", result["tags"])
    return result


def _object(data: Json, name: str) -> Json | None:
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"BadRequest: {name} must be an object")
    return value
