"""The limits of IoT Hub for the desired properties of a module twin.

Limits from Microsoft's page on device twins ("Tags and properties format", "Device twin size") and from the hub's own
error messages as users quote them. Everything here walks without recursion: a value may be nested as deep as memory
allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from manifestgen.manifest.json_text import packed
from manifestgen.manifest.pointer import escape

#: Desired properties of one twin: "size should be less than 32768 bytes" (DeviceModelMaxPropertiesExceeded).
MAX_DESIRED_BYTES: Final = 32768
#: "Property or Tag value should be maximum 4096 bytes" (ArgumentInvalid).
MAX_STRING_BYTES: Final = 4096
MAX_KEY_BYTES: Final = 1024
#: Objects within objects below `properties.desired`.
MAX_DEPTH: Final = 10
MIN_INTEGER: Final = -(2**52)
MAX_INTEGER: Final = 2**52 - 1

_NUMBER_BYTES: Final = 8
_BOOLEAN_BYTES: Final = 4

_CONTROL: Final = "[\x00-\x1f\x7f-\x9f]"
#: Characters that a key of a twin must not contain.
FORBIDDEN_IN_KEY: Final = "[.$ \x00-\x1f\x7f-\x9f]"


class TwinViolation(Struct, frozen=True):
    """Something that IoT Hub refuses in desired properties.

    Attributes:
        pointer: JSON Pointer from the desired properties on.
        message: what is wrong and which limit it breaks.
        at_key: whether it is about the key at the pointer rather than its value.
    """

    pointer: str
    message: str
    fix: str
    at_key: bool = False


class Shape(Struct, frozen=True):
    """The result of a quick scan of a value.

    Attributes:
        numbers: how many numbers, booleans included.
        suspicious: whether a key, a text, a number or the depth may break a limit of a twin.
    """

    numbers: int
    suspicious: bool


def shape(value: Any) -> Shape:
    """Look a value over quickly; `violations` tells where and what, should it be suspicious."""
    numbers = 0
    suspicious = False
    dicts: list[dict[str, Any]] = []
    around = 0
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        below: list[Any] = []
        push = below.append
        for container in level:
            if type(container) is dict:
                dicts.append(container)
                items: Any = container.values()
            elif type(container) is list:
                items = container
            else:
                items = (container,)
            for item in items:
                kind = type(item)
                if kind is str:
                    if len(item) > _SHORT:
                        suspicious = True
                elif kind is dict or kind is list:
                    push(item)
                elif item is not None:
                    numbers += 1
                    if kind is int and not MIN_INTEGER <= item <= MAX_INTEGER:
                        suspicious = True
        level = below
        if depth < _ENVELOPE_DEPTH:
            around = len(dicts)
    suspicious = suspicious or depth > MAX_DEPTH + _ENVELOPE_DEPTH
    keys = (set().union(*dicts[:around]) - _ENVELOPE).union(*dicts[around:])
    return Shape(numbers, suspicious or _odd(keys))


def _odd(keys: set[str]) -> bool:
    """Whether one of the keys may be refused; looks at all of them at once."""
    return re.search(FORBIDDEN_IN_KEY, "-".join(keys)) is not None or max(map(len, keys), default=0) > _SHORT_KEY


# A manifest has these around the desired properties of a twin, and there alone they are no keys of it.
_ENVELOPE: Final = frozenset({"$edgeAgent", "$edgeHub", "properties.desired"})
_ENVELOPE_DEPTH: Final = 4


def counts_at_most(value: Any, limit: int, *, numbers: int) -> bool:
    """Whether its length as a text alone shows that a value counts no more than `limit` bytes.

    IoT Hub counts eight bytes for a number, however short it is written, and at most its text for all else.

    Args:
        numbers: how many numbers are in it at most.
    """
    text = packed(value)
    return text is not None and len(text) + _NUMBER_BYTES * numbers <= limit


def violations(desired: Any, *, only_size: bool = False) -> list[TwinViolation]:
    """Everything in the desired properties that IoT Hub refuses, their total size included.

    Args:
        desired: the value of `properties.desired`, an object; with `$metadata` and `$version` taken out.
        only_size: whether nothing else in it can break a limit, as `shape` says.
    """
    found = [] if only_size else list(_walk(desired, "", 0))
    total = size(desired)
    if total > MAX_DESIRED_BYTES:
        found.append(
            TwinViolation(
                "",
                f"the desired properties count {total} bytes; IoT Hub accepts {MAX_DESIRED_BYTES}",
                "shorten createOptions and env, or move a module's data into its own twin or a file",
            )
        )
    return found


def _walk(desired: Any, base: str, depth: int) -> Iterator[TwinViolation]:
    stack: list[tuple[Any, _Path, int]] = [(desired, (None, base), depth)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, dict):
            if depth > MAX_DEPTH:
                yield TwinViolation(
                    _pointer(path),
                    f"objects are nested deeper than the {MAX_DEPTH} levels that IoT Hub accepts",
                    "flatten the object, or write it as a JSON string",
                )
                continue
            for key, item in value.items():
                problem = _key_problem(key)
                if problem:
                    yield TwinViolation(_pointer((path, key)), problem[0], problem[1], at_key=True)
                kind = type(item)
                if kind is str:
                    if len(item) > _SHORT and (too_long := _string_problem(item)):
                        yield TwinViolation(_pointer((path, key)), *too_long)
                elif kind is dict or kind is list:
                    stack.append((item, (path, key), depth + 1))
                elif kind is int and not MIN_INTEGER <= item <= MAX_INTEGER:
                    yield TwinViolation(_pointer((path, key)), *_integer_problem(item))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                kind = type(item)
                if kind is str:
                    if len(item) > _SHORT and (too_long := _string_problem(item)):
                        yield TwinViolation(_pointer((path, index)), *too_long)
                elif kind is dict or kind is list:
                    # A list does not count as a level: the page speaks of objects.
                    stack.append((item, (path, index), depth))
                elif kind is int and not MIN_INTEGER <= item <= MAX_INTEGER:
                    yield TwinViolation(_pointer((path, index)), *_integer_problem(item))


# A path as a chain of (rest, last key): building the pointer's text for every value would cost more than the checks.
_Path = tuple[Any, Any]

# No text of so few characters has more than 4,096 bytes.
_SHORT: Final = MAX_STRING_BYTES // 4
_SHORT_KEY: Final = MAX_KEY_BYTES // 4


def _pointer(path: _Path) -> str:
    tokens: list[str] = []
    rest: Any = path
    while rest is not None:
        rest, key = rest
        if rest is None:
            tokens.append(key)
        else:
            tokens.append("/" + escape(str(key)))
    return "".join(reversed(tokens))


@lru_cache(maxsize=4096)
def _key_problem(key: str) -> tuple[str, str] | None:
    if bad := re.search(FORBIDDEN_IN_KEY, key):
        name = {".": "a dot", "$": "a dollar sign", " ": "a space"}.get(bad[0], f"the control character {bad[0]!r}")
        return (
            f"key {_short(key)} contains {name}, which IoT Hub does not allow in a twin",
            "use letters, digits, '-' and '_' in keys",
        )
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        return f"key {_short(key)} is longer than the {MAX_KEY_BYTES} bytes that IoT Hub accepts", "shorten the key"
    return None


def _string_problem(text: str) -> tuple[str, str] | None:
    length = utf8_length(text)
    if length <= MAX_STRING_BYTES:
        return None
    return (
        f"the string has {length} bytes; IoT Hub accepts {MAX_STRING_BYTES} in one value",
        "split createOptions into createOptions, createOptions01, …; shorten any other string",
    )


def _integer_problem(number: int) -> tuple[str, str]:
    digits = f"{number:.3e}" if abs(number) < 10**300 else "the number"
    return (
        f"{digits} is outside the integers that IoT Hub accepts ({MIN_INTEGER} to {MAX_INTEGER})",
        "use a smaller number, or write it as a string",
    )


def _short(key: str) -> str:
    return repr(key if len(key) <= 60 else key[:57] + "…")


def utf8_length(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def size(value: Any) -> int:
    """Bytes of a value as IoT Hub counts them against the limit of a twin.

    Keys and texts count their length in UTF-8 without control characters, numbers 8, booleans 4, null nothing;
    objects and lists the sum of what is in them.
    """
    total = 0
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            total += _text_size(item)
        elif kind is dict:
            for key in item:
                total += _text_size(key)
            stack.extend(item.values())
        elif kind is list:
            stack.extend(item)
        elif kind is bool:
            total += _BOOLEAN_BYTES
        elif item is not None:
            total += _NUMBER_BYTES
    return total


def _text_size(text: str) -> int:
    if text.isascii() and text.isprintable():
        return len(text)
    return utf8_length(re.sub(_CONTROL, "", text))
