"""The normal form of a manifest's content: whatever means the same to the device has the same value.

People, tools and IoT Hub write one manifest in many ways: createOptions as an object, a text or chunks of it; the names
of properties and the words of enumerations in any case; defaults written out or left out. `normal` takes all of that
away and nothing else: what the runtime does not know is kept as it is. `plain` takes away only what IoT Hub adds or
drops by itself.

Sources: Agent.Docker (DockerModule, DockerConfig, EdgeAgentDockerModule, EdgeHubDockerModule, DockerRuntimeConfig),
Agent.Core (Constants, EnvVal) and Hub.Core (RouteSpec, EdgeHubConfigParser) of the runtime, version 1.6.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from manifestgen.compare.options import Options, normal_options
from manifestgen.errors import InputError
from manifestgen.manifest import create_options, schema_version
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import (
    IMAGE_PULL_POLICY,
    INT32,
    INT64,
    RESTART_POLICY,
    STATUS,
    UINT32,
    as_text,
    enum_member,
    integer,
    key_of,
    rounded,
    trim,
)
from manifestgen.manifest.section import DESIRED

#: The desired properties that edgeAgent reads, in their usual order.
AGENT_KEYS: Final = ("schemaVersion", "runtime", "systemModules", "modules", "integrity")
RUNTIME_KEYS: Final = ("type", "settings")
RUNTIME_SETTINGS: Final = ("minDockerVersion", "loggingOptions", "registryCredentials")
CREDENTIAL_KEYS: Final = ("address", "username", "password")
SYSTEM_MODULES: Final = ("edgeAgent", "edgeHub")
MODULE_KEYS: Final = (
    "version",
    "type",
    "status",
    "restartPolicy",
    "imagePullPolicy",
    "startupOrder",
    "settings",
    "env",
)
MODULE_SETTINGS: Final = ("image", "digest", "createOptions")
#: The desired properties that edgeHub reads; `schemaVersion` only in exactly this case.
HUB_KEYS: Final = ("schemaVersion", "routes", "storeAndForwardConfiguration", "mqttBroker", "integrity")
STORE_KEYS: Final = ("timeToLiveSecs", "storeLimits")
ROUTE_KEYS: Final = ("route", "priority", "timeToLiveSecs")

#: Properties that IoT Hub adds to desired properties when they are read.
_METADATA: Final = ("$metadata", "$version")
#: Written by IoT Hub into a module to say which automatic deployment it came from.
_WRITTEN_BY_HUB: Final = "configuration"

_LAST_ORDER: Final = UINT32[1]
_NO_PRIORITY: Final = 2_000_000_000
_MODULE_DEFAULTS: Final = {
    "restartPolicy": "on-unhealthy",
    "imagePullPolicy": "on-create",
    "startupOrder": _LAST_ORDER,
    "version": "",
}
# edgeHub's restart policy has another default; edgeAgent is always running, always restarted and always first.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "edgeHub": {**_MODULE_DEFAULTS, "restartPolicy": "always"},
    "edgeAgent": {**_MODULE_DEFAULTS, "status": "running", "restartPolicy": "always", "startupOrder": 0},
}
_ENUMS: Final = {"status": STATUS, "restartPolicy": RESTART_POLICY, "imagePullPolicy": IMAGE_PULL_POLICY}
# A member has up to two names; the first is the one in JSON.
_FIRST_NAMES: Final = {
    name: {word: next(first for first in members if members[first] == members[word]) for word in members}
    for name, members in _ENUMS.items()
}

# Newtonsoft.Json reads no deeper, IoT Hub not even so deep: what is deeper is refused and compared as it is.
_DEEPEST: Final = 64
_SCALARS: Final = frozenset({str, int, float, bool})


def plain(manifest: Manifest) -> Manifest:
    """A manifest without what IoT Hub adds (`$metadata`, `$version`, `configuration`) or drops (null).

    Args:
        manifest: it is not changed, and values are shared with it.
    """
    return Manifest.of({"modulesContent": _plain_entries(manifest)})


def normal(manifest: Manifest) -> Manifest:
    """The normal form of a manifest.

    createOptions are objects in it (strings where edgeAgent could not read them), a route is a string unless it has a
    priority or a time to live, env values are strings, an image has a tag or a digest.

    Args:
        manifest: it is not changed, and values are shared with it.
    """
    entries = _plain_entries(manifest)
    for name, read in (("$edgeAgent", _agent), ("$edgeHub", _hub)):
        entry = entries.get(name)
        if isinstance(entry, dict) and isinstance(entry.get(DESIRED), dict):
            entry[DESIRED] = read(entry[DESIRED])
    return Manifest.of({"modulesContent": entries})


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; unlike in Python, true is not 1, and createOptions have an order."""
    if isinstance(one, Options) and isinstance(other, Options) and one.ordered and other.ordered:
        return one.same_text(other)
    if isinstance(one, dict):
        if not isinstance(other, dict) or one.keys() != other.keys():
            return False
        for key, value in one.items():
            item = other[key]
            if not (value == item if type(value) is str else same(value, item)):
                return False
        return True
    if isinstance(one, list):
        if not isinstance(other, list) or len(one) != len(other):
            return False
        return all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        # createOptions may have it: Newtonsoft.Json reads it.
        return math.isnan(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def renamed(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """An object with its case-insensitive properties under their usual names.

    Where IoT Hub holds a name twice, in two cases, the one that the runtime would not find stays as it is.
    """
    lower = _lower(names)
    if not any(key not in names and key.lower() in lower for key in data):
        return dict(data)
    found = {key_of(data, name): name for name in names if name not in data}
    return {found.get(key, key): value for key, value in data.items()}


@lru_cache(maxsize=64)
def _lower(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def text_of_options(settings: Mapping[str, Any]) -> str | None:
    """The joined text of createOptions; None if there are none, or their chunks are not a sequence."""
    keys = create_options.keys(settings)
    if not keys or len(keys) > create_options.MAX_CHUNKS:
        return None
    try:
        return create_options.join(settings)
    except create_options.ChunkError:
        return None


def is_option_key(key: str) -> bool:
    """Whether a key of `settings` belongs to createOptions."""
    return "createoptions" in key.lower()


def _plain_entries(manifest: Manifest) -> dict[str, Any]:
    return {name: _plain_entry(name, entry) for name, entry in manifest.entries.items() if entry is not None}


def _plain_entry(name: str, entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    result = {key: _without_null(value) for key, value in entry.items() if value is not None}
    desired = result.get(DESIRED)
    if not isinstance(desired, dict):
        return result
    for key in _METADATA:
        desired.pop(key, None)
    if name == "$edgeAgent":
        for section in ("systemModules", "modules"):
            modules = desired.get(key_of(desired, section) or "")
            for module in modules.values() if isinstance(modules, dict) else ():
                if isinstance(module, dict):
                    module.pop(key_of(module, _WRITTEN_BY_HUB) or "", None)
    return result


def _without_null(value: Any, depth: int = 1) -> Any:
    """A copy of a value without the keys whose value is null; the innermost values are shared."""
    if type(value) in _SCALARS or depth > _DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {
            key: item if type(item) in _SCALARS else _without_null(item, depth + 1)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_null(item, depth + 1) for item in value]
    return value


def _agent(desired: dict[str, Any]) -> dict[str, Any]:
    result = renamed(desired, AGENT_KEYS)
    if isinstance(runtime := result.get("runtime"), dict):
        result["runtime"] = _runtime(runtime)
    if isinstance(system := result.get("systemModules"), dict):
        result["systemModules"] = {
            name: _module(module, _DEFAULTS.get(name, _MODULE_DEFAULTS))
            for name, module in renamed(system, SYSTEM_MODULES).items()
        }
    if isinstance(modules := result.get("modules"), dict):
        result["modules"] = {name: _module(module, _MODULE_DEFAULTS) for name, module in modules.items()}
    return result


def _runtime(runtime: dict[str, Any]) -> dict[str, Any]:
    result = renamed(runtime, RUNTIME_KEYS)
    settings = result.pop("settings", None)
    if not isinstance(settings, dict):
        return result if settings is None else {**result, "settings": settings}
    settings = renamed(settings, RUNTIME_SETTINGS)
    # DockerRuntimeConfig: both are an empty text if they are missing.
    _drop_defaults(settings, {"minDockerVersion": "", "loggingOptions": ""})
    credentials = settings.get("registryCredentials")
    if isinstance(credentials, dict):
        settings["registryCredentials"] = {
            key: renamed(entry, CREDENTIAL_KEYS) if isinstance(entry, dict) else entry
            for key, entry in credentials.items()
        }
    _drop_defaults(settings, {"registryCredentials": {}})
    return {**result, "settings": settings} if settings else result


def _module(module: Any, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(module, dict):
        return module
    result = renamed(module, MODULE_KEYS)
    for name, members in _ENUMS.items():
        if name in result and (member := enum_member(result[name], members)) is not None:
            result[name] = _FIRST_NAMES[name][member]
    if "startupOrder" in result and (order := rounded(result["startupOrder"], *UINT32)) is not None:
        result["startupOrder"] = order
    if (version := as_text(result.get("version"))) is not None:
        result["version"] = version
    env = result.get("env")
    if isinstance(env, dict):
        result["env"] = {name: _variable(entry) for name, entry in env.items()}
    _drop_defaults(result, {**defaults, "env": {}})
    if isinstance(result.get("settings"), dict):
        result["settings"] = _settings(result["settings"])
    return result


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    result = renamed(settings, ("image", "digest"))
    if isinstance(image := result.get("image"), str):
        result["image"] = _image(image)
    text = text_of_options(result)
    if text is not None:
        ordered = not any(isinstance(result[key], dict) for key in result if is_option_key(key))
        result = {key: value for key, value in result.items() if not is_option_key(key)}
        options = normal_options(text, ordered=ordered)
        if options:
            result["createOptions"] = options
    return result


@lru_cache(maxsize=2048)
def _image(text: str) -> str:
    try:
        image = ImageReference.parse(text)
    except InputError:
        return text
    return trim(text) if image.tag or image.digest else f"{trim(text)}:latest"


def _variable(entry: Any) -> Any:
    if not isinstance(entry, dict) or (len(entry) == 1 and type(entry.get("value")) is str):
        return entry
    result = renamed(entry, ("value",))
    text = as_text(result.get("value", ""))
    return result if text is None else {**result, "value": text}


def _hub(desired: dict[str, Any]) -> dict[str, Any]:
    result = renamed(desired, HUB_KEYS[1:])
    version = as_text(result.get("schemaVersion"))
    objects = version is None or schema_version.hub_minor(version) != 0
    if isinstance(routes := result.get("routes"), dict):
        result["routes"] = {name: _route(route) if objects else route for name, route in routes.items()}
    store = result.get("storeAndForwardConfiguration")
    if isinstance(store, dict):
        store = renamed(store, STORE_KEYS)
        _read_integer(store, "timeToLiveSecs", INT32)
        if isinstance(limits := store.get("storeLimits"), dict):
            store["storeLimits"] = renamed(limits, ("maxSizeBytes",))
            _read_integer(store["storeLimits"], "maxSizeBytes", INT64)
        result["storeAndForwardConfiguration"] = store
    return result


def _route(route: Any) -> Any:
    """A route as a string if that suffices, as in schema version 1.0."""
    if not isinstance(route, dict):
        return route
    result = renamed(route, ROUTE_KEYS)
    for name in ("priority", "timeToLiveSecs"):
        _read_integer(result, name, UINT32)
    _drop_defaults(result, {"priority": _NO_PRIORITY, "timeToLiveSecs": 0})
    return result["route"] if result.keys() == {"route"} and isinstance(result["route"], str) else result


def _read_integer(data: dict[str, Any], name: str, limits: tuple[int, int]) -> None:
    if name in data and (number := integer(data[name], *limits)) is not None:
        data[name] = number


def _drop_defaults(data: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, default in defaults.items():
        if name in data and same(data[name], default):
            del data[name]
