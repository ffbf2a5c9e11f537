"""Two manifests become the changes between them, by what they mean and not by their text.

A manifest is read as a set of subjects: its modules, routes, registry credentials and so on. Two manifests that say
the same in other clothes (createOptions as an object, as one string or in chunks; keys in another order) are equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from manifestgen.manifest import create_options

Kind = Literal["added", "removed", "changed"]

_DESIRED = "properties.desired"


@dataclass(frozen=True)
class FieldChange:
    """One field of a subject, before and after.

    Attributes:
        before, after: the value as text; None where it is absent or must not be shown.
    """

    field: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return self.field
        return f"{self.field}: {self.before or '(none)'} -> {self.after or '(none)'}"


@dataclass(frozen=True)
class Change:
    """Something that one manifest has and the other has not, or has differently.

    Attributes:
        subject: `module`, `system module`, `route`, `registry credential`, `module twin`, `store and forward`,
            `runtime` or `property`.
        fields: of a changed subject, what differs in it. A registry credential's are never told.
    """

    kind: Kind
    subject: str
    name: str
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject} {self.name}"


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The changes that turn one manifest's content into another's.

    Args:
        before: `{"modulesContent": …}`.
        after: the same. A module twin that it does not name is left alone by the hub, so it is no removal.

    Returns:
        Changes in the order: modules, system modules, routes, credentials, the rest; by name within each.
    """
    old, new = dict(_subjects(before)), dict(_subjects(after))
    changes = [
        _change(subject, old.get(subject), new.get(subject))
        for subject in old.keys() | new.keys()
        if old.get(subject) != new.get(subject) and not (subject[0] == "module twin" and subject not in new)
    ]
    return tuple(sorted(changes, key=lambda change: (_ORDER.index(change.subject), change.name)))


_ORDER = (
    "module",
    "system module",
    "route",
    "registry credential",
    "store and forward",
    "module twin",
    "runtime",
    "property",
)


def _subjects(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """The parts of a manifest that can be there or not: (subject, name) and a value that compares by meaning."""
    for module, entry in _mapping(content.get("modulesContent")).items():
        desired = _mapping(entry).get(_DESIRED)
        if module == "$edgeAgent":
            yield from _agent_subjects(_mapping(desired))
        elif module == "$edgeHub":
            yield from _hub_subjects(_mapping(desired))
        elif desired is not None:
            yield ("module twin", module), desired


def _agent_subjects(desired: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    for key, value in desired.items():
        if key == "modules":
            for name, module in _mapping(value).items():
                yield ("module", name), _meaning(module)
        elif key == "systemModules":
            for name, module in _mapping(value).items():
                yield ("system module", name), _meaning(module)
        elif key == "runtime":
            settings = dict(_mapping(_mapping(value).get("settings")))
            for name, credential in _mapping(settings.pop("registryCredentials", None)).items():
                yield ("registry credential", name), credential
            yield ("runtime", "container runtime"), {**_mapping(value), "settings": settings}
        else:
            yield ("property", f"$edgeAgent {key}"), value


def _hub_subjects(desired: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    for key, value in desired.items():
        if key == "routes":
            for name, route in _mapping(value).items():
                yield ("route", name), route
        elif key == "storeAndForwardConfiguration":
            yield ("store and forward", "configuration"), value
        else:
            yield ("property", f"$edgeHub {key}"), value


def _meaning(module: Any) -> Any:
    """A module with createOptions read, whatever form they are in; malformed ones stay as they are."""
    if not isinstance(module, Mapping) or not isinstance(module.get("settings"), Mapping):
        return module
    settings = module["settings"]
    try:
        text = create_options.join(settings)
        options = json.loads(text) if text.strip() else {}
    except ValueError:
        return module
    rest = {key: value for key, value in settings.items() if not key.lower().startswith("createoptions")}
    return {**module, "settings": {**rest, "createOptions": options or {}}}


def _change(subject: tuple[str, str], before: Any, after: Any) -> Change:
    kind: Kind = "added" if before is None else "removed" if after is None else "changed"
    fields: tuple[FieldChange, ...] = ()
    if kind == "changed" and subject[0] != "registry credential":
        fields = tuple(_fields(before, after))
    return Change(kind, *subject, fields)


# Shown with their values. Others may hold secrets (env, createOptions, module twins) or are long: told by name only.
_SHOWN = (
    "image",
    "status",
    "restartPolicy",
    "imagePullPolicy",
    "startupOrder",
    "version",
    "route",
    "priority",
    "timeToLiveSecs",
)


def _fields(before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, str) and isinstance(after, str):
        yield FieldChange("route", before, after)
        return
    old, new = _flat(before), _flat(after)
    for field in sorted(old.keys() | new.keys()):
        if old.get(field) != new.get(field):
            if field in _SHOWN:
                yield FieldChange(field, _text(old.get(field)), _text(new.get(field)))
            else:
                yield FieldChange(field)


def _flat(value: Any) -> dict[str, Any]:
    """The fields of a subject, those under `settings` beside the others."""
    fields = dict(_mapping(value))
    fields.update(_mapping(fields.pop("settings", None)))
    return fields


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
