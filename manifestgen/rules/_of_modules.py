"""Runs the rules that look at each module by itself, and keeps what they found.

Most modules have been seen before: in another site's manifest, or before the last keystroke. Looking their problems up
by the module's packed content takes a fraction of the time.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any, Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules import RULES
from manifestgen.rules._rule import Problem, Rule

_UNUSUAL: Final = 16384
_ALONE: Final = tuple(rule for rule in RULES if rule.alone)


def found_in_modules(manifest: Manifest) -> list[tuple[Rule, Problem]]:
    """The problems that these rules find in each module of a manifest."""
    found: list[tuple[Rule, Problem]] = []
    for module in manifest.modules():
        data: Any = module.data
        try:
            # Version 2 packs equal data into equal bytes; later ones remember which objects were shared.
            packed = marshal.dumps(data, 2)
        except ValueError:
            # Hundreds of levels deep.
            problems = _run(module.name, data, system=module.system)
        else:
            usual = len(packed) <= _UNUSUAL
            problems = (_kept if usual else _unpacked)(module.name, packed, module.system)
        for rule, problem in problems:
            found.append((rule, problem.below(module.pointer)))
    return found


def _unpacked(name: str, packed: bytes, system: bool) -> tuple[tuple[Rule, Problem], ...]:
    return _run(name, marshal.loads(packed), system=system)  # noqa: S302 - our own bytes, packed just before


_kept = lru_cache(maxsize=4096)(_unpacked)


def _run(name: str, data: Any, *, system: bool) -> tuple[tuple[Rule, Problem], ...]:
    manifest = Manifest.of_module(name, data, system=system)
    return tuple((rule, problem) for rule in _ALONE for problem in rule.problems_of(manifest))
