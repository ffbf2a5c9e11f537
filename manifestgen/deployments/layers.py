"""Combines a base deployment and its layers into the manifest of a device.

Source: learn.microsoft.com/azure/iot-edge/module-deployment-monitoring (layered deployment). A key
`properties.desired.a.b` sets what is at `a.b` and leaves the rest; `properties.desired` replaces the whole. Of two
layers that set the same path, the higher priority wins; between equal ones, the newer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from manifestgen.cloud import Configuration
from manifestgen.manifest.section import DESIRED

_AGENT: Final = "$edgeAgent"
_DAWN: Final = datetime.min.replace(tzinfo=timezone.utc)


def is_layer(content: Mapping[str, Any]) -> bool:
    """Whether a deployment's content is a layer: it sets parts of twins, or not all of `$edgeAgent`'s."""
    entries = content["modulesContent"]
    return DESIRED not in entries.get(_AGENT, {}) or any(key != DESIRED for entry in entries.values() for key in entry)


def rank(configuration: Configuration) -> tuple[int, datetime]:
    """The rank of an automatic deployment among those that target the same device: the highest wins."""
    return configuration.priority, configuration.created or _DAWN


def compose(base: Mapping[str, Any], layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The manifest that a device gets from a base and the layers above it.

    Args:
        base: `{"modulesContent": …}`.
        layers: the same, the lowest priority first.

    Returns:
        `{"modulesContent": …}` with only whole `properties.desired`, without nulls, which remove keys of a twin.
    """
    twins: dict[str, Any] = {}
    for content in (base, *layers):
        for name, entry in content["modulesContent"].items():
            # The whole before its parts, and outer parts before inner ones.
            for key in sorted(entry, key=len):
                path = key.split(".")[2:]
                if path:
                    _put(twins.setdefault(name, {}), path, entry[key])
                else:
                    twins[name] = copy.deepcopy(entry[key])
    return {"modulesContent": {name: {DESIRED: _without_nulls(desired)} for name, desired in twins.items()}}


def on_device(targeting: Sequence[Configuration]) -> dict[str, Any] | None:
    """The manifest that a device gets from the automatic deployments that target it; None without a base."""
    found = applied(targeting)
    return compose(found[0].content, [layer.content for layer in found[1:]]) if found else None


def applied(targeting: Sequence[Configuration]) -> list[Configuration]:
    """Of the automatic deployments that target a device, the base and the layers that it gets, the lowest first."""
    bases = [each for each in targeting if not is_layer(each.content)]
    if not bases:
        return []
    base = max(bases, key=rank)
    layers = [each for each in targeting if is_layer(each.content) and each.priority > base.priority]
    return [base, *sorted(layers, key=rank)]


def _put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for key in parents:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        target = target[key]
    target[last] = copy.deepcopy(value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value
