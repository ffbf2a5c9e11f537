"""Export and apply: whatever a manifest is, what a device has of it exports to the same bytes for ever."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from property.manifests import CHANCES, clothes, manifests, thorough

from manifestgen.compare.diff import diff
from manifestgen.compare.export import export
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest

Twins = dict[str, dict[str, Any]]


def applied(device: Twins, content: Mapping[str, Any], chance: random.Random) -> Twins:
    """A device's twins after the hub took a manifest: keys in the hub's own order, null dropped, metadata added."""
    twins = copy.deepcopy(device)
    for name, entry in content["modulesContent"].items():
        twins[name] = {
            **_without_null(entry["properties.desired"], chance),
            "$metadata": {"$lastUpdated": f"2026-08-{chance.randint(1, 28):02d}T00:00:00Z"},
            "$version": chance.randint(1, 99),
        }
    return twins


def _without_null(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = [key for key, item in value.items() if item is not None]
        chance.shuffle(keys)
        return {key: _without_null(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [_without_null(item, chance) for item in value]
    return value


@thorough
@given(content=manifests(), other=manifests(), chance=CHANCES)
def test_exporting_applying_and_exporting_is_the_identity(
    content: dict[str, Any], other: dict[str, Any], chance: random.Random
) -> None:
    device = applied(applied({}, other, chance), clothes(content, chance), chance)
    first = export(device)
    second = export(applied(device, first.content, chance))
    assert dump(second.content) == dump(first.content)
    assert dump(export(applied({}, first.content, chance)).content) == dump(first.content)


@thorough
@given(content=manifests(), chance=CHANCES)
def test_the_export_says_what_was_applied(content: dict[str, Any], chance: random.Random) -> None:
    # An object on the device is exported as a text in the hub's order, which may be another one.
    device = applied({}, clothes(content, chance, objects=False), chance)
    original = copy.deepcopy(device)
    exported = export(device)
    manifest = Manifest.of(content)
    assert diff(exported, manifest) == diff(manifest, exported) == ()
    assert device == original
