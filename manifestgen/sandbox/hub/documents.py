"""The initial documents of the hub's devices and modules.

Source: "Device identity properties" in learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from manifestgen.sandbox.hub.auth import new_key
from manifestgen.sandbox.hub.errors import invalid
from manifestgen.sandbox.hub.twins import NEVER, Json, new_twin

AGENT: Final = "$edgeAgent"
EDGE_HUB: Final = "$edgeHub"

_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")


def check_id(name: str, value: Any) -> str:
    """The value, if it is a valid device or module ID. Raises HubError 400."""
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise invalid(
            f"{name} {value!r} must have 1 to 128 of the characters A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ '"
        )
    return value


def new_identity(time: str, authentication: Json, *, edge: bool = False) -> Json:
    """The common part of device and module identities."""
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
    """A device's initial document; an edge device gets a scope, which clients cannot choose or change."""
    identity = new_identity(time, authentication, edge=edge)
    if edge:
        identity["scope"] = f"ms-azure-iot-edge://{device_id}-{secrets.randbelow(10**18):018d}"
    return {"identity": identity, "twin": new_twin(time)}


def new_module(time: str, managed_by: str | None, authentication: Json | None = None) -> Json:
    """A module's initial document. edgeAgent and edgeHub use the device's own key store, so they have no keys."""
    identity = new_identity(time, authentication or sas_authentication())
    identity["managedBy"] = managed_by
    return {"identity": identity, "twin": new_twin(time), "configurations": {}}


def system_modules(time: str) -> Json:
    """The two modules of every new edge device."""
    return {name: new_module(time, "iotEdge", {"type": "none"}) for name in (AGENT, EDGE_HUB)}


def sas_authentication(primary: str | None = None, secondary: str | None = None) -> Json:
    """Authentication by symmetric keys; the hub generates missing keys."""
    keys = {"primaryKey": primary or new_key(), "secondaryKey": secondary or new_key()}
    return {"type": "sas", "symmetricKey": keys}
