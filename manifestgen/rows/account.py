"""The outcome of each row: every row is in exactly one class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.rows.journal import Journal, State
from manifestgen.rows.rows import Rows

Class = Literal["applied", "unchanged", "refused", "failed", "not tried"]

#: In the order in which they are reported.
CLASSES: Final[tuple[Class, ...]] = ("applied", "unchanged", "refused", "failed", "not tried")

_CLASS_OF: Final[dict[State, Class]] = {
    State.UNTOUCHED: "not tried",
    State.INTENDED: "failed",
    State.APPLIED: "applied",
    State.UNCHANGED: "unchanged",
    State.REFUSED: "refused",
    State.FAILED: "failed",
}
_UNKNOWN: Final = "it was sent, but the run ended before the hub's response arrived"
_AGAIN: Final = "run the same command again: it checks the hub first"


class RowOutcome(Struct, frozen=True):
    """The outcome of a row.

    Attributes:
        line: of the file where the row begins.
        device: empty if the row has none.
        why: the reason, if it was refused or failed.
        fix: what to do about it.
        manifest: digest of the manifest that was sent.
    """

    line: int
    device: str
    outcome: Class
    why: str = ""
    fix: str = ""
    manifest: str = ""


class Account(Struct, frozen=True):
    """How many rows are in each class."""

    applied: int = 0
    unchanged: int = 0
    refused: int = 0
    failed: int = 0
    not_tried: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self.counts().values())

    def counts(self) -> dict[Class, int]:
        """The number of rows of each class."""
        numbers = (self.applied, self.unchanged, self.refused, self.failed, self.not_tried)
        return dict(zip(CLASSES, numbers, strict=True))


def account_of(journal: Journal) -> Account:
    """Count the rows of each class in the journal."""
    return Account(
        applied=journal.count(State.APPLIED),
        unchanged=journal.count(State.UNCHANGED),
        refused=journal.count(State.REFUSED),
        failed=journal.count(State.FAILED) + journal.count(State.INTENDED),
        not_tried=journal.count(State.UNTOUCHED),
    )


def outcomes(rows: Rows, journal: Journal) -> Iterator[RowOutcome]:
    """The outcome of each row, in the order of the file; call it after the run."""
    entries = journal.entries(rows.survey.count)
    for row in rows:
        number, state, entry = next(entries, (0, State.UNTOUCHED, {}))
        if number != row.number:
            raise InputError("the rows changed in the meantime", where="rows", fix="run the same command again")
        unknown = state is State.INTENDED
        yield RowOutcome(
            row.line,
            row.device,
            _CLASS_OF[state],
            _UNKNOWN if unknown else str(entry.get("why", "")),
            _AGAIN if unknown else str(entry.get("fix", "")),
            str(entry.get("manifest") or entry.get("intent") or ""),
        )
