"""Strategies for manifests: any meaning, in any clothes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from manifestgen.manifest import container, create_options

# A manifest is a large value: fewer of them, and no limit on the time that one takes on a busy machine.
thorough = settings(max_examples=min(50, settings().max_examples), deadline=None)
# One draw, where Hypothesis's own would draw for each decision.
CHANCES = st.integers(0, 2**32 - 1).map(random.Random)

NAMES = st.sampled_from(["a", "b", "scorer", "filter", "sensor-1", "x_y"])
ENV_NAMES = st.sampled_from(["A", "LEVEL", "TOKEN", "é"])
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)
PROPERTIES = st.dictionaries(WORDS.filter(lambda key: not key.startswith("$")), VALUES, max_size=3)
UNKNOWN = st.dictionaries(st.sampled_from(["newer", "tags", "zone"]), VALUES, max_size=2)
IMAGES = st.sampled_from(
    ["acme.azurecr.io/a:1", "acme.azurecr.io/a:2", "acme.azurecr.io/a", "u/b@sha256:" + "0" * 64, "localhost:5000/c:3"]
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "Env": st.lists(st.builds("{}={}".format, ENV_NAMES, WORDS), max_size=3),
        "HostConfig": st.fixed_dictionaries(
            {},
            optional={
                "Privileged": st.booleans(),
                "Binds": st.lists(WORDS, max_size=2),
                "PortBindings": st.dictionaries(
                    st.sampled_from(["443/tcp", "5671/tcp"]),
                    st.lists(st.fixed_dictionaries({"HostPort": st.sampled_from(["443", "8443"])}), max_size=2),
                    max_size=2,
                ),
            },
        ),
        "Labels": st.dictionaries(WORDS, WORDS, max_size=2),
        "Cmd": st.lists(WORDS, max_size=2),
        "User": st.sampled_from(["root", "ü" * 2600, "é" * 4100]),
    },
)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def modules(draw: st.DrawFn) -> dict[str, Any]:
    """A module, as people write it."""
    settings = {"image": draw(IMAGES), **draw(_optional(createOptions=OPTIONS.map(json.dumps)))}
    known = _optional(
        restartPolicy=st.sampled_from(["always", "never", "on-failure", "on-unhealthy"]),
        imagePullPolicy=st.sampled_from(["on-create", "never"]),
        startupOrder=st.integers(0, 3) | st.just(4294967295),
        version=st.sampled_from(["", "1.0", "2.0"]),
        env=st.dictionaries(ENV_NAMES, st.fixed_dictionaries({"value": LEAVES}), max_size=3),
    )
    status = draw(st.sampled_from(["running", "stopped"]))
    return {"type": "docker", "status": status, "settings": settings | draw(UNKNOWN), **draw(known), **draw(UNKNOWN)}


ROUTES = st.sampled_from(["FROM /messages/* INTO $upstream", "FROM /* INTO $upstream"])
OBJECT_ROUTES = ROUTES | st.builds(
    lambda text, more: {"route": text, **more},
    ROUTES,
    _optional(priority=st.integers(0, 9), timeToLiveSecs=st.integers(0, 9), newer=VALUES),
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """The content of a manifest."""
    minor = draw(st.sampled_from(["1.0", "1.1"]))
    credentials = st.fixed_dictionaries(
        {
            "address": st.sampled_from(["acme.azurecr.io", "other.azurecr.io"]),
            "username": st.sampled_from(["u", "v"]),
            "password": st.sampled_from(["p", "q"]),
        }
    )
    agent = {
        "schemaVersion": draw(st.sampled_from(["1.0", "1.1"])),
        "runtime": {
            "type": "docker",
            "settings": {
                **draw(_optional(minDockerVersion=st.sampled_from(["", "v1.25"]), loggingOptions=st.just(""))),
                **draw(_optional(registryCredentials=st.dictionaries(NAMES, credentials, max_size=3))),
                **draw(UNKNOWN),
            },
        },
        "systemModules": {"edgeAgent": draw(modules()), "edgeHub": draw(modules())},
        "modules": draw(st.dictionaries(NAMES, modules(), max_size=3)),
        **draw(UNKNOWN),
    }
    hub = {
        "schemaVersion": minor,
        "routes": draw(st.dictionaries(NAMES, ROUTES if minor == "1.0" else OBJECT_ROUTES, max_size=3)),
        "storeAndForwardConfiguration": {"timeToLiveSecs": draw(st.integers(0, 9)), **draw(UNKNOWN)},
        **draw(UNKNOWN),
    }
    twins = draw(st.dictionaries(NAMES, PROPERTIES, max_size=2))
    entries = {"$edgeAgent": agent, "$edgeHub": hub, **twins}
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in entries.items()}}


def clothes(content: dict[str, Any], chance: random.Random, *, objects: bool = True) -> dict[str, Any]:
    """The same manifest, dressed another way.

    Args:
        objects: whether createOptions may become objects, whose keys have no order to compare.
    """
    result: dict[str, Any] = copy.deepcopy(content)
    agent = result["modulesContent"]["$edgeAgent"]["properties.desired"]
    hub = result["modulesContent"]["$edgeHub"]["properties.desired"]
    for name, module in [*agent["systemModules"].items(), *agent["modules"].items()]:
        _dress_module(name if module in agent["systemModules"].values() else "", module, chance, objects=objects)
    if hub["schemaVersion"] != "1.0":
        hub["routes"] = {name: _dress_route(route, chance) for name, route in hub["routes"].items()}
    settings = agent["runtime"]["settings"]
    for name in ("minDockerVersion", "loggingOptions"):
        _dress_default(settings, name, "", chance)
    _dress_default(settings, "registryCredentials", {}, chance)
    store = hub["storeAndForwardConfiguration"]
    store["timeToLiveSecs"] = chance.choice([int, str])(store["timeToLiveSecs"])
    hub["$metadata"], agent["$version"] = {"$lastUpdated": "2026-08-01T00:00:00Z"}, 7
    for data, names in (
        (agent, ("runtime", "systemModules", "modules")),
        (hub, ("routes", "storeAndForwardConfiguration")),
        (agent["runtime"], ("settings",)),
    ):
        _dress_names(data, names, chance)
    shuffled: dict[str, Any] = _shuffled(result, chance)
    return shuffled


_CASES: tuple[Callable[[str], str], ...] = (str.upper, str.title, str)


def _dress_module(system: str, module: dict[str, Any], chance: random.Random, *, objects: bool) -> None:
    settings = module["settings"]
    options = create_options.join(settings)
    for key in [key for key in settings if "createOptions" in key]:
        del settings[key]
    settings.update(_dress_options(options, chance, objects=objects))
    if settings["image"] == "acme.azurecr.io/a" and chance.random() < 0.5:
        settings["image"] += ":latest"
    settings["image"] = chance.choice(["", " ", "\n"]) + settings["image"]
    for name, default in (
        ("restartPolicy", "always" if system else "on-unhealthy"),
        ("imagePullPolicy", "on-create"),
        ("startupOrder", 0 if system == "edgeAgent" else 4294967295),
        ("version", ""),
        ("env", {}),
    ):
        _dress_default(module, name, default, chance)
    for name in ("status", "restartPolicy", "imagePullPolicy"):
        if module.get(name) is not None:
            module[name] = chance.choice(_CASES)(module[name])
    for entry in (module.get("env") or {}).values():
        if entry["value"] is None:
            entry.update(chance.choice([{"value": ""}, {"value": None}]))
        elif not isinstance(entry["value"], str):
            entry["value"] = chance.choice([entry["value"], json.dumps(entry["value"])])
    if chance.random() < 0.5:
        module["configuration"] = {"id": "fleet-1"}
    module[chance.choice(["absent", "nothing"])] = None
    _dress_names(settings, ("image",), chance)
    _dress_names(module, ("type", "status", "restartPolicy", "startupOrder", "version", "env", "settings"), chance)


_EMPTY_OPTIONS: tuple[Any, ...] = ("", " ", "{}", "null", None, {})


def _dress_options(text: str, chance: random.Random, *, objects: bool) -> dict[str, Any]:
    value = json.loads(text) if text.strip() else {}
    if not value:
        return chance.choice([{}, *({"createOptions": empty} for empty in _EMPTY_OPTIONS)])
    if objects and chance.random() < 0.3:
        return {"createOptions": _shuffled(value, chance)}
    value = _known_shuffled(value, container.CREATE, chance)
    text = json.dumps(value, indent=chance.choice([None, 2]), ensure_ascii=chance.random() < 0.5)
    size = chance.choice([len(text), 512, 2000])
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return {"createOptions" + (f"{number:02d}" if number else ""): piece for number, piece in enumerate(pieces)}


def _dress_route(route: Any, chance: random.Random) -> Any:
    if isinstance(route, str):
        return chance.choice([route, {"route": route}, {"Route": route, "priority": 2000000000, "timeToLiveSecs": 0}])
    route = dict(route)
    _dress_default(route, "timeToLiveSecs", 0, chance)
    _dress_default(route, "priority", 2000000000, chance)
    return route


def _dress_default(data: dict[str, Any], name: str, default: Any, chance: random.Random) -> None:
    if data.get(name, default) == default:
        data.pop(name, None)
        if chance.random() < 0.6:
            data[name] = chance.choice([default, default, None])


def _dress_names(data: dict[str, Any], names: tuple[str, ...], chance: random.Random) -> None:
    for name in names:
        if name in data and chance.random() < 0.3:
            data[chance.choice([name.upper(), name.capitalize()])] = data.pop(name)


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [_shuffled(item, chance) for item in value]
    return value


def _known_shuffled(value: Any, shape: container.Shape | None, chance: random.Random) -> Any:
    """createOptions with the keys of edgeAgent's classes in another order: that of all others counts."""
    if shape is None or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_known_shuffled(item, shape.item, chance) for item in value]
    known = [key for key in value if key in shape.keys]
    chance.shuffle(known)
    keys = [known.pop() if key in shape.keys else key for key in value]
    return {key: _known_shuffled(value[key], shape.keys.get(key, shape.item), chance) for key in keys}
