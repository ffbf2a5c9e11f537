"""Checks the version of manifestgen against `requires` in the project file."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from manifestgen.errors import InputError

_COMPARISONS: Final[Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+){0,3})")
_RELEASE: Final = re.compile(r"\d+(?:\.\d+)*")


def check_required(text: str, where: str, version: str | None = None) -> None:
    """Raise unless this version of manifestgen meets a project file's conditions.

    Args:
        text: conditions such as `>=0.3, <1`; a suffix of the version, such as `rc1`, is ignored.
        where: the place in the file.
        version: of manifestgen; None for the installed one.

    Raises:
        InputError: it does not, or the text is not a condition.
    """
    if version is None:
        # Importing it takes longer than reading a project file, and few files require a version.
        from importlib import metadata

        version = metadata.version("manifestgen")
    for part in text.split(","):
        condition = _CONDITION.fullmatch(part.strip())
        if condition is None:
            raise InputError(
                f"{part.strip()!r} is not a condition for a version",
                where=where,
                fix='write it as requires: ">=0.3", or ">=0.3, <1"',
            )
        if not _COMPARISONS[condition[1]](_release(version), _release(condition[2])):
            raise InputError(
                f"this project requires manifestgen {text}, and this is {version}",
                where=where,
                fix=f"install one that fits: pip install 'manifestgen{text.replace(' ', '')}'",
            )


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: 1.0 is 1."""
    found = _RELEASE.match(version)
    numbers = [int(number) for number in found[0].split(".")] if found else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
