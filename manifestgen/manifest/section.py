"""The desired properties of a module twin, as a manifest sets them, with their places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Final

from msgspec import Struct

from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import key_of
from manifestgen.manifest.value import Value

DESIRED: Final = "properties.desired"
_DOTTED: Final = DESIRED + "."


class Part(Value, frozen=True):
    """A value in a manifest with its place.

    Attributes:
        name: the last key of its place.
        pointer: JSON Pointer into the file as given.
        value: plain JSON.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    pointer: str
    value: Any


class Section(Struct, frozen=True, dict=True):
    """The desired properties of one module twin, whole or in the pieces that a layered deployment sets.

    Attributes:
        pieces: path below `properties.desired` (empty for the whole) and what is set there.
    """

    pieces: tuple[tuple[tuple[str, ...], Part], ...] = ()

    @cached_property
    def whole(self) -> Part | None:
        """`properties.desired` itself, if the manifest replaces it."""
        return next((part for path, part in self.pieces if not path), None)

    def find(self, *path: str) -> Part | None:
        """The value at a path, looked up as by the runtime, ignoring case. None if there is none."""
        for at, part in self.pieces:
            if path[: len(at)] != at:
                continue
            found: Part | None = part
            for name in path[len(at) :]:
                found = child(found, name)
                if found is None:
                    break
            else:
                return found
        return None

    @cached_property
    def _known(self) -> dict[tuple[str, ...], tuple[Part, ...]]:
        return {}

    def children(self, *path: str) -> tuple[Part, ...]:
        """The content of the object at a path, from all pieces that set it."""
        # Every other rule looks at the same few objects.
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = tuple(self._children(path))
        return known

    def _children(self, path: tuple[str, ...]) -> Iterator[Part]:
        length = len(path)
        for at, part in self.pieces:
            if len(at) == length + 1:
                if at[:length] == path:
                    yield part
            elif path[: len(at)] == at:
                found: Part | None = part
                for name in path[len(at) :]:
                    found = child(found, name)
                    if found is None:
                        break
                if found is not None and isinstance(found.value, dict):
                    for key, value in found.value.items():
                        yield Part(key, f"{found.pointer}/{escape(key)}", value)

    def deeper(self, *path: str) -> Iterator[tuple[tuple[str, ...], Part]]:
        """Pieces that set something inside a child of the object at `path`, with their paths from there on."""
        length = len(path)
        for at, part in self.pieces:
            if len(at) > length + 1 and at[:length] == path:
                yield at[length:], part


def child(part: Part | None, name: str) -> Part | None:
    """The value that the runtime finds for `name` in an object; None without the key or the object."""
    if part is None or not isinstance(part.value, dict):
        return None
    key = key_of(part.value, name)
    return None if key is None else Part(key, f"{part.pointer}/{escape(key)}", part.value[key])


def section_of(entry: Any, pointer: str) -> Section:
    """The desired properties that an entry of `modulesContent` sets."""
    if not isinstance(entry, dict):
        return Section()
    pieces: list[tuple[tuple[str, ...], Part]] = []
    for key, value in entry.items():
        if key == DESIRED:
            pieces.append(((), Part(key, f"{pointer}/{DESIRED}", value)))
        elif key.startswith(_DOTTED):
            path = tuple(key[len(_DOTTED) :].split("."))
            pieces.append((path, Part(path[-1], f"{pointer}/{escape(key)}", value)))
    return Section(tuple(pieces))
