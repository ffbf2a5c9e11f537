"""The manifest of a device from its twins; applying it and exporting again gives the same.

Properties that IoT Hub adds are removed, keys are sorted, createOptions are one text; all else, unknown fields
included, stays as the device has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from manifestgen.compare.normal import (
    AGENT_KEYS,
    CREDENTIAL_KEYS,
    HUB_KEYS,
    MODULE_KEYS,
    MODULE_SETTINGS,
    ROUTE_KEYS,
    RUNTIME_KEYS,
    RUNTIME_SETTINGS,
    STORE_KEYS,
    is_option_key,
    plain,
    text_of_options,
)
from manifestgen.errors import InputError
from manifestgen.manifest import create_options
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import get, key_of
from manifestgen.manifest.section import DESIRED

_SYSTEM: Final = ("$edgeAgent", "$edgeHub")
# The order in which people write what the runtime knows; one order for all objects of the two system twins is enough.
_RANK: Final[Mapping[str, int]] = {
    key: rank
    for rank, key in enumerate(
        dict.fromkeys(
            (
                *AGENT_KEYS,
                *HUB_KEYS,
                *MODULE_KEYS,
                *MODULE_SETTINGS,
                *RUNTIME_KEYS,
                *RUNTIME_SETTINGS,
                *CREDENTIAL_KEYS,
                *ROUTE_KEYS,
                *STORE_KEYS,
            )
        )
    )
}
_NO_RANK: Final[Mapping[str, int]] = {}


def export(twins: Mapping[str, Mapping[str, Any]]) -> Manifest:
    """The manifest that sets the desired properties of a device's twins.

    Args:
        twins: the desired properties of each module twin, by module id, `$edgeAgent` and `$edgeHub` among them; with or
            without the hub's `$metadata`. Empty ones are left out: the hub keeps a twin of every module.

    Returns:
        `$edgeAgent` and `$edgeHub` first. Keys that the runtime knows are in their usual order, the
        others sorted. createOptions are in chunks only above 4,096 bytes; chunks that are not
        a sequence are unchanged.
    """
    entries = plain(Manifest.of_twins(twins)).entries
    ordered: dict[str, Any] = {}
    for name in sorted(entries, key=lambda name: (name not in _SYSTEM, name)):
        desired = entries[name][DESIRED]
        if desired:
            if name == "$edgeAgent":
                _join_options(desired)
            ordered[name] = _sorted(desired, _RANK if name in _SYSTEM else _NO_RANK)
    return Manifest.of_twins(ordered)


def _join_options(desired: dict[str, Any]) -> None:
    for section in ("systemModules", "modules"):
        modules = get(desired, section)
        for module in modules.values() if isinstance(modules, dict) else ():
            key = key_of(module, "settings") if isinstance(module, dict) else None
            if key is not None and isinstance(module[key], dict):
                module[key] = _settings(module[key])


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    text = text_of_options(settings)
    if text is None:
        return settings
    try:
        chunks = create_options.split(text)
    except InputError:
        return settings
    return {**{key: value for key, value in settings.items() if not is_option_key(key)}, **chunks}


def _sorted(value: Any, rank: Mapping[str, int]) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (rank.get(key, len(rank)), key))
        return {key: _sorted(value[key], rank) for key in keys}
    if isinstance(value, list):
        return [_sorted(item, rank) for item in value]
    return value
