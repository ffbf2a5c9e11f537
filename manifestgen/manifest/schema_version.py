"""The schema versions of `$edgeAgent` and `$edgeHub`: which texts the runtime takes.

Both go through .NET's `System.Version`: two to four numbers with dots between them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

HUB_RECOMMENDED: Final = "1.1"

# Version.Parse takes blanks around each number and a plus sign before it; it takes no more than Int32.MaxValue.
_BLANKS: Final = "\t\n\v\f\r "
_INT32_MAX: Final = 2**31 - 1


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[int, ...] | None:
    """The two to four numbers of a version, or None where `System.Version` would not take the text."""
    numbers = [part.strip(_BLANKS).removeprefix("+") for part in text.split(".")]
    if not 2 <= len(numbers) <= 4 or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    if any(len(number.lstrip("0")) > 10 for number in numbers):
        return None
    version = tuple(int(number) for number in numbers)
    return version if max(version) <= _INT32_MAX else None


def agent_accepts(text: str) -> bool:
    """Whether edgeAgent takes it: major version 1 and not above 1.1.0; `1.1.0.0` is above (EdgeAgentConnection.cs)."""
    version = parse(text)
    # A part that is not given compares as -1 in .NET: 1.1 < 1.1.0 < 1.1.0.0. Tuples of different length agree.
    return version is not None and version[0] == 1 and version <= (1, 1, 0)


def hub_minor(text: str) -> int | None:
    """The minor version by which edgeHub chooses its parser, 0 to 3; None if it refuses the text."""
    version = parse(text)
    if version is None or version[0] != 1 or version[1] > 3:
        return None
    return version[1]
