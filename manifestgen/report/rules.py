"""Rule documentation as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifestgen.rules import Rule


def rule_text(rule: Rule) -> str:
    """The documentation of one rule: what, effect, why, how to fix."""
    head = (f"{rule.id}: {rule.summary}", f"effect: {effect_text(rule)}", "", rule.why, "", f"fix: {rule.fix}")
    return "\n".join((*head, "", f"bad:  {rule.bad}", f"good: {rule.good}"))


def effect_text(rule: Rule) -> str:
    """The effect with its severity, and what rejects the manifest."""
    text = f"{rule.effect.value} ({rule.severity.value})"
    if rule.side is None:
        return text
    answer = f", which reports {rule.status}" if rule.status else ""
    return f"{text} by {rule.side.value}{answer}"


def rule_list(rules: Sequence[Rule]) -> str:
    """One line for each rule: id, severity, summary."""
    width = max(len(rule.id) for rule in rules)
    return "\n".join(f"{rule.id:<{width}}  {rule.severity.value:<7}  {rule.summary}" for rule in rules)


def rule_data(rule: Rule) -> dict[str, Any]:
    """A rule as JSON data."""
    return {
        "id": rule.id,
        "effect": rule.effect.value,
        "severity": rule.severity.value,
        "side": rule.side.value if rule.side else None,
        "status": rule.status,
        "summary": rule.summary,
        "why": rule.why,
        "fix": rule.fix,
        "bad": rule.bad,
        "good": rule.good,
    }
