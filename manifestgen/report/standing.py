"""The state of many devices as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from manifestgen.operate.standing import Group, counts
from manifestgen.report.amount import counted

# Of failing devices, more are in the JSON document.
_MOST: Final = 20


def text(groups: Sequence[Group]) -> str:
    """Counts by state, then each reason with its devices, those that fail by name."""
    total = sum(len(group.devices) for group in groups)
    listed = ", ".join(f"{count:,} {state}" for state, count in counts(groups).items())
    lines = [f"{counted(total, 'device')}: {listed}"]
    for group in groups:
        if not group.reason:
            continue
        lines.append(f"  {group.state} {len(group.devices):>5,}  {group.reason}")
        if group.bad:
            more = f", and {len(group.devices) - _MOST:,} more" if len(group.devices) > _MOST else ""
            lines.append(f"    {', '.join(group.devices[:_MOST])}{more}")
    return "\n".join(lines)


def data(groups: Sequence[Group]) -> dict[str, Any]:
    """The same as JSON data, with all devices."""
    return {
        "devices": sum(len(group.devices) for group in groups),
        "counts": dict(counts(groups)),
        "groups": [{"state": group.state, "reason": group.reason, "devices": list(group.devices)} for group in groups],
    }
