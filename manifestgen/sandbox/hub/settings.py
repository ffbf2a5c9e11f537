"""Automatic device management: configurations that set desired properties in the twins of devices or of modules.

Like an automatic deployment, such a configuration has a target condition and a priority; unlike one, it sets the paths
that it names in each twin and touches nothing else. Its values stay when it is deleted or no longer targets a twin.
Source: learn.microsoft.com/azure/iot-hub/iot-hub-automatic-device-management.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from manifestgen.sandbox.hub import query
from manifestgen.sandbox.hub.content import DESIRED, set_at
from manifestgen.sandbox.hub.documents import AGENT, EDGE_HUB
from manifestgen.sandbox.hub.errors import invalid
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json, check_section, replace_section, without_nulls, without_system
from manifestgen.sandbox.hub.views import module_twin_view, twin_view

DEVICES: Final = "deviceContent"
MODULES: Final = "moduleContent"
_CODE: Final = "InvalidConfigurationContent"
_USED: Final = "twin-configurations"
_FROM_MODULES: Final = "from devices.modules where "


def kind_of(content: Any) -> str | None:
    """`deviceContent` or `moduleContent`; None for the content of a deployment, or for anything else."""
    named = [kind for kind in (DEVICES, MODULES) if isinstance(content, dict) and content.get(kind)]
    return named[0] if len(named) == 1 and set(content) == {named[0]} else None


def check_settings(kind: str, content: Any) -> Json:
    """The settings of a configuration, by path. Raises HubError 400."""
    settings = content[kind]
    if not isinstance(settings, dict):
        raise invalid(f"{kind} is not an object", _CODE)
    trial: Json = {}
    for path, value in sorted(settings.items()):
        if path != DESIRED and not (path.startswith(f"{DESIRED}.") and all(path.split("."))):
            raise invalid(f"{path!r} of {kind} is not a path below {DESIRED}", _CODE)
        if path == DESIRED and not isinstance(value, dict):
            raise invalid(f"{DESIRED} of {kind} is not an object", _CODE)
        _put(trial, path, value)
    check_section("desired", trial)
    return settings


def parse_target(kind: str, text: str) -> query.Condition:
    """The target condition of a configuration of this kind. Raises `query.QueryError`."""
    if kind == DEVICES or not text.strip():
        return query.parse_condition(text)
    if not " ".join(text.split()).lower().startswith(_FROM_MODULES):
        raise query.QueryError(f"expected a target condition for modules to begin with {_FROM_MODULES.strip()!r}")
    parsed = query.parse(f"SELECT * {text}")
    if parsed.grouped:
        raise query.QueryError("expected no GROUP BY in a target condition")
    return parsed.matches


def metric_queries(document: Json) -> dict[str, str]:
    """The queries of the two counts that the hub keeps of a configuration."""
    condition = document["targetCondition"].strip()
    if document["kind"] == MODULES:
        every = "select deviceId, moduleId"
        targeted = f"{every} {condition}" if condition else f"{every} from devices.modules where false"
        source = f"{every} from devices.modules"
    else:
        source = "select deviceId from devices"
        targeted = source if condition == "*" else f"{source} where {condition or 'false'}"
    applied = f"{source} where configurations.[[{document['id']}]].status = 'Applied'"
    return {"targetedCount": targeted, "appliedCount": applied}


class Settings:
    """Applies configurations to twins."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        #: Whether this hub ever had such a configuration; without one, no twin has to be looked at.
        self.used = store.world.store.get("hub-setting", _USED) is not None
        self._conditions: dict[tuple[str, str], query.Condition] = {}

    def begin(self) -> None:
        """A configuration was created: from now on, twins may have settings."""
        self._store.world.store.put("hub-setting", _USED, True)
        self.used = True

    def reconcile(self, device_id: str, document: Json, configurations: Sequence[Json]) -> None:
        """Set what these configurations, highest priority first, want of a device and of its modules."""
        connected = self._store.connected(device_id, document)
        view = twin_view(device_id, document, connected=connected, metadata=False)
        changed = self._changed(document, view, [one for one in configurations if one["kind"] == DEVICES])
        if changed is not None:
            self._store.put_device(device_id, changed)
        about_modules = [one for one in configurations if one["kind"] == MODULES]
        modules = self._store.modules(device_id)
        results: Json = {}
        for name, module in modules.items():
            view = module_twin_view(device_id, name, module, connected=connected, metadata=False)
            changed = self._changed(module, view, about_modules)
            if changed is not None:
                results[name] = changed
        if results:
            self._store.put_modules(device_id, {**modules, **results})
            if results.keys() & {AGENT, EDGE_HUB}:
                self._store.desired_changed(device_id)

    def _changed(self, document: Json, view: Json, configurations: Sequence[Json]) -> Json | None:
        """The document with the settings that target it; None if it has them already."""
        targeting = [one for one in configurations if self._condition(one)(view)]
        desired = copy.deepcopy(document["twin"]["desired"]["value"])
        statuses: dict[str, str] = {}
        taken: list[str] = []
        for one in targeting:
            paths = [path for path in one["settings"] if not any(_covers(other, path) for other in taken)]
            statuses[one["id"]] = "Applied" if paths else "Targeted"
            taken += paths
        for one in reversed(targeting):
            for path, value in sorted(one["settings"].items()):
                _put(desired, path, value)
        known = document.get("settings", {})
        if statuses == known and (not targeting or desired == document["twin"]["desired"]["value"]):
            return None
        twin = document["twin"]
        if targeting and desired != twin["desired"]["value"]:
            section = replace_section(twin["desired"], desired, self._store.now)
            twin = {**twin, "desired": section, "version": twin["version"] + 1}
        return {**document, "twin": twin, "settings": statuses}

    def _condition(self, configuration: Json) -> query.Condition:
        key = configuration["kind"], configuration["targetCondition"]
        if key not in self._conditions:
            self._conditions[key] = parse_target(*key)
        return self._conditions[key]


def _covers(path: str, other: str) -> bool:
    return other == path or other.startswith(f"{path}.")


def _put(desired: Json, path: str, value: Any) -> None:
    value = without_nulls(without_system(value))
    if path == DESIRED:
        desired.clear()
        desired.update(_copied(value))
    else:
        set_at(desired, path.split(".")[2:], value)


def _copied(value: Mapping[str, Any]) -> Json:
    return dict(copy.deepcopy(value))
