"""A hub's automatic deployments as text and as JSON, without their contents, which may hold passwords."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from manifestgen.cloud import Configuration
from manifestgen.deployments.deployment import NAME_LABEL
from manifestgen.manifest.manifest import Manifest
from manifestgen.report.printable import printable


def list_text(found: Sequence[Configuration]) -> Iterator[str]:
    """One line for each: its id, priority, target condition and how many devices it reaches."""
    width = max((len(each.id) for each in found), default=0)
    for each in found:
        yield f"{printable(each.id):<{width}}  priority {each.priority:>4}  {_counts(each)}  {_condition(each)}"


def configuration_text(each: Configuration) -> str:
    """The details of one, a line each."""
    rows = {
        "id": each.id,
        "name": each.labels.get(NAME_LABEL, "(not manifestgen's)"),
        "condition": _condition(each),
        "priority": str(each.priority),
        "modules": ", ".join(_modules(each)) or "none",
        "devices": _counts(each),
        "created": each.created.strftime("%Y-%m-%d %H:%M:%S UTC") if each.created else "-",
        "labels": ", ".join(f"{key}={value}" for key, value in each.labels.items() if key != NAME_LABEL) or "-",
        "metrics": ", ".join(f"{key} {each.results.get(key, '-')}" for key in each.metrics) or "-",
    }
    return "\n".join(f"{key:<10} {printable(value)}" for key, value in rows.items())


def configuration_data(each: Configuration) -> dict[str, Any]:
    """The same as JSON data: `{"id", "name", "condition", "priority", "modules", "counts", "created", …}`."""
    return {
        "id": each.id,
        "name": each.labels.get(NAME_LABEL),
        "condition": each.condition,
        "priority": each.priority,
        "modules": list(_modules(each)),
        "counts": dict(each.counts),
        "created": each.created.isoformat() if each.created else None,
        "labels": {key: value for key, value in each.labels.items() if key != NAME_LABEL},
        "metrics": dict(each.metrics),
        "results": dict(each.results),
    }


def _modules(each: Configuration) -> Iterator[str]:
    return (module.name for module in Manifest.of(each.content).modules() if not module.system)


def _condition(each: Configuration) -> str:
    return printable(each.condition) if each.condition.strip() else "(no devices)"


def _counts(each: Configuration) -> str:
    targeted, applied = each.counts.get("targetedCount"), each.counts.get("appliedCount")
    return f"targets {'-' if targeted is None else targeted}, applied {'-' if applied is None else applied}"
