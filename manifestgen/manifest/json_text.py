"""JSON text: its value, its doubled keys, and where things stand in it.

msgspec reads the text, and the standard library what msgspec does not take. Places are looked up afterwards and only
for what is asked for, by reading the text again along the way to it. A text without findings so costs no more than its
parsing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct

from manifestgen.manifest.json_error import JsonError, comment, deepest, explain, no_constant, trailing_comma
from manifestgen.manifest.pointer import escape, unescape

_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]  # the C function; typeshed does not list it
_SPACE: Final = re.compile(r"[ \t\n\r]*")


class Duplicate(Struct, frozen=True):
    """A key that an object has twice; the later one counts, for us as for the runtime.

    Attributes:
        pointer: JSON Pointer to the key.
        first: offset of the earlier key.
        second: offset of the later key.
    """

    pointer: str
    first: int
    second: int


class Span(Struct, frozen=True, gc=False):
    """The place of a value in the text.

    Attributes:
        key: offset of its key's opening quote; of the value itself in a list and at the top.
        value: offset of the value's first character.
    """

    key: int
    value: int


def parse(text: str) -> Any:
    """The value of a JSON text; of doubled keys the last one.

    Raises:
        JsonError: the text is not JSON, or too deeply nested.
    """
    try:
        return _FAST.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # The standard library takes a little more, such as half of a surrogate pair, and says where it stumbles.
        return _parse(text)


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise explain(text, error) from None
    except _Constant:
        raise no_constant(text) from None
    except RecursionError:
        raise JsonError(
            "objects or lists are nested too deeply; IoT Hub accepts 10 levels", "flatten the document", deepest(text)
        ) from None
    except ValueError:
        # Python converts no number of thousands of digits: it is beyond every limit anyway.
        return _LENIENT.decode(text)


_STRING_OR_COMMENT: Final = r'(?s)"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/'
_STRING_OR_COMMA: Final = r'"(?:[^"\\\n]|\\.)*"|,(?=[ \t\r\n]*[}\]])'


def without_comments(text: str) -> str:
    """A text of the same length with blanks in place of comments, and of commas after a last item."""
    for pattern, first in ((_STRING_OR_COMMENT, "/"), (_STRING_OR_COMMA, ",")):
        if first in text:
            text = re.sub(pattern, lambda match: match[0] if match[0][0] == '"' else _blank(match[0]), text)
    return text


def _blank(text: str) -> str:
    return re.sub(r"[^\n\r]", " ", text)


def first_comment(text: str, plain: str) -> JsonError | None:
    """The first part that `without_comments` removed; None if nothing."""
    if plain == text:
        return None
    at = next(index for index, (one, other) in enumerate(zip(text, plain, strict=True)) if one != other)
    return trailing_comma(at) if text[at] == "," else comment(at)


class _Constant(Exception):
    pass


def _refuse_constant(_: str) -> NoReturn:
    raise _Constant


def _long_integer(digits: str) -> int:
    return int(digits) if len(digits) <= 400 else (-(10**400) if digits[0] == "-" else 10**400)


_FAST: Final = msgspec.json.Decoder()
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_LENIENT: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_long_integer)
_SKIP: Final = json.JSONDecoder(parse_int=len, parse_float=len).scan_once  # type: ignore[attr-defined]  # as above


def packed(value: Any) -> bytes | None:
    """A value as JSON without blanks, in UTF-8; None for one that JSON in UTF-8 does not have."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def maybe_duplicates(text: str, value: bytes | None) -> bool:
    """Whether an object of the text may have a duplicate key, by counting colons.

    Args:
        text: JSON.
        value: what was read from it, packed.

    Returns:
        False if surely not: what a text loses with a doubled key has a colon. One that has colons as escapes may be
        suspected without reason.
    """
    return value is None or text.count(":") != value.count(b":") or "\\u003" in text


