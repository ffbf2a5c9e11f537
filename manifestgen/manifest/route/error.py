"""A route that the runtime's parser refuses."""

from __future__ import annotations

from typing import Final

from manifestgen.errors import InputError

_LONGEST_QUOTE: Final = 60


class RouteSyntaxError(InputError):
    """A text that is not a route: edgeHub reports 400 and uses none of the manifest's routes.

    Attributes:
        offset: where in the text, in characters from 0; the text's length if it ends too early.
        length: of what was seen there, in characters; 0 at the end.
        expected: what could have stood there instead, each as one would write it; may be empty.
    """

    def __init__(self, message: str, offset: int, length: int, expected: tuple[str, ...], fix: str) -> None:
        super().__init__(message, fix=fix, where=f"column {offset + 1}")
        self.offset = offset
        self.length = length
        self.expected = expected


def join(alternatives: tuple[str, ...]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *most, last = alternatives
    return f"{', '.join(most)} or {last}" if most else last


def quoted(text: str) -> str:
    """A text for a message: in quotes, shortened, with what cannot be printed written as an escape."""
    if len(text) > _LONGEST_QUOTE:
        text = text[: _LONGEST_QUOTE - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + "'"
