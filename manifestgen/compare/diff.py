"""The changes between two manifests, by meaning rather than by text.

Both are converted to their normal form (`compare.normal`) as a set of subjects: modules, routes, registry credentials
and so on. A change does not show values that may be secret: of env, module twins and `Env` within createOptions
it shows only the names, and of a registry credential only its address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from manifestgen.compare.normal import normal, same
from manifestgen.compare.options import Options
from manifestgen.compare.subject import CREDENTIALS, KINDS, Path, Subject, subjects
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import as_mapping
from manifestgen.manifest.secret_text import is_secret

Kind = Literal["added", "removed", "changed"]


class Effect(str, Enum):
    """The device's reaction to a change.

    Sources: ModuleSet.Diff and HealthRestartPlanner of Agent.Core, DockerModule.Equals, IsOnlyModuleStatusChanged and
    EdgeAgentDockerModule.Equals of Agent.Docker: a module that differs in anything but its status is stopped, removed
    and created again, even if only its restart policy, startup order or image pull policy changed.
    """

    CREATED = "created"
    RECREATED = "recreated"
    STARTED = "started"
    STOPPED = "stopped"
    REMOVED = "removed"
    #: edgeAgent keeps it and does nothing now; a registry credential is used at the next pull.
    NOTED = "noted"
    #: No container restarts: edgeHub applies routes, and a module its twin, while running.
    NONE = "none"


@dataclass(frozen=True)
class FieldChange:
    """One field of a subject, before and after.

    Attributes:
        field: its name; inside createOptions, `createOptions` and a JSON Pointer, for a variable `env` and
            its name, for a module twin a JSON Pointer.
        before, after: the value as text; None if it is absent or must not be shown.
        kind: whether the field was added, removed or changed, even if the values are not shown.
    """

    field: str
    before: str | None = None
    after: str | None = None
    kind: Kind = "changed"

    @classmethod
    def of(cls, field: str, before: Any, after: Any, *, shown: bool = True) -> FieldChange:
        """The change of a field from one JSON value to another; None is an absent value."""
        kind: Kind = "added" if before is None else "removed" if after is None else "changed"
        return cls(field, _text(before), _text(after), kind) if shown else cls(field, kind=kind)

    def __str__(self) -> str:
        values = [text or '""' for text in (self.before, self.after) if text is not None]
        return f"{self.field}: {' -> '.join(values)}" if values else self.field


@dataclass(frozen=True)
class Change:
    """A part that only one manifest has, or that differs between them.

    Attributes:
        subject: `module`, `system module`, `route`, `registry credential`, `module twin`, `store and forward`,
            `runtime` or `property`.
        fields: the differences of a changed subject. For a registry credential never the password, so that it may
            have changed without any.
        effect: the device's reaction.
    """

    kind: Kind
    subject: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    effect: Effect = Effect.NONE
    # For `patch`. Not shown: the value may contain secrets.
    _path: Path = field(default=(), repr=False, compare=False)
    _after: Subject | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.subject} {self.name}"


def diff(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """The changes that turn one manifest into another.

    Args:
        before: such as a device's current manifest.
        after: IoT Hub does not touch a module twin that this manifest does not name, so that is not a removal.

    Returns:
        Changes in the order: modules, system modules, routes, credentials, the rest; by name within each.
    """
    old, new = subjects(normal(before)), subjects(normal(after))
    found: list[Change] = []
    for path in old.keys() | new.keys():
        change = _change(old.get(path), new.get(path))
        if change is not None:
            found.append(change)
    return tuple(sorted(found, key=lambda change: (KINDS.index(change.subject), change.name)))


def patch(manifest: Manifest, changes: Iterable[Change]) -> Manifest:
    """Apply the changes that `diff` found to a manifest; the result is in normal form.

    Args:
        manifest: it is not changed.
        changes: from `diff`, with `manifest` as `before`.
    """
    result = dict(normal(manifest).content)
    changes = list(changes)
    # Removals first: a broken section makes room for additions in it.
    for change in changes:
        if change._after is None:
            _remove(result, change)
    for change in changes:
        if change._after is not None:
            _set(result, change._path, change._after)
    return Manifest.of(result)


def _change(old: Subject | None, new: Subject | None) -> Change | None:
    subject = new or old
    assert subject is not None  # noqa: S101 - one of the two has its path
    kind: Kind
    if subject.kind == "module twin":
        # The hub does not distinguish a missing twin from an empty one, and does not touch unnamed ones.
        before, after = (old.value if old else {}), (new.value if new else {})
        if new is None or same(before, after):
            return None
        kind = "added" if not before else "removed" if not after else "changed"
    else:
        before, after = (old.value if old else None), (new.value if new else None)
        if old is not None and new is not None and same(before, after):
            return None
        # A value that is not a section has no subjects, so a broken section counts as absent.
        was, is_ = (part is not None and not part.broken for part in (old, new))
        if subject.broken and old is None:
            was = True
        if subject.broken and new is None:
            is_ = True
        kind = "changed" if was == is_ else "added" if is_ else "removed"
    fields = tuple(_fields(subject, before, after)) if kind == "changed" else ()
    return Change(kind, subject.kind, subject.name, fields, _effect(kind, subject, before, after), subject.path, new)


# DockerModule.Equals; other fields of a module are not compared.
_RECREATING: Final = frozenset({"type", "version", "restartPolicy", "imagePullPolicy", "startupOrder", "env"})
_RECREATING_SETTINGS: Final = frozenset({"image", "digest", "createOptions"})


def _effect(kind: Kind, subject: Subject, before: Any, after: Any) -> Effect:
    if subject.kind in ("runtime", "registry credential"):
        return Effect.NOTED
    if subject.kind == "property":
        return Effect.NOTED if subject.path[1] == "$edgeAgent" else Effect.NONE
    if subject.kind not in ("module", "system module"):
        return Effect.NONE
    if kind == "added":
        return Effect.CREATED
    if kind == "removed":
        return Effect.REMOVED
    if not isinstance(before, dict) or not isinstance(after, dict):
        return Effect.RECREATED
    differing = _differing(before, after) & _RECREATING
    settings = _differing(as_mapping(before.get("settings")), as_mapping(after.get("settings"))) & _RECREATING_SETTINGS
    if subject.kind == "system module" and subject.name == "edgeAgent":
        # EdgeAgentDockerModule.Equals: by image, createOptions and env alone.
        return Effect.RECREATED if "env" in differing or settings & {"image", "createOptions"} else Effect.NOTED
    if differing or settings:
        return Effect.RECREATED
    if before.get("status") == after.get("status"):
        return Effect.NOTED
    return {"running": Effect.STARTED, "stopped": Effect.STOPPED}.get(str(after.get("status")), Effect.NOTED)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return (before.keys() ^ after.keys()) | {
        key for key in before.keys() & after.keys() if not same(before[key], after[key])
    }


def _fields(subject: Subject, before: Any, after: Any) -> Iterator[FieldChange]:
    if subject.kind == "property":
        if subject.path[-1] == "schemaVersion":
            yield FieldChange.of("schemaVersion", before, after)
        return
    if subject.kind == "route":
        before, after = ({"route": route} if isinstance(route, str) else route for route in (before, after))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    if subject.kind == "registry credential":
        yield from _credential_fields(before, after)
    elif subject.kind == "module twin":
        leaves = _leaves((), before, after)
        yield from (FieldChange.of(join("", *path), old, new, shown=False) for path, old, new in leaves)
    else:
        yield from _named_fields(before, after)


def _credential_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in sorted(_differing(before, after) - {"password"}):
        old, new = before.get(name), after.get(name)
        # Some users write an address as `user:password@host`.
        yield FieldChange.of(name, old, new, shown=name == "address" and "@" not in f"{old}{new}")


# Shown with their values. Others, and unknown ones, may contain secrets.
_SHOWN: Final = frozenset(
    {
        "type",
        "image",
        "digest",
        "status",
        "restartPolicy",
        "imagePullPolicy",
        "startupOrder",
        "version",
        "route",
        "priority",
        "timeToLiveSecs",
        "storeLimits",
        "minDockerVersion",
    }
)


def _named_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    """The fields of a module, a route, the store or the runtime, those under `settings` beside the others."""
    old, new = _flat(before), _flat(after)
    for name in sorted(_differing(old, new)):
        was, is_ = old.get(name), new.get(name)
        if name == "env":
            yield from _env_fields(was, is_)
        elif name == "createOptions":
            yield from _option_fields(was, is_)
        else:
            yield FieldChange.of(name, was, is_, shown=name in _SHOWN)


def _env_fields(before: Any, after: Any) -> Iterator[FieldChange]:
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        yield FieldChange("env")
        return
    old, new = before or {}, after or {}
    for name in sorted(_differing(old, new)):
        yield FieldChange(f"env {name}", kind=_kind(name, old, new))


def _kind(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Kind:
    return "added" if name not in before else "removed" if name not in after else "changed"


# Parts of createOptions whose values are settings of the container. Labels, commands, options of log and volume drivers
# and future options of Docker are shown by name only.
_PLAIN_OPTIONS: Final = frozenset({"HostConfig", "ExposedPorts", "NetworkingConfig"})
_HIDDEN_HOST_CONFIG: Final = frozenset({"LogConfig", "Mounts", "StorageOpt"})


def _option_fields(before: Any, after: Any) -> Iterator[FieldChange]:
    leaves = list(_leaves((), before, after))
    if not leaves and isinstance(before, Options) and isinstance(after, Options):
        moved = sorted(before.reordered(after))
        for path, old, new in moved:
            yield FieldChange(_option_name(path), _text(old), _text(new))
        if not moved:
            # edgeAgent compares the text, in which 1 is not 1.0 either.
            yield FieldChange("createOptions")
    for path, old, new in leaves:
        if path == ("Env",):
            yield from _option_env_fields(old, new)
            continue
        hidden = not path or path[0] not in _PLAIN_OPTIONS or (len(path) > 1 and path[1] in _HIDDEN_HOST_CONFIG)
        hidden = hidden or any(text is not None and is_secret(path[-1], text) for text in (_text(old), _text(new)))
        yield FieldChange.of(_option_name(path), old, new, shown=not hidden)


def _option_name(path: Path) -> str:
    return f"createOptions {join('', *path)}" if path else "createOptions"


def _option_env_fields(before: Any, after: Any) -> Iterator[FieldChange]:
    old, new = _variables(before), _variables(after)
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    # None: the same variables in another order, or values that are not strings.
    for name in names or [""]:
        yield FieldChange(f"createOptions /Env {name}".rstrip(), kind=_kind(name, old, new) if name else "changed")


def _variables(env: Any) -> dict[str, list[str]]:
    """The values of each name, however often it occurs."""
    found: dict[str, list[str]] = {}
    for item in env if isinstance(env, list) else ():
        if isinstance(item, str):
            name, _, value = item.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _leaves(path: Path, before: Any, after: Any) -> Iterator[tuple[Path, Any, Any]]:
    """The innermost differing values of two, with the keys that lead to them; None where one is absent."""
    old, new = (value if isinstance(value, dict) else {} if value is None else None for value in (before, after))
    if old is None or new is None or not (old or new):
        yield path, before, after
        return
    for key in sorted(_differing(old, new)):
        yield from _leaves((*path, key), old.get(key), new.get(key))


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
    settings = value.get("settings")
    if not isinstance(settings, dict):
        return dict(value)
    return {**{key: item for key, item in value.items() if key != "settings"}, **settings}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _remove(content: dict[str, Any], change: Change) -> None:
    *outer, last = change._path
    place: Any = content
    for key in outer:
        place = place.get(key)
        if not isinstance(place, dict):
            return
    if change.subject == "runtime":
        credentials = _credentials(content)
        place.pop(last, None)
        if credentials is not None:
            _place(content, CREDENTIALS, credentials)
    else:
        place.pop(last, None)


def _set(content: dict[str, Any], path: Path, subject: Subject) -> None:
    credentials = _credentials(content) if subject.kind == "runtime" else None
    _place(content, path, subject.value)
    if credentials is not None:
        _place(content, CREDENTIALS, credentials)


def _credentials(content: dict[str, Any]) -> Any:
    place: Any = content
    for key in CREDENTIALS:
        place = place.get(key) if isinstance(place, dict) else None
    return place


def _place(content: dict[str, Any], path: Path, value: Any) -> None:
    place = content
    for key in path[:-1]:
        inner = place.get(key)
        # A copy, since the value may be shared.
        place[key] = dict(inner) if isinstance(inner, dict) else {}
        place = place[key]
    place[path[-1]] = value
