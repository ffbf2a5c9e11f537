"""A JSON file with the place of everything in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from manifestgen.errors import InputError, os_reason
from manifestgen.files import read_bytes
from manifestgen.manifest import json_text, placeholder
from manifestgen.manifest.document import decode
from manifestgen.manifest.json_error import JsonError, deepest


class JsonFile(Struct, frozen=True):
    """A JSON file.

    Attributes:
        name: as messages show it.
        text: with blanks in place of comments, so that places are those of the file.
        data: its value, an object.
        duplicates: JSON Pointers to keys that an object has twice; the last one counts.
        comments: whether it has comments, or commas after a last item.
    """

    name: str
    text: str
    data: dict[str, Any]
    duplicates: tuple[str, ...] = ()
    comments: bool = False

    def where(self, pointer: str, *, key: bool = False, index: int | None = None) -> str:
        """`FILE:LINE:COLUMN` of a value, of its key, or of the character `index` of a string."""
        while True:
            span = json_text.locate(self.text, [pointer]).get(pointer)
            if span is not None:
                break
            pointer, key, index = pointer.rpartition("/")[0], False, None
        offset = span.key if key else span.value
        if index is not None:
            offset = json_text.inside(self.text, offset, index)
        return _place(self.name, self.text, offset)


def _place(name: str, text: str, offset: int) -> str:
    """`FILE:LINE:COLUMN` of an offset in a text."""
    line = text.count("\n", 0, offset) + 1
    return f"{name}:{line}:{offset - text.rfind(chr(10), 0, offset)}"


def read_json(path: Path, what: str, *, fix: str) -> JsonFile:
    """Read a JSON file; comments and commas after a last item are accepted.

    Args:
        path: the file, in UTF-8 or UTF-16, with or without a byte order mark.
        what: kind of file, for messages.
        fix: what to do if it is missing.

    Raises:
        InputError: it is missing or unreadable, or not a JSON object; with line and column.
    """
    name = str(path)
    try:
        text = decode(read_bytes(path))[0]
    except FileNotFoundError as error:
        raise InputError(f"{what} not found", where=name, fix=fix) from error
    except IsADirectoryError as error:
        raise InputError(f"{what} is a folder", where=name, fix="use the path of a file") from error
    except OSError as error:
        what = f"could not read {what}: {os_reason(error)}"
        raise InputError(what, where=name, fix="check the path") from error
    except JsonError as error:
        raise InputError(error.what, where=name, fix=error.fix) from None
    plain = json_text.without_comments(text)
    try:
        data = json_text.parse(plain)
    except JsonError as error:
        raise _not_json(name, plain, error) from None
    if at := deepest(plain):
        fix = "flatten the document; IoT Hub accepts 10 levels"
        raise InputError("objects or lists are nested too deeply", where=_place(name, plain, at), fix=fix)
    _refuse_characters(name, plain, data)
    if not isinstance(data, dict):
        raise InputError(f"{what} is not a JSON object", where=f"{name}:1:1", fix="check that it is the right file")
    twice = json_text.duplicates(plain) if json_text.maybe_duplicates(plain, json_text.packed(data)) else []
    return JsonFile(name, plain, _as_javascript(data), tuple(one.pointer for one in twice), plain != text)


def _refuse_characters(name: str, text: str, data: Any) -> None:
    """Raise InputError for what no text may hold: half of a surrogate pair, and the noncharacters of U+FDD0."""
    suspect = re.search(r"(?i)\\u(d[89a-f]|fd[de])|[\ufdd0-\ufdef]", text)
    if suspect is None:
        return
    try:
        whole = json.dumps(data, ensure_ascii=False).encode().decode()
    except UnicodeEncodeError:
        what, fix = "it has half of a surrogate pair, which no text can hold", "write the whole character"
    else:
        if not re.search("[\ufdd0-\ufdef]", whole):
            return
        what, fix = "it has a noncharacter, which Unicode reserves", "remove it"
    raise InputError(what, where=_place(name, text, suspect.start()), fix=fix) from None


def _not_json(name: str, text: str, error: JsonError) -> InputError:
    """The error for a text that is not JSON, and what to do if it is a placeholder without quotes."""
    fix = error.fix
    filled = placeholder.fill(text)
    if filled is not None:
        try:
            json_text.parse(filled)
        except JsonError:
            pass
        else:
            at = next(index for index, (one, other) in enumerate(zip(text, filled, strict=True)) if one != other)
            what = "a placeholder stands outside quotes, so the file is not JSON before it is expanded"
            return InputError(what, where=_place(name, text, at), fix="put the placeholder in double quotes")
    return InputError(f"not JSON: {error.what}", where=_place(name, text, error.offset), fix=fix)


def _as_javascript(value: Any) -> Any:
    """A value as JavaScript writes it again: keys that are indices first, and a whole number without a fraction."""
    if isinstance(value, dict):
        indices = sorted((key for key in value if re.fullmatch(r"(?a)0|[1-9]\d{0,8}", key)), key=int)
        return {key: _as_javascript(value[key]) for key in dict.fromkeys([*indices, *value])}
    if isinstance(value, list):
        return [_as_javascript(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
