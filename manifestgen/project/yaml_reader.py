"""Reads YAML events as plain data, for `source.parse`: what the data may be, and where its mistakes are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from manifestgen.errors import InputError
from manifestgen.project.source import Path, Place, Source

# As generous as `MAX_BYTES` to files that are written by hand, but not to those that are made to grow while they are
# read (nested aliases) or to exhaust the stack (nested brackets).
_MAX_DEPTH: Final = 64
_MAX_VALUES: Final = 500_000

_INTEGER: Final = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT: Final = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Reader:
    """One reading of a text: the events of the YAML parser, and the places seen so far."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._keys: dict[Path, Place] = {}
        self._values: dict[Path, Place] = {}
        self._written: dict[Path, str] = {}

    def source(self) -> Source:
        """The data with its places. Raises InputError, see `source.parse`."""
        data: Any = None
        self._values[()] = Place(1, 1)
        try:
            next(self._events)  # the start of the stream
            if isinstance(next(self._events), yaml.DocumentStartEvent):
                data = self._value(next(self._events), ())
                next(self._events)  # the end of the document
                event = next(self._events)
                if isinstance(event, yaml.DocumentStartEvent):
                    raise self._error(event, "a second YAML document starts here", "keep one document in the file")
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        except yaml.reader.ReaderError as error:
            raise InputError(
                f"not YAML: {error.reason} at character {error.position}",
                where=self._name,
                fix="save the file as UTF-8 text without control characters",
            ) from error
        except UnicodeError as error:
            raise InputError(
                "not YAML: it holds half of a surrogate pair", where=self._name, fix="save the file as UTF-8 text"
            ) from error
        return Source(self._name, data, self._keys, self._values, self._written)

    def _value(self, event: Any, path: Path) -> Any:
        self._values[path] = _place(event)
        if len(path) > _MAX_DEPTH:
            raise self._error(event, f"nested deeper than {_MAX_DEPTH} levels", "flatten it")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(event, f"no anchor '&{event.anchor}' ends before this alias", "write the value out")
            value, count = self._anchors[event.anchor]
            self._spend(event, count)
            return value
        before = self._count
        self._spend(event, 1)
        value = self._plain(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _plain(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if event.tag is not None:
            raise self._tag_error(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(item, (*path, len(items))))
            return items
        mapping: dict[str, Any] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            text = self._key(key, path, mapping)
            mapping[text] = self._value(next(self._events), (*path, text))
        return mapping

    def _key(self, event: Any, path: Path, mapping: dict[str, Any]) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "a key is not a string", "write every key as a plain string")
        key = str(event.value)
        if key == "<<" and event.implicit[0]:
            raise self._error(event, "merge keys ('<<') are not supported", "write the keys out")
        if key in mapping:
            first = self._keys[(*path, key)]
            raise self._error(event, f"key '{key}' is given twice, first in line {first.line}", "keep one of the two")
        self._keys[(*path, key)] = _place(event)
        return key

    def _scalar(self, event: Any, path: Path) -> Any:
        text = str(event.value)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._tag_error(event)
        if not event.implicit[0] or event.tag is not None:
            return text
        if text in _CONSTANTS:
            self._written[path] = text
            return _CONSTANTS[text]
        if re.fullmatch(_INTEGER, text):
            self._written[path] = text
            try:
                return int(text, 0 if text[:2] in ("0o", "0x") else 10)
            except ValueError as error:
                raise self._error(event, "a number has too many digits", "quote it if it is a string") from error
        if re.fullmatch(_FLOAT, text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                raise self._error(event, f"number {text} is too large", "quote it if it is a string")
            self._written[path] = text
            return number
        return text

    def _spend(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > _MAX_VALUES:
            raise self._error(event, f"more than {_MAX_VALUES} values, aliases written out", "make the file smaller")

    def _error(self, event: Any, what: str, fix: str) -> InputError:
        place = _place(event)
        return InputError(what, where=f"{self._name}:{place.line}:{place.column}", fix=fix)

    def _tag_error(self, event: Any) -> InputError:
        fix = "remove the tag; quotes make a string of anything"
        if str(event.tag).endswith(":set"):
            fix = "for a mapping, write {KEY: VALUE}"
        return self._error(event, f"tag '{event.tag}' is not supported", fix)

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> InputError:
        mark = error.problem_mark or error.context_mark
        where = f"{self._name}:{mark.line + 1}:{mark.column + 1}" if mark else self._name
        problem = " ".join(part for part in (error.problem, error.context) if part)
        fix = "correct the YAML; quote a string that contains ': ' or ' #', or starts with a special character"
        if mark and "\t" in "".join(self._text.splitlines()[mark.line : mark.line + 1])[: mark.column + 1]:
            fix = "indent with spaces, not tabs"
        return InputError(f"not YAML: {problem}", where=where, fix=fix)


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)
