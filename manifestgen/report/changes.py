"""A plan as text and as JSON. Values that may be secret are not in a plan, so neither form can show one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from manifestgen.compare.diff import Change, Effect, FieldChange
from manifestgen.report.printable import printable
from manifestgen.secret import redact

if TYPE_CHECKING:
    from manifestgen.device.plan import Plan

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
        yield from (f"      {_SIGNS[field.kind]} {printable(str(field))}" for field in change.fields)


def summary(plan: Plan) -> str:
    """One line: how many changes of each kind, and how many containers they recreate."""
    if not plan.changes:
        return f"no changes: the device already has this manifest (version {plan.version})"
    return tally(plan.changes)


def tally(changes: Collection[Change]) -> str:
    """How many changes of each kind, and how many containers they recreate."""
    return f"plan: {_counts(changes)}"


def _counts(changes: Collection[Change]) -> str:
    counts = Counter(change.kind for change in changes)
    recreated = sum(change.effect is Effect.RECREATED for change in changes)
    containers = f" ({recreated} container{'s' if recreated > 1 else ''} recreated)" if recreated else ""
    return f"{counts['added']} to add, {counts['changed']} to change{containers}, {counts['removed']} to remove"


def markdown(plan: Plan) -> str:
    """The plan for a comment on a pull request; what is in the manifest cannot leave its block of code."""
    head = f"Plan for device {_code(plan.device)} on {_code(plan.hub)}"
    kept = [f"Kept, since only the device has it: {_code(name)}" for name in plan.kept]
    return _comment(head, plan.changes, summary(plan).removeprefix("plan: "), (*map(_warning, plan.warnings), *kept))


def difference_text(before: str, after: str, changes: Collection[Change]) -> str:
    """The changes between two manifests as text: which two, one line per change, what differs below it, a summary."""
    return "\n".join([f"{printable(before)} -> {printable(after)}", *lines(changes), _difference(changes)])


def difference_markdown(before: str, after: str, changes: Collection[Change]) -> str:
    """The same for a comment on a pull request."""
    return _comment(f"From {_code(before)} to {_code(after)}", changes, _difference(changes), ())


def difference_data(before: str, after: str, changes: Iterable[Change]) -> dict[str, Any]:
    """The same as JSON data: `{"before", "after", "changes": […]}`; see `data`."""
    return {"before": before, "after": after, "changes": [change_data(change) for change in changes]}


def _difference(changes: Collection[Change]) -> str:
    return _counts(changes) if changes else "no differences"


def _comment(head: str, changes: Collection[Change], summary: str, remarks: Iterable[str]) -> str:
    parts = [f"**{head}**", *(f"> {remark}" for remark in remarks)]
    if changes:
        body = [redact(line) for line in _diff_lines(changes)]
        fence = "`" * max(3, 1 + max(len(run) for line in body for run in re.findall("`*", line)))
        parts.append("\n".join([f"{fence}diff", *body, fence]))
    return "\n\n".join([*parts, summary])


# Prefixes that diff highlighters color green, red, and orange.
_DIFF_SIGNS = {"added": "+", "removed": "-", "changed": "!"}


def _diff_lines(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        yield f"{_DIFF_SIGNS[change.kind]} {printable(str(change))}{_suffix(change)}"
        yield from (f"{_DIFF_SIGNS[field.kind]}     {printable(str(field))}" for field in change.fields)


def _warning(text: str) -> str:
    # The backslash keeps names of modules from being links, emphasis or mentions of people.
    return "**Warning:** " + re.sub(r"([^\w\s,.:;/()'-])", r"\\\1", redact(printable(text)))


def _code(text: str) -> str:
    return f"`{redact(printable(text)).replace('`', chr(39))}`"


def data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: `{"hub", "device", "version", "changes": […], "warnings": […]}`.

    A change is `{"kind", "subject", "name", "effect", "fields": [{"kind", "field", "before", "after"}]}`, with null for
    a value that is absent or not shown.
    """
    return {
        "hub": plan.hub,
        "device": plan.device,
        "version": plan.version,
        "changes": [change_data(change) for change in plan.changes],
        "warnings": list(plan.warnings),
    }


def remark(change: Change) -> str:
    """The device's reaction to a changed module, in words; empty for other changes."""
    if change.kind != "changed" or change.subject not in ("module", "system module"):
        return ""
    return _EFFECTS.get(change.effect, "")


def _suffix(change: Change) -> str:
    said = remark(change)
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
    return {"kind": field.kind, "field": field.field, "before": field.before, "after": field.after}
