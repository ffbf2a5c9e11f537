"""How the runtime reads JSON and text: the habits of .NET and Newtonsoft.Json that decide what a device accepts.

The runtime is a .NET program. It finds properties whatever their case, calls a text blank by other characters than
Python does, and turns numbers into text where a text is wanted. All other modules read a manifest through these
functions, so that the habits are written down once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

# Char.IsWhiteSpace of .NET. Python's str.isspace also counts U+001C to U+001F, which .NET does not.
_WHITE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def trim(text: str) -> str:
    """The text without the white space around it, as `String.Trim` cuts it."""
    return text.strip(_WHITE)


def is_blank(text: str) -> bool:
    """Whether `String.IsNullOrWhiteSpace` would say so."""
    return not text.strip(_WHITE)


def key_of(data: Mapping[str, Any], name: str) -> str | None:
    """The key under which the runtime finds `name`: as it is written or, failing that, in any case."""
    if name in data:
        return name
    wanted = name.lower()
    for key in data:
        if len(key) == len(wanted) and key.lower() == wanted:
            return key
    return None


def get(data: Mapping[str, Any], name: str) -> Any:
    """The value that the runtime finds for `name`; None if it is missing or null."""
    key = key_of(data, name)
    return None if key is None else data[key]


def is_null(value: Any) -> bool:
    """Whether Newtonsoft.Json reads a value as null where it wants an object or a list: an empty text is null to it."""
    return value is None or value == ""


def as_text(value: Any) -> str | None:
    """A scalar as Newtonsoft.Json puts it into a string property; None for null, an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return repr(value) if isinstance(value, int) else None


def _float_text(value: float) -> str:
    """A number as .NET writes it: as short as Python's, but with an exponent from 1E+15 on, and below 1E-05."""
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), "NaN")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) + int(exponent) - 1
    if not digits[0] or _SMALLEST_POWER <= power < _LARGEST_POWER:
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else f"{text}.0"
    first, *rest = map(str, digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' * sign}{mantissa}E{power:+03d}"


_SMALLEST_POWER: Final = -4
_LARGEST_POWER: Final = 15


def enum_member(value: Any, members: Mapping[str, int]) -> str | None:
    """The member of an enumeration that Newtonsoft.Json reads from a value; None where it refuses the value.

    A number without a name it takes, too, see `enum_number`; the runtime itself refuses that in most places.

    Args:
        value: any JSON value.
        members: names to numbers; a member's name in JSON comes before the one in the program.
    """
    if isinstance(value, str) and value in members:
        return value
    number = enum_number(value, members)
    return next((name for name, member in members.items() if member == number), None)


def enum_number(value: Any, members: Mapping[str, int]) -> int | None:
    """The number of the member that Newtonsoft.Json reads from a value, with or without a name; None where it throws.

    Names count in any case, without blanks around them, and so do numbers and several names with commas between, whose
    numbers are joined bit by bit.

    Args:
        value: any JSON value.
        members: names to numbers.
    """
    if isinstance(value, str):
        if value in members:
            return members[value]
        text = trim(value)
        if not text:
            return None
        if text[0].isdigit() or text[0] in "+-":
            try:
                return int(text)
            except ValueError:
                return None
        number = 0
        lower = {name.lower(): member for name, member in members.items()}
        for word in text.split(","):
            member = lower.get(trim(word).lower())
            if member is None:
                return None
            number |= member
        return number
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def integer(value: Any, low: int, high: int) -> int | None:
    """A number as the runtime reads it into an integer property; None where it refuses the value.

    Texts of digits are numbers to it. A number with a fraction counts as refused: depending on how the runtime came by
    the JSON it rounds such a number or throws.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = trim(value)
        if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit() or len(text) > 20:
            return None
        try:
            value = int(text)
        except ValueError:
            return None
    if not isinstance(value, int):
        return None
    return value if low <= value <= high else None


def rounded(value: Any, low: int, high: int) -> int | None:
    """A number as Newtonsoft.Json converts it to a `uint`, `long` or the like; None where it throws.

    A fraction is rounded half to even, and true is 1. Only an `int` is read in another way, see `integer`.
    """
    if isinstance(value, float):
        value = round(value) if math.isfinite(value) else None
    return integer(int(value) if isinstance(value, bool) else value, low, high)


UINT32: Final = (0, 2**32 - 1)
INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)

#: IModule.cs: the names in JSON first, then those of the program, which it takes as well.
STATUS: Final = {
    "unknown": 0,
    "backoff": 1,
    "running": 2,
    "unhealthy": 3,
    "stopped": 4,
    "failed": 5,
    "dead": 6,
}
RESTART_POLICY: Final = {
    "never": 0,
    "on-failure": 1,
    "on-unhealthy": 2,
    "always": 3,
    "unknown": 4,
    "OnFailure": 1,
    "OnUnhealthy": 2,
}
IMAGE_PULL_POLICY: Final = {"on-create": 0, "never": 1, "OnCreate": 0}


def as_mapping(value: Any) -> Mapping[str, Any]:
    """An object as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
