"""Direct methods of simulated devices.

The `$edgeAgent` of a connected device supports `ping` and rejects every other method as unknown. Calls to modules that
run go to them through their edgeHub; those that are simulated run nothing, so calls to their methods get no response.

Sources: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods; the response for a disconnected device as in
Azure/azure-iot-cli-extension#54; edgeAgent's messages as in `RequestManager.cs` of Azure/iotedge.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox.device.edges import Edges
from manifestgen.sandbox.hub.auth import Right
from manifestgen.sandbox.hub.documents import AGENT
from manifestgen.sandbox.hub.errors import invalid
from manifestgen.sandbox.hub.requests import Route, body
from manifestgen.sandbox.hub.store import HubStore

_LOOK_EVERY: Final = 0.1
_NOT_CONNECTED: Final = 404103
_NO_ANSWER: Final = 504101


def routes(store: HubStore, edges: Edges) -> Sequence[Route]:
    """The request that invokes a method of a module."""
    path = "/twins/{id}/modules/{module}/methods"
    return [Route("POST", path, "method", Right.SERVICE_CONNECT, _Methods(store, edges).invoke)]


class _Methods:
    def __init__(self, store: HubStore, edges: Edges) -> None:
        self._store, self._edges = store, edges

    async def invoke(self, request: web.Request) -> web.Response:
        device_id, module = request.match_info["id"], request.match_info["module"]
        self._store.module(device_id, module)
        data = await body(request)
        name = data.get("methodName")
        if not isinstance(name, str) or not name:
            raise invalid("BadRequest: methodName is required")
        response = _seconds(data, "responseTimeoutInSeconds", 5, 30)
        patience = _seconds(data, "connectTimeoutInSeconds", 0, 0)
        if not await self._connects(device_id, patience):
            return _not_connected(patience)
        if module == AGENT:
            return web.json_response(_invoke(name))
        try:
            status, payload = await self._edges.invoke(device_id, module, name, data.get("payload"), patience, response)
        except LookupError:
            return _not_connected(patience)
        except TimeoutError:
            return _no_answer(response)
        return web.json_response({"status": status, "payload": payload})

    async def _connects(self, device_id: str, seconds: int) -> bool:
        """Whether the device is connected, or connects within this time."""
        deadline = time.monotonic() + seconds
        while not self._store.connected(device_id, self._store.device(device_id)):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY)
        return True


def _seconds(data: dict[str, Any], key: str, least: int, default: int) -> int:
    """A timeout; az sends it as a string."""
    value = data.get(key, default)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 300:
        raise invalid(f"BadRequest: {key} must be between {least} and 300")
    return value


def _invoke(name: str) -> dict[str, Any]:
    """EdgeAgent's response; method names ignore case."""
    if name.lower() == "ping":
        return {"status": 200, "payload": None}
    words = f"Command '{name}' not found. The supported commands are - ping"
    return {"status": 400, "payload": {"message": words}}


def _not_connected(seconds: int) -> web.Response:
    return _failed(404, _NOT_CONNECTED, "Timed out waiting for device to connect.", seconds)


def _no_answer(seconds: int) -> web.Response:
    return _failed(504, _NO_ANSWER, "Timed out waiting for the response from device.", seconds)


def _failed(status: int, code: int, message: str, seconds: int) -> web.Response:
    """The error as a JSON string inside the usual one: another part of the service handles methods."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    inner = {
        "errorCode": code,
        "trackingId": f"{uuid.uuid4().hex}-G:0-TimeStamp:{now}",
        "message": message,
        "info": {"timeout": f"00:{seconds // 60:02}:{seconds % 60:02}"},
        "timestampUtc": now,
    }
    return web.json_response({"Message": json.dumps(inner), "ExceptionMessage": ""}, status=status)
