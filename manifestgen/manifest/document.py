"""A document: what `check` looks at. Made from a file's text, whose lines it knows, or from a value, which has none."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from manifestgen.errors import InputError
from manifestgen.manifest import json_text, placeholder
from manifestgen.manifest.json_error import JsonError
from manifestgen.manifest.json_text import Duplicate, Span
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.twin import Shape, shape
from manifestgen.manifest.value import Value

_NO_SPAN: Final[Mapping[str, Span]] = {}
_TEMPLATE_NAME: Final = r"(?i)template|\.(j2|jinja2?|tmpl|tpl|mustache)$"


class Kind(str, Enum):
    """What a file turned out to be."""

    MANIFEST = "manifest"
    LAYERED = "layered"
    TEMPLATE = "template"
    NOT_A_MANIFEST = "not-a-manifest"


class Position(Struct, frozen=True):
    """A place in a text: line and column from 1, columns in characters; offset from 0."""

    line: int
    column: int
    offset: int


class Document(Value, frozen=True, dict=True):
    """A file, or a value, that may be a deployment manifest.

    Attributes:
        name: the file's name, for messages.
        text: as given, without a byte order mark; empty if it was made from a value.
        kind: what it is.
        data: its value; None if it is not JSON.
        manifest: None if there is none in it.
        error: why it is not JSON.
        encoding: `utf-8`, `utf-8-sig` or `utf-16`.
        duplicates: keys that an object has twice.
        placeholders: JSON Pointers to what a template tool has still to fill in.
        leftover: whether its placeholder looks forgotten rather than intended: a single one, in an image or a route of
            a manifest that is otherwise filled in.
        shape: what counting its keys and numbers gave.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"text", "data", "_json"})

    name: str
    text: str
    kind: Kind
    data: Any = None
    manifest: Manifest | None = None
    error: JsonError | None = None
    encoding: str = "utf-8"
    duplicates: tuple[Duplicate, ...] = ()
    placeholders: tuple[str, ...] = ()
    leftover: bool = False
    shape: Shape | None = None
    _json: str = ""

    @property
    def has_text(self) -> bool:
        """Whether it was read from a text; if not, places in it have a JSON Pointer and no line."""
        return bool(self.text) or self.error is not None

    def counts_at_most(self, limit: int) -> bool:
        """Whether its length alone shows that no twin in it counts more than `limit` bytes.

        IoT Hub counts eight bytes for a number, however short it is written, and at most its text for all else.
        """
        if not self.text or self.shape is None:
            return False
        return len(self.text) + 8 * self.shape.numbers <= limit and self.text.isascii()

    @property
    def _bare(self) -> bool:
        """Whether it had placeholders outside strings, so that its text is not JSON."""
        return self._json != self.text

    def spans(self, pointers: Iterable[str]) -> Mapping[str, Span]:
        """Where values stand in the text; for a pointer to nothing, ask for the one of its parent."""
        return json_text.locate(self._json, pointers) if self._json else _NO_SPAN

    def inside(self, value: int, index: int) -> int:
        """Offset in the text of the character `index` of the string value that begins at offset `value`."""
        return json_text.inside(self._json or self.text, value, index)

    def extent(self, value: int) -> int:
        """How many characters of its first line the value at an offset takes; at least 1."""
        return json_text.extent(self._json or self.text, value)

    def position(self, offset: int) -> Position:
        """Line and column of an offset."""
        line = bisect_left(self._line_ends, offset)
        start = self._line_ends[line - 1] + 1 if line else 0
        return Position(line + 1, offset - start + 1, offset)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its end."""
        ends = self._line_ends
        start = ends[number - 2] + 1 if number > 1 else 0
        end = ends[number - 1] if number <= len(ends) else len(self.text)
        return self.text[start:end].removesuffix("\r")

    @cached_property
    def _line_ends(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]


def decode(data: bytes) -> tuple[str, str]:
    """The text of a file and its encoding: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        JsonError: it is neither.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), "utf-16"
        except UnicodeDecodeError:
            raise JsonError("the file is not text", "save it as UTF-8", 0) from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(
            f"the file is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}", "save it as UTF-8", 0
        ) from None
    if text.startswith("\ufeff"):
        return text[1:], "utf-8-sig"
    return text, "utf-8"


