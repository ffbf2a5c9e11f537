"""The parts of a row: a cell's value, its place among the values, the device ID, a JSON object."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final, NoReturn

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.project.values import parse_set

#: The path of a value among the values of a row: `("site", "name")` for the column `site.name`.
Place = tuple[str, ...]

# learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry: "A case-sensitive string (up to 128 characters
# long) of ASCII 7-bit alphanumeric characters plus certain special characters".
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}")
# Text that YAML reads as the same string, so that it need not be parsed.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./][A-Za-z0-9_./-]*)*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")


class Absent(Struct):
    """Stands for an empty cell: the row does not give this value."""


#: The only one.
ABSENT: Final = Absent()


def cell_value(text: str) -> Any:
    """A cell's value, read as `--set` reads it; `ABSENT` if the cell is empty.

    Raises:
        InputError: it is not YAML.
    """
    if not text.strip():
        return ABSENT
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if _NUMBER.fullmatch(text):
        return int(text)
    return _parsed(text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    return parse_set(f"cell={text}")["cell"]


def device_problem(device: str, line: int) -> tuple[str, str] | None:
    """The problem with a device ID and its fix; None if it is valid."""
    if not device:
        return f"line {line} names no device", "add the device ID"
    if _DEVICE_ID.fullmatch(device) is None:
        return f"{device[:140]!r} is not a valid device ID", "use an ID that 'manifestgen device list' shows"
    return None


def place_of(name: str) -> Place:
    """Where the value of a column belongs: dots in its name nest."""
    return tuple(part.strip() for part in name.split("."))


def flatten(place: Place, value: Any, places: list[Place], leaves: list[Any]) -> None:
    """Add the values of an object and of its nested objects to `leaves`, and their places to `places`."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            flatten((*place, key), item, places, leaves)
    else:
        places.append(place)
        leaves.append(value)


def read_object(text: bytes, line: int) -> dict[str, Any]:
    """The JSON object in a line.

    Raises:
        InputError: there is none in it; without a place, which the caller knows.
    """
    fix = "write one JSON object per line"
    try:
        data = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputError(f"line {line} is not JSON", fix=fix) from None
    if not isinstance(data, dict):
        raise InputError(f"line {line} is not a JSON object", fix=fix)
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"'{twice}' is given twice", fix="keep one of the two")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not JSON", fix="write a number, or null")
