"""Merging any manifest into what any device has: the file wins, nothing that it does not name is lost."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from property.manifests import CHANCES, clothes, manifests, thorough

from manifestgen.compare.diff import diff
from manifestgen.compare.merge import merge
from manifestgen.compare.normal import normal, same
from manifestgen.compare.subject import subjects
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest


# To draw two manifests takes longer than to merge them: they are used for all that holds for them.
@thorough
@given(file=manifests(), device=manifests(), chance=CHANCES)
def test_a_merge_is_complete_and_keeps_what_the_file_does_not_name(
    file: dict[str, Any], device: dict[str, Any], chance: random.Random
) -> None:
    _merging_twice_changes_nothing(file, device, chance)
    _what_the_file_does_not_name_is_kept_and_what_it_names_is_its_own(file, device, chance)
    _unknown_fields_of_the_device_are_kept_at_every_level(file, device)  # last, as it adds some


def _merging_twice_changes_nothing(file: dict[str, Any], device: dict[str, Any], chance: random.Random) -> None:
    file, device = clothes(file, chance), clothes(device, chance)
    originals = copy.deepcopy((file, device))
    once = merge(Manifest.of(file), Manifest.of(device))
    twice = merge(Manifest.of(file), once.manifest)
    assert dump(twice.manifest.content) == dump(once.manifest.content)
    assert twice.conflicts == ()
    assert (file, device) == originals


def _what_the_file_does_not_name_is_kept_and_what_it_names_is_its_own(
    file: dict[str, Any], device: dict[str, Any], chance: random.Random
) -> None:
    merged = merge(Manifest.of(clothes(file, chance)), Manifest.of(clothes(device, chance)))
    named, had, has = (subjects(normal(one)) for one in (Manifest.of(file), Manifest.of(device), merged.manifest))
    dropped = {conflict.name for conflict in merged.conflicts if "is dropped" in conflict.message}
    for path, subject in had.items():
        if path not in named and not (subject.kind == "registry credential" and subject.name in dropped):
            assert same(has[path].value, subject.value)
            assert merged.origins[(subject.kind, subject.name)] == "device"
    for path, subject in named.items():
        if path[-1] != "schemaVersion":
            assert _holds(has[path].value, subject.value), path
        assert merged.origins[(subject.kind, subject.name)] == ("both" if path in had else "file")
    assert has.keys() <= named.keys() | had.keys()


def _unknown_fields_of_the_device_are_kept_at_every_level(file: dict[str, Any], device: dict[str, Any]) -> None:
    for places in zip(_places(file), _places(device), strict=True):
        places[0].pop("newer", None)
        places[1]["newer"] = "kept"
    merged = merge(Manifest.of(file), Manifest.of(device)).manifest
    assert all(place["newer"] == "kept" for place in _places(merged.content))


@thorough
@given(content=manifests(), chance=CHANCES)
def test_merging_what_the_device_has_changes_nothing(content: dict[str, Any], chance: random.Random) -> None:
    device = Manifest.of(content)
    assert diff(device, merge(Manifest.of(clothes(content, chance)), device).manifest) == ()


def _holds(value: Any, part: Any) -> bool:
    """Whether a value has all of a part, and beside it nothing but in objects."""
    if isinstance(part, str) and isinstance(value, dict):
        # A route that is a text, with a field of the device's that only an object can have.
        return bool(value["route"] == part)
    if isinstance(part, dict) and isinstance(value, dict):
        return all(key in value and _holds(value[key], item) for key, item in part.items())
    return same(value, part)


def _places(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    hub = content["modulesContent"]["$edgeHub"]["properties.desired"]
    places = [agent, agent["runtime"], agent["runtime"]["settings"], hub, hub["storeAndForwardConfiguration"]]
    for module in agent["systemModules"].values():
        places += [module, module["settings"]]
    return places
