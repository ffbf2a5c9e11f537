"""How edgeHub interprets its desired properties, and what it reports.

Two stages (Azure/iotedge: `TwinConfigSource.cs`, `ConfigUpdater.cs`): edgeHub reports 400 for routes that do not parse.
It checks types and functions in conditions only when it installs the routes, after it has reported 200; a mistake there
appears only in its log. A running edgeHub then keeps its old routes; one that never had any stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifestgen.manifest.reading import get
from manifestgen.sandbox.device.edge_agent import RUNTIME_VERSION
from manifestgen.sandbox.device.verdict import rejections
from manifestgen.sandbox.hub.twins import Json

_FAILED = "Error while parsing desired properties - "


@dataclass(frozen=True)
class Verdict:
    """EdgeHub's verdict on desired properties.

    Attributes:
        code: 200 or 400, as reported.
        description: the reason for 400.
        uncompiled: why it does not install the routes although it reported 200; empty if it does.
    """

    code: int
    description: str = ""
    uncompiled: str = ""


def judge(desired: Mapping[str, Any]) -> Verdict:
    """Evaluate desired properties as edgeHub does."""
    if not desired:
        return Verdict(400, description=_FAILED + "the schema version is missing")
    found = list(rejections("$edgeHub", desired))
    unread = [rejected.message for rejected in found if rejected.status == 400]
    if unread:
        return Verdict(400, description=_FAILED + unread[0])
    return Verdict(200, uncompiled="; ".join(rejected.message for rejected in found))


def routes(desired: Mapping[str, Any]) -> dict[str, str]:
    """Names and texts of the routes in accepted desired properties."""
    entries = get(desired, "routes") or {}
    return {name: str(get(entry, "route") if isinstance(entry, dict) else entry) for name, entry in entries.items()}


def reported(version: int, verdict: Verdict, clients: Json) -> Json:
    """The reported properties of `$edgeHub`."""
    return {
        "schemaVersion": "1.0",
        "version": RUNTIME_VERSION,
        "lastDesiredVersion": version,
        "lastDesiredStatus": {"code": verdict.code, "description": verdict.description},
        "clients": clients,
    }
