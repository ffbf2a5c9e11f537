"""Which sections of a manifest the runtime rejects. Uses the rules of `check`, so the two cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manifestgen.manifest.document import read
from manifestgen.manifest.dump import compact
from manifestgen.rules import KNOWN_ON, RULES, Effect, Side


@dataclass(frozen=True)
class Rejection:
    """Why edgeAgent or edgeHub rejects its desired properties.

    Attributes:
        rule: ID of the violated rule.
        status: the status code that is reported.
        message: what is wrong; edgeAgent writes it to its log only.
    """

    rule: str
    status: int
    message: str


def rejections(module: str, desired: Mapping[str, Any]) -> Sequence[Rejection]:
    """All reasons for which `$edgeAgent` or `$edgeHub` rejects these desired properties.

    Text that looks like a placeholder counts as well: a device knows no templates.
    """
    side = Side.AGENT if module == "$edgeAgent" else Side.EDGE_HUB
    return _rejections(side, compact({"modulesContent": {module: {"properties.desired": desired}}}))


@lru_cache(maxsize=256)  # most devices of a fleet get the same manifest
def _rejections(side: Side, text: str) -> tuple[Rejection, ...]:
    document = read(text)
    return tuple(
        Rejection(rule.id, rule.status, problem.message)
        for rule in RULES
        if rule.effect is Effect.REFUSED and rule.side is side and rule.status is not None
        for problem in rule.problems(document, KNOWN_ON)
    )
