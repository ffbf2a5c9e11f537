"""What the runtime refuses in a section of a manifest: the rules of `check`, so that there is one truth about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manifestgen.manifest.document import read
from manifestgen.manifest.dump import compact
from manifestgen.rules import KNOWN_ON, RULES, Effect, Side


@dataclass(frozen=True)
class Refusal:
    """Why edgeAgent or edgeHub refuses its desired properties.

    Attributes:
        rule: id of the rule that says so.
        status: the code that is reported then.
        message: what is wrong, which edgeAgent keeps in its log.
    """

    rule: str
    status: int
    message: str


def refusals(module: str, desired: Mapping[str, Any]) -> Sequence[Refusal]:
    """Everything for which `$edgeAgent` or `$edgeHub` refuses these desired properties.

    Places that look like a template's count as well: a device does not know of templates.
    """
    side = Side.AGENT if module == "$edgeAgent" else Side.EDGE_HUB
    return _refusals(side, compact({"modulesContent": {module: {"properties.desired": desired}}}))


@lru_cache(maxsize=256)  # a fleet is mostly given one manifest
def _refusals(side: Side, text: str) -> tuple[Refusal, ...]:
    document = read(text)
    return tuple(
        Refusal(rule.id, rule.status, problem.message)
        for rule in RULES
        if rule.effect is Effect.REFUSED and rule.side is side and rule.status is not None
        for problem in rule.problems(document, KNOWN_ON)
    )
