"""The variants of a solution that become environments: templates and `.env` files with a name in the middle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.importing.item import Notes
from manifestgen.project.sections import ENVIRONMENT_NAME
from manifestgen.solution import Solution, read_solution

_SUFFIX: Final = ".template.json"
#: Endings of `.env` files that are not for an environment.
_NOT_ENVIRONMENTS: Final = frozenset({"example", "sample", "template", "tmpl", "dist", "local", "bak", "orig", "swp"})


def variants_of(solution: Solution, environ: Mapping[str, str], notes: Notes) -> dict[str, Solution]:
    """The variants beside a template, by name.

    `deployment.debug.template.json` is variant `debug` of `deployment.template.json`, and `.env.prod` makes a variant
    `prod`. One that cannot be read is noted and left out.

    Args:
        solution: the template that is named.
        environ: variables of the process.
        notes: what is lost.
    """
    templates, envs = dict(_templates(solution.path)), dict(_env_files(solution))
    found: dict[str, Solution] = {}
    seen: dict[str, str] = {}
    for name in sorted({*templates, *envs}):
        first = seen.setdefault(name.lower(), name)
        place = templates.get(name) or envs[name]
        if first != name or not re.fullmatch(ENVIRONMENT_NAME, name):
            why = f"its name differs from {first!r} in case only" if first != name else "no environment can be named so"
            notes.lose(f"variant {name!r}", why, "rename it, and import again", str(place))
            continue
        try:
            env_file = envs.get(name) or (Path(solution.env.name) if solution.env.name else None)
            template = templates.get(name, solution.path)
            found[name] = read_solution(template, environ, solution.profile, env_file)
        except InputError as error:
            notes.lose(f"variant {name!r}", error.what, error.fix, error.where)
    return found


def _templates(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.name.endswith(_SUFFIX):
        return
    stem = path.name.removesuffix(_SUFFIX)
    for file in sorted(path.parent.iterdir()):
        if file.name.startswith(f"{stem}.") and file.name.endswith(_SUFFIX) and file != path and file.is_file():
            yield file.name.removeprefix(f"{stem}.").removesuffix(_SUFFIX), file


def _env_files(solution: Solution) -> Iterator[tuple[str, Path]]:
    for file in sorted(solution.folder.glob(".env.*")):
        name = file.name.removeprefix(".env.")
        if name.lower() not in _NOT_ENVIRONMENTS and file.is_file():
            yield name, file


def patch(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Merge Patch (RFC 7396) from `base` to `wanted`: null removes."""
    changes: dict[str, Any] = {key: None for key in base if key not in wanted}
    for key, value in wanted.items():
        before = base.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if below := patch(before, value):
                changes[key] = below
        elif key not in base or before != value:
            changes[key] = value
    return changes