def read(source: str | bytes, name: str = "", *, layered: bool = False) -> Document:
    """A document from a file's content. Nothing that a file can hold raises an error.

    Args:
        source: text, or bytes as read from the file.
        name: for messages; a name with `template` in it, or ending in `.j2`, tells a template.
        layered: read it as a layered deployment whatever its keys are.
    """
    encoding = "utf-8"
    if isinstance(source, bytes):
        try:
            text, encoding = decode(source)
        except JsonError as error:
            return Document(name, "", Kind.NOT_A_MANIFEST, error=error)
    else:
        text = source.removeprefix("\ufeff")
        encoding = "utf-8-sig" if len(text) != len(source) else "utf-8"
    try:
        data = json_text.parse(text)
    except JsonError as error:
        return _not_json(text, name, error, encoding, layered=layered)
    return _of_value(text, name, data, encoding, layered=layered)


def of_data(data: Any, name: str = "") -> Document:
    """A document from plain JSON data, which has no text and so no lines.

    Args:
        data: what `read` would find in a file.
        name: for messages.
    """
    try:
        return of_manifest(Manifest.of(data), name)
    except InputError:
        return Document(name, "", Kind.NOT_A_MANIFEST, data, shape=shape(data))


def of_manifest(manifest: Manifest, name: str = "") -> Document:
    """A document from a manifest, which has no text and so no lines.

    Args:
        manifest: its pointers are those into `manifest.data`.
        name: for messages.
    """
    return _of_manifest(manifest, Document(name, "", Kind.MANIFEST, manifest.data), _places(manifest))


def with_data(document: Document, data: Any, *, layered: bool = False) -> Document:
    """The document of a manifest after values in it were replaced; places stay those of its text.

    Args:
        document: of a manifest.
        data: the same keys and items; other values.
        layered: read it as a layered deployment whatever its keys are.
    """
    manifest = Manifest.of(data, layered=True if layered else None)
    filled = replace(document, data=data, shape=None)
    return _of_manifest(manifest, filled, _places(manifest, bare=filled._bare))


def _not_json(text: str, name: str, error: JsonError, encoding: str, *, layered: bool) -> Document:
    filled = placeholder.fill(text)
    if filled is not None:
        try:
            data = json_text.parse(filled)
        except JsonError:
            pass
        else:
            if isinstance(data, dict):
                return _of_value(text, name, data, encoding, layered=layered, filled=filled)
    if placeholder.has_blocks(text) and "modulesContent" in text:
        return Document(name, text, Kind.TEMPLATE, error=error, encoding=encoding)
    return Document(name, text, Kind.NOT_A_MANIFEST, error=error, encoding=encoding)


def _of_value(text: str, name: str, data: Any, encoding: str, *, layered: bool, filled: str | None = None) -> Document:
    json_ = text if filled is None else filled
    found = shape(data)
    doubled: tuple[Duplicate, ...] = ()
    if json_text.maybe_duplicates(json_, found.keys):
        doubled = tuple(json_text.duplicates(json_))
    document = Document(
        name, text, Kind.NOT_A_MANIFEST, data, encoding=encoding, duplicates=doubled, shape=found, _json=json_
    )
    try:
        manifest = Manifest.of(data, layered=True if layered else None)
    except InputError:
        return document
    places: list[str] = []
    if filled is not None or placeholder.possible(json_):
        places = _places(manifest, bare=filled is not None)
    return _of_manifest(manifest, document, places)


def _places(manifest: Manifest, *, bare: bool = False) -> list[str]:
    """JSON Pointers to the placeholders in a manifest; with `bare` also to those that stood outside strings."""
    places = list(placeholder.places(manifest))
    if bare:
        places += [pointer for pointer in placeholder.fillers(manifest.data) if pointer not in places]
    return places


def _of_manifest(manifest: Manifest, document: Document, places: list[str]) -> Document:
    if places == ["/$schema-template"]:
        # A template in which nothing is left to fill in is a manifest.
        places = []
    named = document.has_text and re.search(_TEMPLATE_NAME, document.name) is not None
    intended = document._bare or named or _intended(manifest, places)
    if places and intended:
        places += [pointer for pointer in placeholder.dependent(manifest) if pointer not in places]
    kind = Kind.TEMPLATE if places else Kind.LAYERED if manifest.layered else Kind.MANIFEST
    return replace(
        document,
        kind=kind,
        manifest=manifest,
        placeholders=tuple(places),
        leftover=bool(places) and not intended,
        shape=document.shape or shape(document.data),
    )


def _intended(manifest: Manifest, places: list[str]) -> bool:
    """Whether somebody meant to fill these in, rather than forgot to."""
    if len(places) > 1:
        return True
    # createOptions as an object are what template tools turn into text.
    if any(isinstance(module.settings.get("createOptions"), dict) for module in manifest.modules()):
        return True
    credentials = tuple(part.pointer for part in manifest.credential_entries())
    return any(place.startswith(credentials) for place in places) if credentials else False
