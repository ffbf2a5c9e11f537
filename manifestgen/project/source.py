"""Reads YAML as plain data, with the position of every key and value.

The result is JSON data: mappings with string keys, lists, strings, numbers, true, false, null. Plain
scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): `no` and `on` are strings,
`010` is ten, and a date is a string.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

Path = tuple[str | int, ...]

#: A project or values file is written by hand: this is a thousand times what one needs.
MAX_BYTES: Final = 4 * 1024 * 1024


class Place(Struct, frozen=True):
    """A position in a text, both counted from 1."""

    line: int
    column: int


class Source(Struct, frozen=True):
    """The data of a YAML text, with positions.

    Attributes:
        name: of the file, for messages.
        data: plain JSON data.
        keys: path to the place of the key there.
        values: path to the place of the value there; the root's path is `()`.
        written: path to the source text of a plain (unquoted) scalar that is not a string.
        environment: name of the environment merged into the data; see `environments.effective`.
        changed: paths of values from the environment.
        removed: paths of values that the environment removes.
    """

    name: str
    data: Any
    keys: dict[Path, Place]
    values: dict[Path, Place]
    written: dict[Path, str]
    environment: str | None = None
    changed: frozenset[Path] = frozenset()
    removed: frozenset[Path] = frozenset()

    def where(self, path: Path, *, key: bool = False) -> str:
        """`FILE:LINE:COLUMN` of a value (or its key), or of the nearest one around it."""
        while path:
            place = self.keys.get(path) if key else self.values.get(path)
            if place is not None:
                return f"{self.name}:{place.line}:{place.column}"
            path, key = path[:-1], False
        place = self.values[()]
        return f"{self.name}:{place.line}:{place.column}"


def parse(text: str, name: str) -> Source:
    """Read one YAML document.

    Args:
        text: the YAML.
        name: of the file, for messages.

    Raises:
        InputError: with line and column: not YAML, more than one document, a key given twice, a key that is not a
            text, a tag, a number that JSON cannot hold, or too much or too deeply nested data.
    """
    # Help and the JSON Schema read no YAML, and PyYAML takes a sixth of the time of a rendering to import.
    from manifestgen.project.yaml_reader import Reader

    return Reader(text, name).source()
