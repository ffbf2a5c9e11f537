"""Merges a manifest into a device's state: the file overrides what it names, the rest is kept.

It names modules, routes, registry credentials, properties of module twins. A named module is taken from the file, in
all fields that the runtime knows, so that a variable removed from the file is removed from the device; only fields
that the runtime does not know, and that IoT Hub would drop with the rest, are kept. Properties of a module twin
are merged one by one, since other tools write there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from manifestgen.compare.normal import (
    AGENT_KEYS,
    CREDENTIAL_KEYS,
    HUB_KEYS,
    MODULE_KEYS,
    ROUTE_KEYS,
    RUNTIME_KEYS,
    RUNTIME_SETTINGS,
    STORE_KEYS,
    SYSTEM_MODULES,
    is_option_key,
    normal,
    plain,
    renamed,
    same,
)
from manifestgen.compare.subject import Path, Subject, subjects
from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text
from manifestgen.manifest.section import DESIRED

#: The origin of a subject of the merged manifest; with `both`, file and device have it, and the file's is used.
Origin = Literal["file", "device", "both"]


@dataclass(frozen=True)
class Conflict:
    """File and device use the same name for different things; the file wins.

    Attributes:
        subject: `registry credential` or `route`.
        name: its name on the device.
        message: the difference and its resolution, without secrets.
    """

    subject: str
    name: str
    message: str


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        manifest: with the content of both, including passwords.
        origins: by kind and name of each subject, as in a `diff.Change`.
    """

    manifest: Manifest
    origins: Mapping[tuple[str, str], Origin]
    conflicts: tuple[Conflict, ...] = ()


def merge(file: Manifest, device: Manifest) -> Merged:
    """Merge a manifest into what a device has.

    The higher of two schema versions is used, since it supports both manifests; a route that is an object
    raises edgeHub's to 1.1. Merging the same file once more changes nothing.

    Args:
        file: not layered.
        device: the device's current manifest.
    """
    named, had = subjects(normal(file)), subjects(normal(device))
    same_address = _same_address(named, had)
    entries = _each(
        plain(file).entries,
        plain(device).entries,
        lambda name, one, two: _entry(name, one, two, same_address),
    )
    merged = Manifest.of({"modulesContent": entries})
    origins: dict[tuple[str, str], Origin] = {
        (subject.kind, subject.name): "device" if path not in named else "both" if path in had else "file"
        for path, subject in subjects(normal(merged)).items()
    }
    return Merged(merged, origins, tuple(_conflicts(named, had, same_address)))


def _entry(name: str, one: Any, two: Any, same_address: Collection[str]) -> Any:
    if not isinstance(one, dict) or not isinstance(two, dict):
        return one
    result = _over(one, two)
    mine, theirs = one.get(DESIRED), two.get(DESIRED, {})
    if isinstance(mine, dict) and isinstance(theirs, dict):
        if name == "$edgeAgent":
            result[DESIRED] = _agent(mine, theirs, same_address)
        elif name == "$edgeHub":
            result[DESIRED] = _hub(mine, theirs)
        else:
            result[DESIRED] = _deep(mine, theirs)
    return result


def _over(one: Mapping[str, Any], two: Mapping[str, Any], known: Collection[str] = ()) -> dict[str, Any]:
    """The file's object with the keys that only the device's has, except those that the runtime knows."""
    lower = {name.lower() for name in known}
    return {**one, **{key: value for key, value in two.items() if key not in one and key.lower() not in lower}}


def _each(one: Mapping[str, Any], two: Mapping[str, Any], join: Callable[[str, Any, Any], Any]) -> dict[str, Any]:
    """All named items of two objects, each of the file merged with that of the device."""
    # Joining with an empty object normalizes parts that only the file has, as in the next merge.
    return _over({key: join(key, value, two.get(key, {})) for key, value in one.items()}, two)


def _deep(one: Any, two: Any) -> Any:
    if isinstance(one, dict) and isinstance(two, dict):
        return _each(one, two, lambda _, mine, theirs: _deep(mine, theirs))
    return one


def _agent(one: dict[str, Any], two: dict[str, Any], same_address: Collection[str]) -> dict[str, Any]:
    one, two = renamed(one, AGENT_KEYS), renamed(two, AGENT_KEYS)
    result = _over(one, two)
    _set_version(result, one, two, schema_version.agent_accepts)
    _join(result, two, "runtime", lambda mine, theirs: _runtime(mine, theirs, same_address))
    _join(
        result,
        two,
        "systemModules",
        lambda mine, theirs: _each(renamed(mine, SYSTEM_MODULES), renamed(theirs, SYSTEM_MODULES), _module),
    )
    _join(result, two, "modules", lambda mine, theirs: _each(mine, theirs, _module))
    return result


def _runtime(one: dict[str, Any], two: dict[str, Any], same_address: Collection[str]) -> dict[str, Any]:
    one, two = renamed(one, RUNTIME_KEYS), renamed(two, RUNTIME_KEYS)
    result = _over(one, two)
    _join(result, two, "settings", lambda mine, theirs: _runtime_settings(mine, theirs, same_address))
    return result


def _runtime_settings(one: dict[str, Any], two: dict[str, Any], same_address: Collection[str]) -> dict[str, Any]:
    one, two = renamed(one, RUNTIME_SETTINGS), renamed(two, RUNTIME_SETTINGS)
    result = _over(one, two)
    _join(
        result,
        two,
        "registryCredentials",
        lambda mine, theirs: _each(
            mine,
            {key: entry for key, entry in theirs.items() if key not in same_address},
            lambda _, new, old: _fields(new, old, CREDENTIAL_KEYS),
        ),
    )
    return result


