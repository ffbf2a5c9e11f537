"""A plan as text and as JSON. Values that may be secret are not in a plan, so neither form can show one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from manifestgen.diff import Change, FieldChange
from manifestgen.plan import Plan

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def text(plan: Plan) -> str:
    """The plan for a person: one line a change, what differs below it, and a summary."""
    lines = [f"device {plan.device!r} on {plan.hub}"]
    for change in plan.changes:
        lines.append(f"  {_SIGNS[change.kind]} {change}")
        lines.extend(f"      {field}" for field in change.fields)
    lines.append(summary(plan))
    return "\n".join(lines)


def summary(plan: Plan) -> str:
    """One line: how many changes of each kind."""
    if not plan.changes:
        return f"no changes: the device has this manifest already (version {plan.version})"
    counts = Counter(change.kind for change in plan.changes)
    return f"plan: {counts['added']} to add, {counts['changed']} to change, {counts['removed']} to remove"


def data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: `{"hub", "device", "version", "changes": […], "warnings": […]}`."""
    return {
        "hub": plan.hub,
        "device": plan.device,
        "version": plan.version,
        "changes": [_change(change) for change in plan.changes],
        "warnings": list(plan.warnings),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "subject": change.subject,
        "name": change.name,
        "fields": [_field(field) for field in change.fields],
    }


def _field(field: FieldChange) -> dict[str, Any]:
    return {"field": field.field, "before": field.before, "after": field.after}
