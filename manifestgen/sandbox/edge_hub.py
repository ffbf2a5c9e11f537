"""What edgeHub makes of its desired properties, and what it reports.

Two stages (Azure/iotedge: `TwinConfigSource.cs`, `ConfigUpdater.cs`): routes that cannot be parsed are refused with
400; types and functions in their conditions are looked at only when the routes are installed, after 200 was reported,
and a mistake there is written to edgeHub's log and nowhere else. A running edgeHub then keeps its old routes; one that
never had any stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifestgen.manifest import route, schema_version
from manifestgen.manifest.reading import as_text, get, is_blank
from manifestgen.sandbox.edge_agent import RUNTIME_VERSION
from manifestgen.sandbox.hub_twins import Json

_FAILED = "Error while parsing desired properties - "


@dataclass(frozen=True)
class Verdict:
    """What edgeHub answers to desired properties.

    Attributes:
        code: 200 or 400, as reported.
        description: the reason for 400.
        routes: name and text of those that it would install; empty at 400.
        uncompiled: why it does not install them although it reported 200; empty if it does.
    """

    code: int
    description: str
    routes: Mapping[str, str]
    uncompiled: str = ""


class _Refused(Exception):
    pass


def judge(desired: Mapping[str, Any]) -> Verdict:
    """Read desired properties as edgeHub does."""
    try:
        _check_shape(desired)
        routes = dict(_routes(desired))
        parsed = {name: _parse(name, text) for name, text in routes.items()}
    except _Refused as error:
        return Verdict(400, f"{_FAILED}{error}", {})
    problems = [f"route {name}: {found}" for name, tree in parsed.items() for found in route.compile_check(tree)]
    return Verdict(200, "", routes, "; ".join(problems))


def _check_shape(desired: Mapping[str, Any]) -> None:
    # EdgeHubConfigParser looks this one name up with its case.
    version = as_text(desired.get("schemaVersion"))
    minor = None if version is None else schema_version.hub_minor(version)
    if minor is None:
        raise _Refused(f"Unsupported or missing schema version {version or ''}".rstrip())
    if minor == 0:
        if any(not isinstance(entry, str | None) for entry in (get(desired, "routes") or {}).values()):
            raise _Refused("Error reading string. Unexpected token: StartObject")
        return
    for name in ("routes", "storeAndForwardConfiguration"):
        if not isinstance(get(desired, name), dict):
            raise _Refused(f"Value cannot be null. (Parameter '{name}')")


def _routes(desired: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, entry in (get(desired, "routes") or {}).items():
        text = get(entry, "route") if isinstance(entry, dict) else entry
        if isinstance(entry, str) and is_blank(entry) and str(desired["schemaVersion"]).startswith("1.0"):
            continue
        if not isinstance(text, str) or is_blank(text):
            raise _Refused(f"Malformed route specification {name}")
        if isinstance(entry, dict):
            _check_numbers(name, entry)
        yield name, text


def _check_numbers(name: str, entry: Mapping[str, Any]) -> None:
    priority, seconds = get(entry, "priority"), get(entry, "timeToLiveSecs")
    if priority is not None and priority != 2_000_000_000 and not (isinstance(priority, int) and 0 <= priority <= 9):
        raise _Refused(f"Priority of route {name} must be between 0 and 9")
    if seconds is not None and not (isinstance(seconds, int) and 0 <= seconds < 2**32):
        raise _Refused(f"timeToLiveSecs of route {name} is not an unsigned number")


def _parse(name: str, text: str) -> route.Route:
    try:
        return route.parse(text)
    except route.RouteSyntaxError as error:
        raise _Refused(f"Error parsing route {name} - {error.what}") from error


def reported(version: int, verdict: Verdict, clients: Json) -> Json:
    """The reported properties of `$edgeHub`."""
    return {
        "schemaVersion": "1.0",
        "version": RUNTIME_VERSION,
        "lastDesiredVersion": version,
        "lastDesiredStatus": {"code": verdict.code, "description": verdict.description},
        "clients": clients,
    }
