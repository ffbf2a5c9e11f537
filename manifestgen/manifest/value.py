"""Values that are cheap to define and to make, and whose repr leaves out what may be long or secret."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct


class Value(Struct, frozen=True):
    """A value whose repr shows all of its fields but some."""

    _unseen: ClassVar[frozenset[str]] = frozenset()

    def _seen(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self._unseen]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._seen())})"
