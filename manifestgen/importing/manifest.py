"""`manifestgen import --manifest`: writes the manifest that the tool generates from a solution."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.dump import dump
from manifestgen.solution import Generated, Solution, generate


class ManifestText(Struct, frozen=True):
    """A manifest, not written yet.

    Attributes:
        text: JSON.
        unresolved: placeholders without a value that are still in it.
        secrets: names of the variables with a secret that are in it.
    """

    text: str
    unresolved: tuple[str, ...]
    secrets: tuple[str, ...]


def manifest_text(
    solution: Solution, platform: str, *, debug: bool, inline: bool, allow_undefined: bool
) -> ManifestText:
    """The manifest of a solution.

    Args:
        solution: the template and what is beside it.
        platform: the tool's, such as `amd64`.
        debug: whether image placeholders without a platform mean debug images.
        inline: whether variables with a secret are replaced; their placeholders stay if not.
        allow_undefined: whether placeholders without a value may stay.

    Raises:
        InputError: a placeholder has no value, or `solution.generate` fails.
    """
    variables = solution.env.variables
    secret = {name for name, variable in variables.items() if variable.secret}
    generated = generate(solution, platform, debug=debug, keep=lambda name: not inline and name in secret)
    if generated.unresolved and not allow_undefined:
        raise _unresolved(generated, solution)
    places = tuple(f"{one.where}: {one.text}" for one in generated.unresolved)
    return ManifestText(dump(generated.content), places, generated.secrets)


def file_of(solution: Solution, platform: str) -> Path:
    """The tool's output file: `config/deployment.amd64.json` beside the template."""
    numbered = solution.version > "0.0.1"  # compared as by the tools
    return solution.folder / "config" / f"{solution.name}{f'.{platform}' if numbered else ''}.json"


def _unresolved(generated: Generated, solution: Solution) -> InputError:
    first, *others = generated.unresolved
    more = f", and {len(others)} more have none" if others else ""
    fix = f"add '{first.name}=…' to {solution.env.name or solution.folder / '.env'}, or set the variable"
    if not first.name:
        fix = "create the module.json of that module, or correct the placeholder"
    return InputError(
        f"placeholder {first.text} has no value{more}",
        where=first.where,
        fix=fix,
        options=("keep it with --allow-undefined",),
    )
