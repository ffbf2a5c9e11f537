"""The hub's documents in `World.store`, and how clients see them.

    kind            key     value
    hub:device      DEVICE  {"identity", "twin"}; small, so that a query over many devices reads little
    hub:modules     DEVICE  {MODULE: {"identity", "twin", "configurations"}}; one document, as a manifest is one change

Whoever must act on a change is told: `desired_changed` the simulated devices, `device_changed` the automatic
deployments.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final

from manifestgen.sandbox import faults
from manifestgen.sandbox.hub.auth import new_key
from manifestgen.sandbox.hub.errors import device_not_found, invalid, module_not_found
from manifestgen.sandbox.hub.twins import NEVER, Json, etag, new_twin, section_view, timestamp
from manifestgen.sandbox.world import World

AGENT: Final = "$edgeAgent"
EDGE_HUB: Final = "$edgeHub"

# Source: "Device identity properties" in learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_CHUNK: Final = 500


def _nobody(device_id: str) -> None:
    pass


class HubStore:
    """The documents of the simulated hub."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desired_changed: Callable[[str], None] = _nobody
        self.device_changed: Callable[[str], None] = _nobody
        # Counts writes: what was computed from all devices holds for as long as it stays the same.
        self.revision = 0
        self._agents_enabled = agents_enabled(world)
        world.store.watch("hub-agents", self._agents_switched)

    @property
    def now(self) -> str:
        """The time as the hub writes it."""
        return timestamp(self.world.now())

    def _agents_switched(self, key: str) -> None:
        self._agents_enabled = agents_enabled(self.world)
        self.revision += 1

    def find_device(self, device_id: str) -> Json | None:
        """A device's document, or None."""
        document: Json | None = self.world.store.get("hub:device", device_id)
        return document

    def device(self, device_id: str) -> Json:
        """A device's document. Raises HubError 404."""
        document = self.find_device(device_id)
        if document is None:
            raise device_not_found(device_id)
        return document

    def put_device(self, device_id: str, document: Json) -> None:
        """Write a device's document."""
        self.revision += 1
        self.world.store.put("hub:device", device_id, document)
        self.device_changed(device_id)

    def note_activity(self, device_id: str, document: Json) -> None:
        """The device has sent something; nobody needs to be told."""
        document["identity"]["activity"] = self.now
        self.world.store.put("hub:device", device_id, document)

    def delete_device(self, device_id: str) -> None:
        """Remove a device with all that belongs to it."""
        self.revision += 1
        for kind in ("hub:device", "hub:modules", "hub:agent", "hub:unsettled"):
            self.world.store.delete(kind, device_id)

    def modules(self, device_id: str) -> Json:
        """The documents of a device's modules, by module id."""
        return self.world.store.get("hub:modules", device_id) or {}

    def module(self, device_id: str, module_id: str) -> Json:
        """A module's document. Raises HubError 404."""
        self.device(device_id)
        document = self.modules(device_id).get(module_id)
        if document is None:
            raise module_not_found(device_id, module_id)
        return dict(document)

    def put_modules(self, device_id: str, modules: Json) -> None:
        """Write the documents of a device's modules."""
        self.revision += 1
        self.world.store.put("hub:modules", device_id, modules)

    def devices(self, after: str = "") -> Iterator[tuple[str, Json]]:
        """All devices after this id, in the order of their ids, read in chunks."""
        while True:
            chunk = list(self.world.store.items("hub:device", after=after, limit=_CHUNK))
            yield from chunk
            if len(chunk) < _CHUNK:
                return
            after = chunk[-1][0]

    def count(self) -> int:
        """How many devices there are."""
        return self.world.store.count("hub:device")

    def connected(self, device_id: str, document: Json) -> bool:
        """Whether the device is connected: an edge device with a running agent, not disabled and not cut off."""
        return (
            bool(document["identity"]["edge"])
            and document["identity"]["status"] == "enabled"
            and self._agents_enabled
            and faults.device_online(self.world, device_id)
        )


def agents_enabled(world: World) -> bool:
    """Whether edge devices run a simulated agent; without agents a device costs nothing but its rows."""
    return world.store.get("hub-agents", "disabled") is None


def enable_agents(world: World, enabled: bool) -> None:
    """Switch the simulated agents of all edge devices on or off."""
    if enabled:
        world.store.delete("hub-agents", "disabled")
    else:
        world.store.put("hub-agents", "disabled", True)


def check_id(name: str, value: Any) -> str:
    """The value if it is a device or module id. Raises HubError 400."""
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise invalid(
            f"{name} {value!r} must have 1 to 128 of the characters A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ '"
        )
    return value


def new_identity(time: str, authentication: Json, *, edge: bool = False) -> Json:
    """What a device and a module identity have in common."""
    return {
        "generationId": secrets.token_hex(9),
        "version": 1,
        "status": "enabled",
        "statusReason": None,
        "statusTime": NEVER,
        "activity": NEVER,
        "created": time,
        "authentication": authentication,
        "edge": edge,
        "scope": None,
        "parents": [],
    }


def new_device(device_id: str, time: str, authentication: Json, *, edge: bool) -> Json:
    """A device's first document; an edge device gets its scope, which nobody can choose or change."""
    identity = new_identity(time, authentication, edge=edge)
    if edge:
        identity["scope"] = f"ms-azure-iot-edge://{device_id}-{secrets.randbelow(10**18):018d}"
    return {"identity": identity, "twin": new_twin(time)}


def new_module(time: str, managed_by: str | None, authentication: Json | None = None) -> Json:
    """A module's first document. edgeAgent and edgeHub log in through the device's own key store: no keys."""
    identity = new_identity(time, authentication or sas_authentication())
    identity["managedBy"] = managed_by
    return {"identity": identity, "twin": new_twin(time), "configurations": {}}


def system_modules(time: str) -> Json:
    """The two modules that every edge device has from the start."""
    return {name: new_module(time, "iotEdge", {"type": "none"}) for name in (AGENT, EDGE_HUB)}


def sas_authentication(primary: str | None = None, secondary: str | None = None) -> Json:
    """Authentication by symmetric keys, made by the hub where none is given."""
    keys = {"primaryKey": primary or new_key(), "secondaryKey": secondary or new_key()}
    return {"type": "sas", "symmetricKey": keys}


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
    return view


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
    if document["configurations"]:
        view["configurations"] = {name: {"status": status} for name, status in document["configurations"].items()}
    return view


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
