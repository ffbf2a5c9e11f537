"""Aggregates of IoT Hub's query language: COUNT, SUM, AVG, MIN and MAX, over all documents or over groups of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from manifestgen.sandbox.hub.query_terms import UNDEFINED, Document, Expression, is_number
from manifestgen.sandbox.world import dump

#: Functions of the values of a group. Documents that lack the value, or whose value is not a number, are left out.
AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], Any]]] = {
    "count": len,
    "sum": sum,
    "avg": lambda values: sum(values) / len(values) if values else UNDEFINED,
    "min": lambda values: min(values, default=UNDEFINED),
    "max": lambda values: max(values, default=UNDEFINED),
}


@dataclass(frozen=True)
class Aggregate:
    """One aggregate of a query: its name in the result, its function (a key of `AGGREGATES`), and what it reads."""

    name: str
    kind: str
    value: Expression


class Groups:
    """Rows of a query with aggregates, built document by document.

    Args:
        group: the values that make a group; none puts all documents into one.
        project: a document's other columns in the result; the first document of a group gives them.
        aggregates: what is calculated for each group.
    """

    def __init__(
        self,
        group: Sequence[Expression],
        project: Callable[[Document], dict[str, Any]],
        aggregates: Sequence[Aggregate],
    ) -> None:
        self._group = group
        self._project = project
        self._aggregates = aggregates
        self._rows: dict[bytes, tuple[dict[str, Any], list[list[float]]]] = {}
        if not group:
            self._rows[dump([])] = {}, [[] for _ in aggregates]

    def add(self, document: Document) -> None:
        """Count a document that meets the query's condition."""
        values = [value(document) for value in self._group]
        # A missing value forms a group, and null another.
        key = dump([[] if value is UNDEFINED else [value] for value in values])
        if key not in self._rows:
            self._rows[key] = self._project(document), [[] for _ in self._aggregates]
        for numbers, aggregate in zip(self._rows[key][1], self._aggregates, strict=True):
            found = aggregate.value(document)
            if is_number(found):
                numbers.append(found)

    def rows(self) -> list[dict[str, Any]]:
        """The result, one row for each group, in the order in which they were first seen."""
        found = []
        for columns, numbers in self._rows.values():
            calculated = {
                aggregate.name: AGGREGATES[aggregate.kind](values)
                for aggregate, values in zip(self._aggregates, numbers, strict=True)
            }
            found.append({**columns, **{name: value for name, value in calculated.items() if value is not UNDEFINED}})
        return found
