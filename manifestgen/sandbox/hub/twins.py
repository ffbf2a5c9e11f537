"""The hub's twins: sections with versions, merge patches, metadata.

A section is stored as `{"value", "stamp", "version"}`. `stamp` says when each property was last written. It is
either a pair `[time, version]` for a whole value, or an object with one stamp per key and the object's own stamp under
`$`, which no key of a twin may contain. A section that was written in one go, as most are, therefore needs one stamp;
its `$metadata` is expanded when it is read.
Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Final

from manifestgen.manifest import pointer, twin
from manifestgen.sandbox.hub.errors import HubError, invalid

Json = dict[str, Any]

NEVER: Final = "0001-01-01T00:00:00Z"
MAX_TAGS_BYTES: Final = 8192


def timestamp(seconds: float) -> str:
    """Seconds since the epoch in the hub's form."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@lru_cache(4096)
def etag(version: int) -> str:
    """The ETag of a version."""
    return base64.b64encode(version.to_bytes(8, "big")).decode()


def new_section(time: str) -> Json:
    """An empty section."""
    return {"value": {}, "stamp": [time, 1], "version": 1}


def new_twin(time: str) -> Json:
    """The twin of a new identity."""
    return {"tags": {}, "desired": new_section(time), "reported": new_section(time), "version": 2}


def without_nulls(value: Any) -> Any:
    """The value as the hub stores it: a null deletes its key."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def replace_section(section: Json, value: Mapping[str, Any], time: str) -> Json:
    """The section with all properties replaced by these, which contain no nulls."""
    version = section["version"] + 1
    return {"value": value, "stamp": [time, version], "version": version}


def patch_section(section: Json, change: Mapping[str, Any], time: str) -> Json:
    """The section after a merge patch: objects are merged, null deletes, anything else replaces."""
    version = section["version"] + 1
    value, stamp = _patch(section["value"], section["stamp"], change, [time, version])
    return {"value": value, "stamp": stamp, "version": version}


def patch(value: Mapping[str, Any], change: Mapping[str, Any]) -> Json:
    """Apply a merge patch to a section without stamps, such as tags."""
    return _patch(value, [NEVER, 0], change, [NEVER, 0])[0]


def report(twin: Json, change: Mapping[str, Any], time: str) -> Json:
    """The twin with a merge patch of its reported properties. Raises HubError if the hub rejects it."""
    section = patch_section(twin["reported"], change, time)
    check_section("reported", section["value"])
    return {**twin, "reported": section, "version": twin["version"] + 1}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The merge patch that turns `old` into `new`."""
    change: Json = {key: None for key in old if new.get(key) is None}
    for key, value in new.items():
        if value is None or (key in old and old[key] == value):
            continue
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            change[key] = difference(old[key], value)
        else:
            change[key] = value
    return change


def _patch(value: Mapping[str, Any], stamp: Any, change: Mapping[str, Any], now: list[Any]) -> tuple[Json, Any]:
    result = dict(value)
    stamps = dict(stamp) if isinstance(stamp, dict) else dict.fromkeys(value, stamp)
    stamps["$"] = now
    for key, item in change.items():
        if item is None:
            result.pop(key, None)
            stamps.pop(key, None)
        elif isinstance(item, dict) and isinstance(result.get(key), dict):
            result[key], stamps[key] = _patch(result[key], stamps[key], item, now)
        else:
            result[key], stamps[key] = without_nulls(item), now
    return result, stamps


def section_view(section: Json, *, metadata: bool = True, versions: bool = False) -> Json:
    """A section for clients, with `$version` and optional `$metadata`, which has versions for desired properties."""
    view = dict(section["value"])
    if metadata:
        view["$metadata"] = _metadata(section["value"], section["stamp"], versions=versions)
    view["$version"] = section["version"]
    return view


def _metadata(value: Any, stamp: Any, *, versions: bool) -> Json:
    own = stamp["$"] if isinstance(stamp, dict) else stamp
    view: Json = {"$lastUpdated": own[0]}
    if versions:
        view["$lastUpdatedVersion"] = own[1]
    if isinstance(value, dict):
        for key, item in value.items():
            inner = stamp[key] if isinstance(stamp, dict) else stamp
            view[key] = _metadata(item, inner, versions=versions)
    return view


def without_system(value: Any) -> Any:
    """A section that a client sends back, without the hub's own `$metadata` and `$version`."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in ("$metadata", "$version")}
    return value


def check_section(name: str, value: Any) -> None:
    """Raise HubError unless the value is valid as a twin's `tags`, `desired` or `reported` properties."""
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    for violation in twin.violations(value):
        if not violation.pointer:
            continue  # the total size, which has its own error code
        if not violation.at_key and isinstance(_lookup(value, violation.pointer), str):
            words = f"Property or Tag value should be maximum {twin.MAX_STRING_BYTES} bytes"
            raise invalid(f"{words} ({name}{violation.pointer})")
        raise invalid(f"{name}{violation.pointer}: {violation.message}")
    limit = MAX_TAGS_BYTES if name == "tags" else twin.MAX_DESIRED_BYTES
    if twin.size(value) > limit:
        section = "Tags" if name == "tags" else f"Properties.{name.capitalize()}"
        raise HubError(403, "DeviceModelMaxPropertiesExceeded", f"'{section}' size should be less than {limit} bytes")


def _lookup(value: Any, at: str) -> Any:
    for key in pointer.split(at):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
