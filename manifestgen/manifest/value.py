"""A Struct that hides fields from its repr: those that may be long, or hold a secret."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct


class Value(Struct, frozen=True):
    """A Struct whose repr leaves out the fields named in `_hidden`."""

    _hidden: ClassVar[frozenset[str]] = frozenset()

    def _shown(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self._hidden]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"
