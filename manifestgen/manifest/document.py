"""A document: what `check` looks at. Made from a file's text, whose lines it knows, or from a value, which has none."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from manifestgen.errors import InputError
from manifestgen.manifest import json_text, placeholder
from manifestgen.manifest.json_error import JsonError
from manifestgen.manifest.json_text import Duplicate, Span
from manifestgen.manifest.manifest import Manifest, locate
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.manifest.twin import Shape, shape
from manifestgen.manifest.value import Value

if TYPE_CHECKING:
    from manifestgen.manifest.unfilled import Placeholder

_NO_SPAN: Final[Mapping[str, Span]] = {}


class Kind(str, Enum):
    """The kind of a file.

    A template has a placeholder, wherever it is; one is enough, and neither the file's name nor the number matters. A
    template that has blocks is not JSON before it is rendered.
    """

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
        placeholders: what is still to be filled in, in the order of the text.
        styles: of its project's placeholders.
        shape: what a quick look at its value found; None if it has none.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"text", "data", "_json", "_packed"})

    name: str
    text: str
    kind: Kind
    data: Any = None
    manifest: Manifest | None = None
    error: JsonError | None = None
    encoding: str = "utf-8"
    duplicates: tuple[Duplicate, ...] = ()
    placeholders: tuple[Placeholder, ...] = ()
    styles: Styles = USUAL
    shape: Shape | None = None
    _json: str = ""
    _packed: bytes | None = None

    @property
    def has_text(self) -> bool:
        """Whether it was read from a text; if not, places in it have a JSON Pointer and no line."""
        return bool(self.text) or self.error is not None

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in its manifest as a text or a message may write them, the longest first."""
        if self.manifest is None:
            return ()
        # A manifest without findings need not wait for this import.
        from manifestgen.manifest.secret_text import secret_texts, written_forms

        return tuple(written_forms(secret_texts(self.manifest)))

    def counts_at_most(self, limit: int) -> bool:
        """Whether its length alone shows that no twin in it counts more than `limit` bytes.

        IoT Hub counts eight bytes for a number, however short it is written, and at most its text for all else.
        """
        if self._packed is None or self.shape is None:
            return False
        return len(self._packed) + 8 * self.shape.numbers <= limit

    @property
    def blocks(self) -> bool:
        """Whether it is a template that is not JSON until it is rendered."""
        return self.kind is Kind.TEMPLATE and self.error is not None and self.manifest is None

    def spans(self, pointers: Iterable[str]) -> Mapping[str, Span]:
        """Where values stand in the text; for a pointer to nothing, ask for the one of its parent."""
        return json_text.locate(self._json, pointers) if self._json else _NO_SPAN

    def inside(self, value: int, index: int) -> int:
        """Offset in the text of the character `index` of the string value that begins at offset `value`."""
        return json_text.inside(self._json or self.text, value, index)

    def extent(self, value: int) -> int:
        """How many characters of its first line the value at an offset takes; at least 1."""
        return json_text.extent(self._json or self.text, value)

    def place_of(self, placeholder: Placeholder) -> Position:
        """Line and column of a placeholder; line 0 if the document has no text."""
        span = self.spans([placeholder.pointer]).get(placeholder.pointer)
        if span is None:
            return Position(0, 0, 0)
        offset = span.key if placeholder.at_key and not placeholder.quoted else span.value
        if placeholder.start is not None:
            offset = self.inside(offset, placeholder.start)
        return self.position(offset)

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