def _module(_: str, one: Any, two: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(two, dict):
        return one
    one, two = renamed(one, MODULE_KEYS), renamed(two, MODULE_KEYS)
    result = _over(one, two, MODULE_KEYS)
    _join(result, two, "settings", _settings)
    # A variable that the file does not name is dropped: only unknown fields of named ones are kept.
    _join(
        result,
        two,
        "env",
        lambda mine, theirs: {name: _fields(entry, theirs.get(name), ("value",)) for name, entry in mine.items()},
    )
    return result


def _settings(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    return _over(one, {key: value for key, value in two.items() if not is_option_key(key)}, ("image", "digest"))


def _hub(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    # edgeHub finds `schemaVersion` only in exactly this case.
    one, two = renamed(one, HUB_KEYS[1:]), renamed(two, HUB_KEYS[1:])
    result = _over(one, two)
    _set_version(result, one, two, lambda text: schema_version.hub_minor(text) is not None)
    _join(result, two, "routes", lambda mine, theirs: _each(mine, theirs, _route))
    _join(result, two, "storeAndForwardConfiguration", _store)
    routes = result.get("routes")
    if isinstance(routes, dict) and any(isinstance(route, dict) for route in routes.values()):
        version = as_text(result.get("schemaVersion"))
        if version is not None and schema_version.hub_minor(version) == 0:
            result["schemaVersion"] = schema_version.HUB_RECOMMENDED
    return result


def _route(_: str, one: Any, two: Any) -> Any:
    if isinstance(one, str) and isinstance(two, dict):
        joined = _over({"route": one}, two, ROUTE_KEYS)
        return joined if len(joined) > 1 else one
    return _fields(one, two, ROUTE_KEYS)


def _store(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    one, two = renamed(one, STORE_KEYS), renamed(two, STORE_KEYS)
    result = _over(one, two, STORE_KEYS)
    _join(result, two, "storeLimits", lambda mine, theirs: _over(mine, theirs, ("maxSizeBytes",)))
    return result


def _fields(one: Any, two: Any, known: Collection[str]) -> Any:
    return _over(one, two, known) if isinstance(one, dict) and isinstance(two, dict) else one


def _join(
    result: dict[str, Any],
    two: Mapping[str, Any],
    key: str,
    join: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> None:
    """Merge the values of a key if both are objects; otherwise the file's wins."""
    mine, theirs = result.get(key), two.get(key, {})
    if isinstance(mine, dict) and isinstance(theirs, dict) and mine is not theirs:
        result[key] = join(mine, theirs)


def _set_version(
    result: dict[str, Any], one: Mapping[str, Any], two: Mapping[str, Any], accepts: Callable[[str], bool]
) -> None:
    """The higher of two schema versions; the file's if they differ only in the third number."""
    mine, theirs = as_text(one.get("schemaVersion")), as_text(two.get("schemaVersion"))
    if mine is None or theirs is None or not accepts(mine) or not accepts(theirs):
        return
    if (schema_version.parse(theirs) or ())[:2] > (schema_version.parse(mine) or ())[:2]:
        result["schemaVersion"] = two["schemaVersion"]


def _credentials(parts: Mapping[Path, Subject]) -> dict[str, str]:
    """The addresses of registry credentials, by key."""
    return {
        part.name: part.value["address"]
        for part in parts.values()
        if part.kind == "registry credential"
        and isinstance(part.value, dict)
        and type(part.value.get("address")) is str
    }


def _same_address(named: Mapping[Path, Subject], had: Mapping[Path, Subject]) -> dict[str, str]:
    """Keys of the device's credentials for addresses that the file has a credential for, to the file's keys.

    With both, edgeAgent might use either.
    """
    mine = {address.upper(): key for key, address in _credentials(named).items()}
    keys = {part.name for part in named.values() if part.kind == "registry credential"}
    return {
        key: mine[address.upper()]
        for key, address in _credentials(had).items()
        if key not in keys and address.upper() in mine
    }


def _conflicts(
    named: Mapping[Path, Subject], had: Mapping[Path, Subject], same_address: Mapping[str, str]
) -> Iterator[Conflict]:
    mine = _credentials(named)
    for key, address in _credentials(had).items():
        if key in same_address:
            yield Conflict(
                "registry credential",
                key,
                f"the device's registry credential {key!r} has the same address as the file's {same_address[key]!r}, "
                "and edgeAgent might use either: the device's is dropped",
            )
        elif key in mine and mine[key].upper() != address.upper():
            yield Conflict(
                "registry credential",
                key,
                f"registry credential {key!r} is for {_shown(mine[key])} in the file and for {_shown(address)} on the "
                "device: the file's is used, and modules from the other registry are pulled without it",
            )
    for path, part in named.items():
        other = had.get(path)
        if part.kind == "route" and other is not None and not same(_route_of(part.value), _route_of(other.value)):
            yield Conflict("route", part.name, f"route {part.name!r} is different on the device: the file's is used")


def _route_of(value: Any) -> Any:
    if isinstance(value, str):
        return {"route": value}
    return {key: value[key] for key in ROUTE_KEYS if key in value} if isinstance(value, dict) else value


def _shown(address: str) -> str:
    # Some users write an address as `user:password@host`.
    return "a hidden address" if "@" in address else repr(address)
