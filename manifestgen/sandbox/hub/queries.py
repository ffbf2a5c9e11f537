"""Queries and statistics over all devices, without loading them into memory and without blocking other requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Iterator, Sequence

from aiohttp import web

from manifestgen.sandbox.hub import query
from manifestgen.sandbox.hub.auth import Right
from manifestgen.sandbox.hub.errors import invalid
from manifestgen.sandbox.hub.query_groups import Groups
from manifestgen.sandbox.hub.requests import Route, body
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.tally import Tallies
from manifestgen.sandbox.hub.twins import Json
from manifestgen.sandbox.hub.views import module_twin_view, twin_view

_PAGE = 100
_LARGEST_PAGE = 2000


def routes(store: HubStore, tallies: Tallies) -> Sequence[Route]:
    """Handlers for requests about many devices."""
    api = _Queries(store, tallies)
    return [
        Route("POST", "/devices/query", "query", Right.SERVICE_CONNECT, api.ask),
        Route("GET", "/statistics/devices", "statistics", Right.REGISTRY_READ, api.registry_statistics),
        Route("GET", "/statistics/service", "statistics", Right.SERVICE_CONNECT, api.service_statistics),
    ]


async def documents(
    store: HubStore, asked: query.Query, after: tuple[str, str] = ("", "")
) -> AsyncIterator[tuple[str, str, Json]]:
    """Device ID, module ID and twin of the devices or modules that a query may match, after this pair of IDs.

    Lets other requests run after every few hundred.
    """
    source, metadata = asked.source, asked.columns is None
    device_after, module_after = after
    # The last page may have ended within a device's modules.
    unfinished = store.find_device(device_after) if module_after else None
    if unfinished is not None:
        for entry in _documents_of(store, source, device_after, unfinished, metadata):
            if entry[1] > module_after:
                yield entry
    if "deviceId" in asked.only:
        for device_id in sorted(asked.only["deviceId"]):
            named = store.find_device(device_id) if device_id > device_after else None
            if named is not None:
                for entry in _documents_of(store, source, device_id, named, metadata):
                    yield entry
        return
    async for chunk in store.walk(device_after):
        for device_id, document in chunk:
            for entry in _documents_of(store, source, device_id, document, metadata):
                yield entry


def _documents_of(
    store: HubStore, source: str, device_id: str, document: Json, metadata: bool
) -> Iterator[tuple[str, str, Json]]:
    connected = store.connected(device_id, document)
    if source == "devices":
        yield device_id, "", twin_view(device_id, document, connected=connected, metadata=metadata)
        return
    for name, module in sorted(store.modules(device_id).items()):
        yield device_id, name, module_twin_view(device_id, name, module, connected=connected, metadata=metadata)


class _Queries:
    def __init__(self, store: HubStore, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies

    async def ask(self, request: web.Request) -> web.Response:
        text = (await body(request)).get("query")
        if not isinstance(text, str):
            raise invalid("BadRequest: query must be a string")
        try:
            asked = query.parse(text)
        except query.QueryError as error:
            raise invalid(f"BadRequest: {error}", "InvalidQuery") from error
        if asked.count is not None:
            found = await self._tallies.count([text])
            return _page([{asked.count: found[text]}], "raw", None)
        if asked.grouped:
            return await self._group(asked)
        return await self._find(asked, _page_size(request), _continuation(request))

    async def _find(self, asked: query.Query, size: int, after: tuple[str, str, int]) -> web.Response:
        """One page of the rows after these IDs, with the number of rows on earlier pages, which TOP counts."""
        found: list[Json] = []
        device_after, module_after, before = after
        async for device_id, module_id, document in documents(self._store, asked, (device_after, module_after)):
            if not asked.matches(document):
                continue
            if asked.top is not None and before + len(found) == asked.top:
                break
            if len(found) == size:
                return _page(found, _item_type(asked), (device_after, module_after, before + size))
            found.append(asked.project(document))
            device_after, module_after = device_id, module_id
        return _page(found, _item_type(asked), None)

    async def _group(self, asked: query.Query) -> web.Response:
        """All rows at once: there are few groups."""
        groups = Groups(asked.group or (), asked.project, asked.aggregates)
        async for _, _, document in documents(self._store, asked):
            if asked.matches(document):
                groups.add(document)
        return _page(groups.rows()[: asked.top], "raw", None)

    async def registry_statistics(self, request: web.Request) -> web.Response:
        every, off = "SELECT * FROM devices", "SELECT * FROM devices WHERE status = 'disabled'"
        found = await self._tallies.count([every, off])
        total, disabled = found[every], found[off]
        return web.json_response(
            {
                "totalDeviceCount": total,
                "enabledDeviceCount": total - disabled,
                "disabledDeviceCount": disabled,
            }
        )

    async def service_statistics(self, request: web.Request) -> web.Response:
        text = "SELECT * FROM devices WHERE connectionState = 'Connected'"
        return web.json_response({"connectedDeviceCount": (await self._tallies.count([text]))[text]})


def _item_type(asked: query.Query) -> str:
    return "twin" if asked.columns is None else "raw"


def _page(items: list[Json], kind: str, last: tuple[str, str, int] | None) -> web.Response:
    headers = {"x-ms-item-type": kind}
    if last is not None:
        headers["x-ms-continuation"] = base64.urlsafe_b64encode("/".join(map(str, last)).encode()).decode()
    return web.json_response(items, headers=headers)


def _page_size(request: web.Request) -> int:
    text = request.headers.get("x-ms-max-item-count", str(_PAGE))
    if not text.isdecimal() or int(text) == 0:
        raise invalid(f"BadRequest: x-ms-max-item-count {text!r} is not a positive number")
    return min(int(text), _LARGEST_PAGE)


def _continuation(request: web.Request) -> tuple[str, str, int]:
    token = request.headers.get("x-ms-continuation")
    if not token:
        return "", "", 0
    try:
        device_id, module_id, before = base64.b64decode(token, b"-_", validate=True).decode().split("/")
        return device_id, module_id, int(before)
    except (binascii.Error, ValueError):
        raise invalid("BadRequest: the continuation token is not one of this hub") from None
