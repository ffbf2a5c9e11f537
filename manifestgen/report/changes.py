"""A plan as text and as JSON. Values that may be secret are not in a plan, so neither form can show one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from manifestgen.compare.diff import Change, Effect, FieldChange
from manifestgen.device.plan import Plan
from manifestgen.report._printable import printable

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
# Said of modules that both sides have: that an added one is created needs no words.
_EFFECTS = {
    Effect.RECREATED: "container is recreated",
    Effect.STARTED: "container is started",
    Effect.STOPPED: "container is stopped",
    Effect.NOTED: "container keeps running",
}


def text(plan: Plan) -> str:
    """The plan as text: one line per change, what differs below it, and a summary."""
    return "\n".join([f"device {plan.device!r} on {plan.hub}", *lines(plan.changes), summary(plan)])


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """One line per change, and what differs below it."""
    for change in changes:
        yield f"  {_SIGNS[change.kind]} {printable(str(change))}{_suffix(change)}"
        yield from (f"      {printable(str(field))}" for field in change.fields)


def summary(plan: Plan) -> str:
    """One line: how many changes of each kind, and how many containers they recreate."""
    if not plan.changes:
        return f"no changes: the device already has this manifest (version {plan.version})"
    return tally(plan.changes)


def tally(changes: Collection[Change]) -> str:
    """How many changes of each kind, and how many containers they recreate."""
    counts = Counter(change.kind for change in changes)
    recreated = sum(change.effect is Effect.RECREATED for change in changes)
    containers = f" ({recreated} container{'s' if recreated > 1 else ''} recreated)" if recreated else ""
    return f"plan: {counts['added']} to add, {counts['changed']} to change{containers}, {counts['removed']} to remove"


def data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: `{"hub", "device", "version", "changes": […], "warnings": […]}`.

    A change is `{"kind", "subject", "name", "effect", "fields": [{"field", "before", "after"}]}`, with null for a value
    that is absent or not shown.
    """
    return {
        "hub": plan.hub,
        "device": plan.device,
        "version": plan.version,
        "changes": [change_data(change) for change in plan.changes],
        "warnings": list(plan.warnings),
    }


def _suffix(change: Change) -> str:
    said = change.kind == "changed" and change.subject in ("module", "system module") and _EFFECTS.get(change.effect)
    return f"  # {said}" if said else ""


def change_data(change: Change) -> dict[str, Any]:
    """A change as JSON data; see `data`."""
    return {
        "kind": change.kind,
        "subject": change.subject,
        "name": change.name,
        "effect": change.effect.value,
        "fields": [_field(field) for field in change.fields],
    }


def _field(field: FieldChange) -> dict[str, Any]:
    return {"field": field.field, "before": field.before, "after": field.after}