def duplicates(text: str) -> list[Duplicate]:
    """Every key that an object has more than once, in the order of the text.

    Args:
        text: JSON that `parse` takes.
    """
    found: list[Duplicate] = []
    # One entry an open container: its keys so far (None for a list), its path, how many items a list has had.
    stack: list[tuple[dict[str, int] | None, str]] = []
    counts: list[int] = []
    path = ""
    for match in re.finditer(_WORDS, text):
        token = match[0]
        first = token[0]
        if first == "{" or first == "[":
            stack.append(({} if first == "{" else None, path))
            counts.append(0)
            if first == "[":
                path = f"{path}/0"
        elif first == "}" or first == "]":
            stack.pop()
            counts.pop()
            if stack:
                path = stack[-1][1]
                if stack[-1][0] is None:
                    path = f"{path}/{counts[-1]}"
        elif first == ",":
            if stack and stack[-1][0] is None:
                counts[-1] += 1
                path = f"{stack[-1][1]}/{counts[-1]}"
        elif match[1] is not None and stack:
            seen, base = stack[-1]
            if seen is None:
                continue
            key = _scan_string(text, match.start() + 1)[0]
            path = f"{base}/{escape(key)}"
            if key in seen:
                found.append(Duplicate(path, seen[key], match.start()))
            seen[key] = match.start()
    return found


# A key is a string with a colon after it; other strings are passed over whole.
_WORDS: Final = r'(?s)"(?:[^"\\]|\\.)*"(?:[ \t\n\r]*(:))?|[{}\[\],]'


def locate(text: str, pointers: Iterable[str]) -> dict[str, Span]:
    """Where the values at these JSON Pointers stand; those that are not there are left out.

    Args:
        text: JSON that `parse` takes.
        pointers: as many as wanted; the text is read once for all of them.

    Returns:
        The places by pointer; those on the way to a wanted one are in it too.
    """
    wanted: _Wanted = {}
    # Of many places, most are in the same module as the one before.
    module, below = "/", list[str]()
    for pointer in pointers:
        if pointer.startswith(module) and below:
            below.append(pointer[len(module) :])
        else:
            module, below = _want(wanted, pointer)
    start = _skip_space(text, 0)
    found = {"": Span(start, start)}
    try:
        _descend(text, start, "", wanted, found, 0)
    except RecursionError:
        # The scanner shares the caller's stack: text that parses at the top may be too deep here.
        return found
    return found


# As many keys lead to the object that has the modules. Those of a fleet's manifests are mostly the same texts.
_ABOVE_MODULES: Final = 4
_UNUSUAL: Final = 16384
# No key of JSON.
_BELOW: Final = None
_Wanted = dict[str | None, Any]

# Pointers are this long only in a malicious file.
_DEEPEST: Final = 200


def _want(wanted: _Wanted, pointer: str) -> tuple[str, list[str]]:
    """Add a pointer to the tree of those that are wanted; from a module on as a text, in a list under `_BELOW`.

    Returns:
        The start of the pointer up to there, and that list; the list is empty for a place above the modules.
    """
    _, *outer = pointer.split("/", _ABOVE_MODULES + 2)
    below = outer.pop() if len(outer) > _ABOVE_MODULES + 1 else None
    node = wanted
    for key in outer:
        node = node.setdefault(unescape(key), {})
    if below is None:
        return "/", []
    inside: list[str] = node.setdefault(_BELOW, [])
    inside.append(below)
    return pointer[: len(pointer) - len(below)], inside


def _tree(pointers: Iterable[str]) -> _Wanted:
    tree: _Wanted = {}
    for pointer in pointers:
        node = tree
        for key in pointer.split("/"):
            node = node.setdefault(unescape(key), {})
    return tree


