"""Device and module identities: create, read, update, delete, list.

Source: learn.microsoft.com/rest/api/iothub/service/devices and …/modules.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from manifestgen.sandbox.hub.auth import Right
from manifestgen.sandbox.hub.documents import check_id, new_device, new_module, sas_authentication, system_modules
from manifestgen.sandbox.hub.errors import HubError, invalid
from manifestgen.sandbox.hub.requests import Route, body, check_match, tagged
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, etag
from manifestgen.sandbox.hub.views import device_view, module_view

# "GET /devices" never returns more than this.
_MOST_DEVICES = 1000
_MOST_MODULES = 50


def routes(store: HubStore) -> Sequence[Route]:
    """Handlers for identities."""
    read, write = Right.REGISTRY_READ, Right.REGISTRY_WRITE
    api = _Identities(store)
    return [
        Route("GET", "/devices", "registry", read, api.list_devices),
        Route("GET", "/devices/", "registry", read, api.list_devices),  # Node's SDK adds a slash
        Route("GET", "/devices/{id}", "registry", read, api.get_device),
        Route("PUT", "/devices/{id}", "registry", write, api.put_device),
        Route("DELETE", "/devices/{id}", "registry", write, api.delete_device),
        Route("GET", "/devices/{id}/modules", "registry", read, api.list_modules),
        Route("GET", "/devices/{id}/modules/{module}", "registry", read, api.get_module),
        Route("PUT", "/devices/{id}/modules/{module}", "registry", write, api.put_module),
        Route("DELETE", "/devices/{id}/modules/{module}", "registry", write, api.delete_module),
    ]


class _Identities:
    def __init__(self, store: HubStore) -> None:
        self._store = store

    async def list_devices(self, request: web.Request) -> web.Response:
        try:
            top = int(request.query.get("top", _MOST_DEVICES))
        except ValueError:
            raise invalid("BadRequest: top must be a number") from None
        found = self._store.chunk(size=max(0, min(top, _MOST_DEVICES)))
        return web.json_response([self._view(device_id, document) for device_id, document in found])

    async def get_device(self, request: web.Request) -> web.Response:
        return self._respond(request.match_info["id"], self._store.device(request.match_info["id"]))

    async def put_device(self, request: web.Request) -> web.Response:
        device_id = check_id("deviceId", request.match_info["id"])
        data = await body(request)
        if data.get("deviceId", device_id) != device_id:
            raise invalid(f"BadRequest: the body is about device {data['deviceId']!r}")
        document = self._store.find_device(device_id)
        if "If-Match" not in request.headers:
            if document is not None:
                raise HubError(409, "DeviceAlreadyExists", f"A device with ID '{device_id}' is already registered.")
            return self._create(device_id, data)
        if document is None:
            document = self._store.device(device_id)
        check_match(request, document["identity"]["version"])
        return self._update(device_id, document, data)

    def _create(self, device_id: str, data: Json) -> web.Response:
        edge = _edge(data)
        document = new_device(device_id, self._store.now, _authentication(data), edge=edge)
        self._change(document["identity"], data, edge=edge)
        if edge:
            self._store.put_modules(device_id, system_modules(self._store.now))
        self._store.put_device(device_id, document)
        if edge:
            self._store.desired_changed(device_id)
        return self._respond(device_id, document)

    def _update(self, device_id: str, document: Json, data: Json) -> web.Response:
        identity = document["identity"]
        edge = _edge(data)
        scope = data.get("deviceScope")
        if identity["edge"] and scope and scope != identity["scope"]:
            raise invalid("BadRequest: the deviceScope of an edge device cannot be changed")
        if edge and not identity["edge"]:
            identity["edge"] = True
            identity["scope"] = new_device(device_id, self._store.now, {}, edge=True)["identity"]["scope"]
            self._store.put_modules(device_id, {**system_modules(self._store.now), **self._store.modules(device_id)})
        elif identity["edge"] and not edge:
            raise invalid("BadRequest: an edge device cannot become another kind of device")
        if "authentication" in data:
            identity["authentication"] = _authentication(data)
        self._change(identity, data, edge=edge)
        identity["version"] += 1
        self._store.put_device(device_id, document)
        self._store.desired_changed(device_id)
        return self._respond(device_id, document)

    def _change(self, identity: Json, data: Json, *, edge: bool) -> None:
        status = data.get("status") or "enabled"
        if status not in ("enabled", "disabled"):
            raise invalid(f"BadRequest: status must be enabled or disabled, not {status!r}")
        if status != identity["status"]:
            identity["statusTime"] = self._store.now
        identity["status"], identity["statusReason"] = status, data.get("statusReason")
        parents = data.get("parentScopes") or []
        if not edge and data.get("deviceScope"):
            identity["scope"] = data["deviceScope"]
            parents = parents or [data["deviceScope"]]
        if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents) or len(parents) > 1:
            raise invalid("BadRequest: parentScopes must be a list with one scope")
        for parent in parents:
            self._check_parent(parent)
        identity["parents"] = parents

    def _check_parent(self, scope: str) -> None:
        parent_id = scope.removeprefix("ms-azure-iot-edge://").rpartition("-")[0]
        parent = self._store.find_device(parent_id)
        if parent is None or parent["identity"]["scope"] != scope:
            raise invalid(f"Invalid device scope {scope}: no edge device has it", "InvalidDeviceScope")

    async def delete_device(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        document = self._store.device(device_id)
        check_match(request, document["identity"]["version"], required=True)
        self._store.delete_device(device_id)
        return web.Response(status=204)

    def _view(self, device_id: str, document: Json) -> Json:
        return device_view(device_id, document, connected=self._store.connected(device_id, document))

    def _respond(self, device_id: str, document: Json) -> web.Response:
        return tagged(self._view(device_id, document), etag(document["identity"]["version"]))

    async def list_modules(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        device = self._store.device(device_id)
        connected = self._store.connected(device_id, device)
        return web.json_response(
            [
                module_view(device_id, name, document, connected=connected)
                for name, document in sorted(self._store.modules(device_id).items())
            ]
        )

    async def get_module(self, request: web.Request) -> web.Response:
        device_id, module_id = request.match_info["id"], request.match_info["module"]
        return self._respond_module(device_id, module_id, self._store.module(device_id, module_id))

    async def put_module(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        module_id = check_id("moduleId", request.match_info["module"])
        data = await body(request)
        if (data.get("deviceId", device_id), data.get("moduleId", module_id)) != (device_id, module_id):
            raise invalid("BadRequest: the body is about another module")
        self._store.device(device_id)
        modules = self._store.modules(device_id)
        if "If-Match" not in request.headers:
            if module_id in modules:
                words = f"A module with ID '{module_id}' is already registered for device '{device_id}'."
                raise HubError(409, "ModuleAlreadyExistsOnDevice", words)
            if len(modules) >= _MOST_MODULES:
                raise HubError(403, "MaximumModulesOnDeviceExceeded", f"A device has at most {_MOST_MODULES} modules.")
            document = new_module(self._store.now, data.get("managedBy"), _authentication(data))
            status = 201
        else:
            document = self._store.module(device_id, module_id)
            check_match(request, document["identity"]["version"])
            document["identity"]["version"] += 1
            document["identity"]["managedBy"] = data.get("managedBy", document["identity"]["managedBy"])
            if "authentication" in data:
                document["identity"]["authentication"] = _authentication(data)
            status = 200
        self._store.put_modules(device_id, {**modules, module_id: document})
        self._store.device_changed(device_id)
        return self._respond_module(device_id, module_id, document, status)

    async def delete_module(self, request: web.Request) -> web.Response:
        device_id, module_id = request.match_info["id"], request.match_info["module"]
        document = self._store.module(device_id, module_id)
        check_match(request, document["identity"]["version"], required=True)
        if module_id.startswith("$"):
            raise invalid(f"BadRequest: module {module_id} belongs to the device and cannot be deleted")
        modules = self._store.modules(device_id)
        del modules[module_id]
        self._store.put_modules(device_id, modules)
        return web.Response(status=204)

    def _respond_module(self, device_id: str, module_id: str, document: Json, status: int = 200) -> web.Response:
        connected = self._store.connected(device_id, self._store.device(device_id))
        view = module_view(device_id, module_id, document, connected=connected)
        return tagged(view, etag(document["identity"]["version"]), status)


def _edge(data: Json) -> bool:
    capabilities = data.get("capabilities") or {}
    edge = capabilities.get("iotEdge") if isinstance(capabilities, dict) else capabilities
    if edge not in (None, True, False):
        raise invalid("BadRequest: capabilities.iotEdge must be true or false")
    return bool(edge)


def _authentication(data: Json) -> Json:
    given = data.get("authentication") or {}
    if not isinstance(given, dict):
        raise invalid("BadRequest: authentication must be an object")
    kind = given.get("type") or "sas"
    if kind == "sas":
        keys = given.get("symmetricKey") or {}
        for name in ("primaryKey", "secondaryKey"):
            _check_key(name, keys.get(name))
        return sas_authentication(keys.get("primaryKey"), keys.get("secondaryKey"))
    if kind == "selfSigned":
        return {"type": kind, "x509Thumbprint": given.get("x509Thumbprint")}
    if kind in ("certificateAuthority", "none"):
        return {"type": kind}
    raise invalid(f"BadRequest: authentication type {kind!r} is not known")


def _check_key(name: str, key: Any) -> None:
    if key in (None, ""):  # Node's SDK asks for a new key with an empty one
        return
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, TypeError, ValueError):
        size = 0
    if not 16 <= size <= 64:
        raise invalid(f"BadRequest: {name} must be 16 to 64 bytes in base64")
