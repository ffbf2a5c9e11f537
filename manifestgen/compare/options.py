"""createOptions as edgeAgent compares them: read into its classes, written out again, and compared as text.

So the names of its own properties may be in any case and any order, `"Memory": "5"` is 5, and an omitted property is
the default; but another order of labels, ports, or keys that only Docker knows makes edgeAgent recreate the module.

Source: DockerConfig.CompareCreateOptions and models/*.cs of Agent.Docker, version 1.6.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from manifestgen.manifest import container
from manifestgen.manifest.container import RESTART_POLICY, Shape
from manifestgen.manifest.reading import as_text, enum_member, rounded

_FIRST_NAMES: Final = {
    word: next(first for first in RESTART_POLICY if RESTART_POLICY[first] == number)
    for word, number in RESTART_POLICY.items()
}


class Options(dict[str, Any]):
    """createOptions in their normal form.

    Attributes:
        ordered: whether the device gets them in this order. It does if they are a text in the twin; in which order IoT
            Hub hands out the keys of an object is its own affair.
    """

    def __init__(self, value: dict[str, Any], *, ordered: bool) -> None:
        super().__init__(value)
        self.ordered = ordered

    def same_text(self, other: Options) -> bool:
        """Whether both are the same when written out: the keys in the same order at every depth, and 1 is not 1.0."""
        return json.dumps(self) == json.dumps(other)

    def reordered(self, other: Options) -> Iterator[tuple[tuple[str, ...], list[str], list[str]]]:
        """The objects with the same keys in another order: the path to each, its keys here and there."""
        yield from _reordered((), self, other)


def normal_options(text: str, *, ordered: bool) -> Options | str:
    """The createOptions as an object; the text itself if edgeAgent does not read it as one.

    Args:
        text: of all chunks.
        ordered: whether the twin holds them as text.
    """
    options = container.read(text)
    return text if options.error else Options(_typed(options.data, container.CREATE), ordered=ordered)


def _typed(value: Any, shape: Shape | None) -> Any:
    """A value as the classes hold it; as it is where they refuse it, and where they know nothing of it."""
    if shape is None or value is None:
        return value
    if isinstance(value, dict):
        if shape.item:
            return {key: _typed(item, shape.item) for key, item in value.items()}
        return _properties(value, shape) if shape.keys else {} if shape.kind == "object" else value
    if isinstance(value, list):
        return [_typed(item, shape.item) for item in value]
    found: Any
    if shape.kind == "text":
        found = as_text(value)
    elif shape.kind == "boolean":
        found = container.boolean(value)
    elif shape.kind == "integer":
        found = rounded(value, *shape.limits)
    else:
        member = enum_member(value, RESTART_POLICY) if shape.kind == "restart policy" else None
        found = None if member is None else _FIRST_NAMES[member]
    return value if found is None else found


def _properties(value: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The properties of an object: first those of its class, in a fixed order and without defaults, then the rest."""
    result = {}
    for name, inner in shape.keys.items():
        typed = _typed(value.get(name), inner)
        default = typed is None or (not inner.nullable and typed in (0, ""))
        if not default:
            result[name] = typed
    result.update((key, item) for key, item in value.items() if key not in shape.keys)
    return result


def _reordered(path: tuple[str, ...], one: Any, other: Any) -> Iterator[tuple[tuple[str, ...], list[str], list[str]]]:
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() == other.keys() and list(one) != list(other):
            yield path, list(one), list(other)
        for key in one.keys() & other.keys():
            yield from _reordered((*path, key), one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        for index, (here, there) in enumerate(zip(one, other, strict=False)):
            yield from _reordered((*path, str(index)), here, there)