def read(source: str | bytes, name: str = "", *, layered: bool = False, styles: Styles = USUAL) -> Document:
    """A document from a file's content. Nothing that a file can hold raises an error.

    Args:
        source: text, or bytes as read from the file.
        name: for messages.
        layered: read it as a layered deployment whatever its keys are.
        styles: of the project's placeholders.
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
    blank = Document(name, text, Kind.NOT_A_MANIFEST, encoding=encoding, styles=styles, _json=text)
    try:
        data = json_text.parse(text)
    except JsonError as error:
        return _not_json(blank, error, layered=layered)
    return _of_value(blank, data, layered=layered)


def of_data(data: Any, name: str = "") -> Document:
    """A document from plain JSON data, which has no text and so no lines.

    Args:
        data: what `read` would find in a file.
        name: for messages.
    """
    return _of_data(_with_value(Document(name, "", Kind.NOT_A_MANIFEST), data), layered=False)


def of_manifest(manifest: Manifest, name: str = "", *, styles: Styles = USUAL) -> Document:
    """A document from a manifest, which has no text and so no lines.

    Args:
        manifest: its pointers are those into `manifest.data`.
        name: for messages.
        styles: see `read`.
    """
    return _of_manifest(manifest, _with_value(Document(name, "", Kind.MANIFEST, styles=styles), manifest.data))


def with_data(document: Document, data: Any, *, layered: bool = False) -> Document:
    """The document of a manifest after values in it were replaced; places stay those of its text.

    Args:
        document: of a manifest.
        data: the same keys and items; other values.
        layered: read it as a layered deployment whatever its keys are.
    """
    manifest = Manifest.of(data, layered=True if layered else None)
    return _of_manifest(manifest, _with_value(document, data))


def _not_json(document: Document, error: JsonError, *, layered: bool) -> Document:
    """Parse a text that is not JSON: with comments, trailing commas, or placeholders outside strings."""
    text = document.text
    plain = json_text.without_comments(text)
    first = json_text.first_comment(text, plain)
    for json_ in (plain if first else None, placeholder.fill(plain, document.styles.more)):
        if json_ is None:
            continue
        try:
            data = json_text.parse(json_)
        except JsonError:
            continue
        if isinstance(data, dict):
            return _of_value(replace(document, error=first, _json=json_), data, layered=layered)
    # A template that extends another may have no word of a manifest in it.
    meant = "modulesContent" in text or document.name.endswith((".j2", ".jinja", ".jinja2"))
    kind = Kind.TEMPLATE if meant and placeholder.has_blocks(text) else Kind.NOT_A_MANIFEST
    return replace(document, kind=kind, error=error, _json="")


def _of_value(document: Document, data: Any, *, layered: bool) -> Document:
    document = _with_value(document, data)
    if json_text.maybe_duplicates(document._json, document._packed):
        document = replace(document, duplicates=tuple(json_text.duplicates(document._json)))
    return _of_data(document, layered=layered)


def _with_value(document: Document, data: Any) -> Document:
    return replace(document, data=data, shape=shape(data), _packed=json_text.packed(data))


def _of_data(document: Document, *, layered: bool) -> Document:
    try:
        manifest = Manifest.of(document.data, layered=True if layered else None)
    except InputError:
        if _has_place(document.data):
            document = replace(document, placeholders=_placeholders(document))
        return replace(document, kind=Kind.TEMPLATE if document.placeholders else Kind.NOT_A_MANIFEST)
    return _of_manifest(manifest, document)


def _has_place(data: Any) -> bool:
    """Whether there is a place for a manifest, though no manifest in it."""
    return locate(data) is not None or (isinstance(data, dict) and isinstance(data.get("content"), str))


def _placeholders(document: Document) -> tuple[Placeholder, ...]:
    packed = document._packed
    if packed is not None and not document.styles.more and not placeholder.possible(packed):
        return ()
    # Most manifests have none, and need not wait for this import.
    from manifestgen.manifest.unfilled import find

    return tuple(find(document.data, document.styles))


def _of_manifest(manifest: Manifest, document: Document) -> Document:
    places = _placeholders(document)
    kind = Kind.TEMPLATE if places else Kind.LAYERED if manifest.layered else Kind.MANIFEST
    return replace(document, kind=kind, manifest=manifest, placeholders=places)
