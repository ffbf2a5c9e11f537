"""The items in an import's report: values to supply, parts not carried over, mistakes in the source."""

from __future__ import annotations

from msgspec import Struct


class Item(Struct, frozen=True):
    """A sentence about a part of a solution.

    Attributes:
        what: it is about, such as `secret STORAGE_KEY`.
        why: it is not in the project, or differs there.
        fix: what to do about it; empty if nothing.
        where: `FILE:LINE:COLUMN`, or a file; empty if it has no place.
    """

    what: str
    why: str
    fix: str = ""
    where: str = ""


class Notes:
    """Collects items, each once, in order."""

    def __init__(self) -> None:
        self._supply: dict[tuple[str, str], Item] = {}
        self._lost: dict[Item, None] = {}
        self._wrong: dict[Item, None] = {}

    def supply(self, what: str, why: str, fix: str, where: str = "") -> None:
        """Note something that the user has to supply; the first place of several is kept."""
        self._supply.setdefault((what, fix), Item(what, why, fix, where))

    def lose(self, what: str, why: str, fix: str = "", where: str = "") -> None:
        """Note something that was not carried over, or not as it was."""
        self._lost[Item(what, why, fix, where)] = None

    def fault(self, what: str, why: str, fix: str, where: str) -> None:
        """Note a mistake of the solution, which was carried over as it is."""
        self._wrong[Item(what, why, fix, where)] = None

    @property
    def supplied(self) -> tuple[Item, ...]:
        """A value to supply."""
        return tuple(self._supply.values())

    @property
    def lost(self) -> tuple[Item, ...]:
        """A part that was not carried over."""
        return tuple(self._lost)

    @property
    def wrong(self) -> tuple[Item, ...]:
        """A mistake to correct."""
        return tuple(self._wrong)
