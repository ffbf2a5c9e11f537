"""A layered deployment as the manifest that it becomes on a valid base deployment.

A layer may set a part of a module, a route or a credential, or a single property of the runtime. To judge such a
piece, it is put into an otherwise valid manifest: any fault of that manifest is a fault of the piece, whatever the
base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape, split
from manifestgen.manifest.reading import key_of
from manifestgen.manifest.section import DESIRED, Section

Path = tuple[str, ...]

_SETTINGS: Final = {"image": "mcr.microsoft.com/module:1.0"}
_MODULE: Final = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": _SETTINGS}
_CREDENTIAL: Final = {"address": "registry.example", "username": "user", "password": "password"}
_ROUTE: Final = {"route": "FROM /messages/* INTO $upstream"}
_AGENT: Final[Mapping[str, Any]] = {
    "schemaVersion": "1.1",
    "runtime": {"type": "docker", "settings": {}},
    "systemModules": {"edgeAgent": _MODULE, "edgeHub": _MODULE},
}
_HUB: Final[Mapping[str, Any]] = {
    "schemaVersion": "1.1",
    "routes": {},
    "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
}
# Objects of which there may be several, below what, and what each must have.
_ENTRIES: Final[tuple[tuple[Path, Mapping[str, Any]], ...]] = (
    (("modules",), _MODULE),
    (("runtime", "settings", "registryCredentials"), _CREDENTIAL),
    (("routes",), _ROUTE),
)


class Completed(Struct, frozen=True):
    """A layer in an otherwise valid manifest.

    Attributes:
        manifest: the whole.
        pieces: JSON Pointers into the layer's file by the places in `manifest` that the layer set.
    """

    manifest: Manifest
    pieces: Mapping[Path, str]

    def in_layer(self, pointer: str) -> str | None:
        """The pointer in the layer's file for a place of the whole; None if the layer does not set it."""
        path = tuple(split(pointer))
        for length in range(len(path), 0, -1):
            piece = self.pieces.get(path[:length])
            if piece is not None:
                return piece + "".join(f"/{escape(key)}" for key in path[length:])
        return None


def completed(layer: Manifest) -> Completed | None:
    """The manifest that a layer becomes; None if it sets no part of `$edgeAgent` and `$edgeHub`."""
    pieces: dict[Path, str] = {}
    entries: dict[str, Any] = {}
    for name, section, right in (("$edgeAgent", layer.agent, _AGENT), ("$edgeHub", layer.hub, _HUB)):
        desired: dict[str, Any] = {}
        for path, pointer in _put(section, desired):
            pieces[("modulesContent", name, DESIRED, *path)] = pointer
        entries[name] = {DESIRED: _filled(desired, right)}
    return Completed(Manifest.of({"modulesContent": entries}, layered=False), pieces) if pieces else None


def _put(section: Section, desired: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    made: set[int] = {id(desired)}
    # A part comes before what is inside it.
    for path, part in sorted(section.pieces, key=lambda piece: len(piece[0])):
        target = desired
        for key in path[:-1]:
            inner = target.get(key, {})
            if not isinstance(inner, dict):
                break
            if id(inner) not in made:
                inner = dict(inner)
                made.add(id(inner))
            target[key] = target = inner
        else:
            if path:
                target[path[-1]] = part.value
                yield path, part.pointer


def _filled(desired: dict[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = _merged(desired, right)
    for path, entry in _ENTRIES:
        _fill_entries(filled, path, entry)
    return filled


def _fill_entries(filled: dict[str, Any], path: Path, entry: Mapping[str, Any]) -> None:
    target = filled
    for name in path:
        key = key_of(target, name)
        if key is None or not isinstance(target[key], dict):
            return
        target[key] = target = dict(target[key])
    for key, value in target.items():
        target[key] = _merged(value, entry)


def _merged(value: Any, right: Any) -> Any:
    """A value and what it lacks; property names are found in any case, as the runtime does."""
    if not isinstance(value, dict) or not isinstance(right, Mapping):
        return value
    merged = dict(value)
    for name, item in right.items():
        key = key_of(value, name)
        merged[name if key is None else key] = item if key is None else _merged(value[key], item)
    return merged
