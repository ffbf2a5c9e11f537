"""Deployment content: what the hub accepts, and its effect on a device's modules.

Source: the manifest's envelope in learn.microsoft.com/azure/iot-edge/module-composition, layers in
…/how-to-deploy-cli-at-scale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from manifestgen.sandbox.hub.documents import AGENT, EDGE_HUB, check_id, new_module, system_modules
from manifestgen.sandbox.hub.errors import HubError, invalid
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, check_section, replace_section, without_nulls, without_system

DESIRED: Final = "properties.desired"
_CODE: Final = "InvalidConfigurationContent"

# Desired properties by module.
Desired = dict[str, Json]


def check_content(content: Any, *, layered: bool) -> Json:
    """The `modulesContent` of a deployment. Raises HubError 400 or 403.

    Args:
        content: the client's content.
        layered: whether keys below `properties.desired` are allowed: in automatic deployments, not for one device.
    """
    if not isinstance(content, dict):
        raise invalid("the content is not an object", _CODE)
    for other in ("deviceContent", "moduleContent"):
        if content.get(other):
            raise invalid(f"{other} cannot be combined with modulesContent, nor applied to one device", _CODE)
    unknown = set(content) - {"modulesContent", "deviceContent", "moduleContent"}
    if unknown:
        raise invalid(f"unknown property {sorted(unknown)[0]!r}", _CODE)
    modules = content.get("modulesContent")
    if not isinstance(modules, dict) or not modules:
        raise invalid("modulesContent is missing or not an object", _CODE)
    for name, entry in modules.items():
        _check_entry(name, entry, layered=layered)
    return modules


def _check_entry(name: str, entry: Any, *, layered: bool) -> None:
    try:
        check_id("moduleId", name)
    except HubError as error:
        raise invalid(error.message, _CODE) from error
    if not isinstance(entry, dict):
        raise invalid(f"the content of module {name} is not an object", _CODE)
    for key, value in entry.items():
        if key != DESIRED and not (layered and key.startswith(f"{DESIRED}.") and all(key.split("."))):
            raise invalid(f"{key!r} of module {name} is not a path below {DESIRED}", _CODE)
        if key == DESIRED and not isinstance(value, dict):
            raise invalid(f"{DESIRED} of module {name} is not an object", _CODE)
    if DESIRED in entry:
        check_section("desired", without_system(entry[DESIRED]))


def is_layer(modules: Mapping[str, Json]) -> bool:
    """Whether this is a layer: a key is below `properties.desired`, or edgeAgent's own properties are not all given."""
    agent = modules.get(AGENT, {})
    return DESIRED not in agent or any(key != DESIRED for entry in modules.values() for key in entry)


def compose(base: Mapping[str, Json], layers: Sequence[Mapping[str, Json]]) -> Desired:
    """The combined desired properties of a base deployment and its layers, lowest priority first."""
    result: Desired = {}
    for modules in (base, *layers):
        for name, entry in modules.items():
            for key in sorted(entry, key=len):  # a whole section before its parts
                value = without_nulls(entry[key])
                if key == DESIRED:
                    result[name] = dict(without_system(value))
                else:
                    set_at(result.setdefault(name, {}), key.split(".")[2:], value)
    return result


def set_at(target: Json, path: Sequence[str], value: Any) -> None:
    """Set the value at a path in desired properties; None deletes it."""
    for key in path[:-1]:
        inner = target.get(key)
        target[key] = dict(inner) if isinstance(inner, dict) else {}
        target = target[key]
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value


def whole(modules: Mapping[str, Json]) -> Desired:
    """The desired properties in a manifest for one device; an entry without any leaves its module unchanged."""
    return {name: without_nulls(without_system(entry[DESIRED])) for name, entry in modules.items() if DESIRED in entry}


def fingerprint(desired: Mapping[str, Json]) -> str:
    """SHA-256 of desired properties by module, as compact JSON with sorted keys, without nulls and empty modules."""
    kept = {name: value for name, value in desired.items() if value}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def put_content(
    store: HubStore, device_id: str, desired: Desired, *, statuses: Mapping[str, str] | None = None
) -> bool:
    """Replace desired properties of a device's modules. Creates modules that are named, removes those no longer named.

    Args:
        store: the hub's store.
        device_id: an edge device.
        desired: the new properties by module, without nulls; twins of other modules do not change.
        statuses: statuses of the automatic deployments that target the device; None keeps the current ones.

    Returns:
        Whether anything changed.
    """
    modules = store.modules(device_id)
    kept = {name: document for name, document in modules.items() if _stays(name, document, desired)}
    time = store.now
    named = {**dict.fromkeys(_deployed(desired)), **dict.fromkeys(desired)}
    missing = {name: new_module(time, "iotEdge") for name in named if name not in kept}
    result = {**system_modules(time), **kept, **missing} if missing.keys() & {AGENT, EDGE_HUB} else {**kept, **missing}
    different = result.keys() != modules.keys()
    for name, value in desired.items():
        document = result[name]
        if statuses is not None and document["twin"]["desired"]["value"] == value:
            continue  # an automatic deployment that is already in place does not write again
        twin = document["twin"]
        changed = {**twin, "desired": replace_section(twin["desired"], value, time), "version": twin["version"] + 1}
        result[name] = {**document, "twin": changed}
        different = True
    if statuses is not None and result[AGENT]["configurations"] != statuses:
        result[AGENT] = {**result[AGENT], "configurations": dict(statuses)}
        different = True
    if different:
        store.put_modules(device_id, result)
    return different


def _deployed(desired: Desired) -> list[str]:
    """The user modules in edgeAgent's desired properties whose names are valid module IDs."""
    modules = desired.get(AGENT, {}).get("modules")
    if not isinstance(modules, dict):
        return []
    return [name for name in modules if name not in (AGENT, EDGE_HUB)]


def _stays(name: str, document: Json, desired: Desired) -> bool:
    if AGENT not in desired or name.startswith("$") or document["identity"]["managedBy"] != "iotEdge":
        return True
    return name in desired or name in _deployed(desired)