def _descend(text: str, at: int, path: str, wanted: _Wanted, found: dict[str, Span], depth: int) -> int:
    """Note where the wanted children of the value at an offset are; returns the offset behind the value."""
    if not wanted or depth > _DEEPEST or text[at] not in "{[":
        return _end(text, at)
    if _BELOW in wanted:
        return _recall(text, at, path, wanted[_BELOW], found, depth)
    if text[at] == "[":
        return _descend_list(text, at, path, wanted, found, depth)
    behind = at + 1
    match = re.compile(_MEMBER).match
    while member := match(text, behind):
        behind = member.end()
        key = member[1]
        if "\\" in key:
            key = _scan_string(text, member.start(1))[0]
        child = wanted.get(key)
        scalar = member[2]
        if child is not None:
            below = f"{path}/{escape(key)}"
            value = behind if scalar is None else member.start(2)
            # Of a doubled key the later one overwrites what the earlier one gave.
            found[below] = Span(member.start(1) - 1, value)
            if scalar is None:
                behind = _descend(text, value, below, child, found, depth + 1)
        elif scalar is None:
            behind = _SKIP(text, behind)[1]
    return text.index("}", behind) + 1


def _recall(text: str, at: int, path: str, below: list[str], found: dict[str, Span], depth: int) -> int:
    """`_descend` that remembers where things stand in texts seen before."""
    behind = _end(text, at)
    if behind - at > _UNUSUAL:
        return _descend(text, at, path, _tree(below), found, depth)
    for pointer, key, value in _places(text[at:behind], tuple(below), depth):
        found[path + pointer] = Span(key + at, value + at)
    return behind


@lru_cache(maxsize=2048)
def _places(text: str, wanted: tuple[str, ...], depth: int) -> tuple[tuple[str, int, int], ...]:
    found: dict[str, Span] = {}
    _descend(text, 0, "", _tree(wanted), found, depth)
    return tuple((pointer, span.key, span.value) for pointer, span in found.items())


def _descend_list(text: str, at: int, path: str, wanted: _Wanted, found: dict[str, Span], depth: int) -> int:
    at = _skip_space(text, at + 1)
    index = 0
    while text[at] != "]":
        child = wanted.get(str(index))
        if child is None:
            at = _end(text, at)
        else:
            below = f"{path}/{index}"
            found[below] = Span(at, at)
            at = _descend(text, at, below, child, found, depth + 1)
        at = _skip_space(text, at)
        if text[at] == ",":
            at = _skip_space(text, at + 1)
        index += 1
    return at + 1


# A member of an object up to its value, and with it if that is a text or a word: the comma before it, the key between
# its quotes (group 1), the value (group 2).
_MEMBER: Final = (
    r'[ \t\n\r]*,?[ \t\n\r]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\n\r]*:[ \t\n\r]*'
    r'("[^"\\]*(?:\\.[^"\\]*)*"|[^ \t\n\r"{\[,}]+)?'
)


def _end(text: str, offset: int) -> int:
    end: int = _SKIP(text, offset)[1]
    return end


def _skip_space(text: str, offset: int) -> int:
    match = _SPACE.match(text, offset)
    return match.end() if match else offset


_SCALAR: Final = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|[^\s,\]}\[{:"]+'


def extent(text: str, value: int) -> int:
    """Length of the text, number or word that begins at `value`; 1 for an object or a list."""
    match = re.compile(_SCALAR).match(text, value)
    return match.end() - value if match else 1


def inside(text: str, value: int, index: int) -> int:
    """Offset in the JSON text of the character `index` of the string that begins at `value` (its opening quote)."""
    if text[value] != '"':
        return value
    first = value + 1
    if text.find("\\", first, first + index) < 0 and text.find('"', first, first + index) < 0:
        return min(first + index, len(text))
    offsets = _offsets(text, value)
    return offsets[min(index, len(offsets) - 1)]


# One long text may have thousands of places in it.
@lru_cache(maxsize=4)
def _offsets(text: str, value: int) -> list[int]:
    """Offset of each character of the string that begins at `value`, and of its closing quote."""
    literal = re.compile(_SCALAR).match(text, value)
    end = literal.end() if literal else len(text)
    return [match.start() for match in re.compile(_CHARACTER).finditer(text, value + 1, end)] or [value + 1]


_CHARACTER: Final = r"(?s)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|."
