"""The hub's documents as clients see them: identities and twins of devices and modules."""

from __future__ import annotations

from collections.abc import Mapping

from manifestgen.sandbox.hub.twins import NEVER, Json, etag, section_view


def device_view(device_id: str, document: Json, *, connected: bool) -> Json:
    """A device identity as `GET /devices/ID` shows it."""
    identity = document["identity"]
    view = {
        "deviceId": device_id,
        "generationId": identity["generationId"],
        "etag": etag(identity["version"]),
        **_connection(identity, connected),
        "status": identity["status"],
        "statusReason": identity["statusReason"],
        "statusUpdatedTime": identity["statusTime"],
        "lastActivityTime": identity["activity"],
        "cloudToDeviceMessageCount": 0,
        "authentication": _authentication(identity["authentication"]),
        "capabilities": {"iotEdge": identity["edge"]},
    }
    if identity["scope"]:
        view["deviceScope"] = identity["scope"]
    if identity["parents"]:
        view["parentScopes"] = identity["parents"]
    return view


def module_view(device_id: str, module_id: str, document: Json, *, connected: bool) -> Json:
    """A module identity as `GET /devices/ID/modules/MODULE` shows it."""
    identity = document["identity"]
    return {
        "moduleId": module_id,
        "managedBy": identity["managedBy"],
        "deviceId": device_id,
        "generationId": identity["generationId"],
        "etag": etag(identity["version"]),
        **_connection(identity, connected),
        "lastActivityTime": identity["activity"],
        "cloudToDeviceMessageCount": 0,
        "authentication": _authentication(identity["authentication"]),
    }


def _connection(identity: Json, connected: bool) -> Json:
    return {
        "connectionState": "Connected" if connected else "Disconnected",
        "connectionStateUpdatedTime": identity["created"] if connected else NEVER,
    }


def _authentication(authentication: Json) -> Json:
    empty = {"primaryKey": None, "secondaryKey": None}
    thumbprint = {"primaryThumbprint": None, "secondaryThumbprint": None}
    return {"symmetricKey": empty, "x509Thumbprint": thumbprint, **authentication}


def twin_view(device_id: str, document: Json, *, connected: bool, metadata: bool = True) -> Json:
    """A device twin as `GET /twins/ID` shows it."""
    identity = document["identity"]
    view = {
        "deviceId": device_id,
        **_twin_head(identity, document["twin"], connected),
        "authenticationType": identity["authentication"]["type"],
        "capabilities": {"iotEdge": identity["edge"]},
        "tags": document["twin"]["tags"],
        "properties": _properties(document["twin"], metadata),
    }
    if identity["scope"]:
        view["deviceScope"] = identity["scope"]
    if identity["parents"]:
        view["parentScopes"] = identity["parents"]
    return view | _configurations(document.get("settings", {}))


def module_twin_view(device_id: str, module_id: str, document: Json, *, connected: bool, metadata: bool = True) -> Json:
    """A module twin as `GET /twins/ID/modules/MODULE` shows it."""
    identity = document["identity"]
    view = {
        "deviceId": device_id,
        "moduleId": module_id,
        **_twin_head(identity, document["twin"], connected),
        "authenticationType": identity["authentication"]["type"],
        "tags": document["twin"]["tags"],
        "properties": _properties(document["twin"], metadata),
    }
    return view | _configurations({**document["configurations"], **document.get("settings", {})})


def _configurations(statuses: Mapping[str, str]) -> Json:
    shown = {name: {"status": status} for name, status in statuses.items()}
    return {"configurations": shown} if shown else {}


def _twin_head(identity: Json, twin: Json, connected: bool) -> Json:
    return {
        "etag": etag(twin["version"]),
        "deviceEtag": etag(identity["version"]),
        "status": identity["status"],
        "statusUpdateTime": identity["statusTime"],
        "connectionState": "Connected" if connected else "Disconnected",
        "lastActivityTime": identity["activity"],
        "cloudToDeviceMessageCount": 0,
        "version": twin["version"],
    }


def _properties(twin: Json, metadata: bool) -> Json:
    return {
        name: section_view(twin[name], metadata=metadata, versions=name == "desired")
        for name in ("desired", "reported")
    }
