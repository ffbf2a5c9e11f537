"""A template rendered for row after row, as fast as each may be.

Most values of a row are only put out, at places where no error depends on what they are: a variable of a module's
environment, a value of its twin. For rows that differ in nothing else the manifest has one *shape*: it is rendered and
checked in full once, and the rows after it put their values into its bytes. Whatever else a template does with a value
makes it one that shapes the manifest, and rows that differ in it have different shapes.

What a shape may not decide, the full way decides: a value that is not harmless, manifests near the limit of a twin's
size, templates that give every row a shape of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import msgspec

from manifestgen.check import Finding, Severity, check
from manifestgen.errors import CloudError, ManifestgenError
from manifestgen.gate import admit
from manifestgen.manifest import twin
from manifestgen.manifest.document import Document, Kind, read
from manifestgen.manifest.dump import compact, dump
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import image_hosts
from manifestgen.manifest.section import DESIRED
from manifestgen.project.values import merge
from manifestgen.render import Login, Template
from manifestgen.render.splice import to_json
from manifestgen.rows.opaque import CLEAN, NUMBERS, PLACES, Opaque, OpaqueEnvironment, Touched
from manifestgen.rows.rows import Row
from manifestgen.rows.values import Place

# Texts in which nothing has a meaning of its own: no quote, escape, placeholder, character beyond ASCII.
_HARMLESS: Final = re.compile(r"[A-Za-z0-9 ._:/@+,=-]{0,256}")
_LARGE: Final = 2**31
_MOST_SHAPES: Final = 256
# So many rows show whether shapes are worth their making.
_TRIAL: Final = 64


class Ready(msgspec.Struct, frozen=True):
    """A manifest that may be sent.

    Attributes:
        body: the JSON of `{"modulesContent": …}` without blanks, as the hub is sent it. It may hold passwords.
        digest: of the body, 32 hex digits.
    """

    body: bytes
    digest: str

    @property
    def messages(self) -> int:
        """As how many messages of 4 KB the hub counts it."""
        return -(-len(self.body) // 4096)


class Refused(msgspec.Struct, frozen=True):
    """A row that makes no manifest, or one that `check` has errors in.

    Attributes:
        why: in words, with its place.
        fix: what to do.
    """

    why: str
    fix: str


class _Shape(msgspec.Struct, frozen=True):
    """The bytes of a manifest with gaps.

    Attributes:
        pieces: what stands before, between and after the gaps.
        gaps: for each gap the number of the value, and whether it is part of a text there.
        overhead: what numbers add to the bytes in the hub's way of counting a twin.
    """

    pieces: tuple[bytes, ...]
    gaps: tuple[tuple[int, bool], ...]
    overhead: int

    def fill(self, leaves: tuple[Any, ...]) -> bytes:
        """The manifest with these values."""
        parts = [self.pieces[0]]
        for (number, inside), piece in zip(self.gaps, self.pieces[1:], strict=True):
            parts.append(_encoded(leaves[number], inside=inside))
            parts.append(piece)
        return b"".join(parts)


class Renderer:
    """Renders, checks and encodes the manifest of one row after another.

    Args:
        template: of the manifests.
        base: the values that every row has; a row's own win.
        logins: finds the registry credentials for a manifest.
        ignore: ids of rules that do not count.
        force: let errors of `check` pass that the hub itself does not refuse.
        report: is given the first document that was checked, with what was found in it.
    """

    def __init__(
        self,
        template: Template,
        base: Mapping[str, Any],
        logins: Callable[[Manifest], Mapping[str, Login]],
        *,
        ignore: Collection[str] = (),
        force: bool = False,
        report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
    ) -> None:
        self._template = template
        self._base = base
        self._logins = logins
        self._ignore = ignore
        self._force = force
        self._report = report
        self._opaque: Template | None = None
        self._shaping: set[Place] = set()
        self._shapes: OrderedDict[Any, _Shape] = OrderedDict()
        self._hits = self._misses = 0
        self._direct = False
        self._reported = False
        self._last_logins: Mapping[str, Login] = {}
        self._last_registries: tuple[frozenset[str], int] = (frozenset(), 0)

    def render(self, row: Row) -> Ready | Refused:
        """The manifest of a row.

        Raises:
            CloudError: the registry credentials could not be read.
        """
        if row.problem:
            return Refused(row.problem, row.fix)
        if self._direct:
            return self._in_full(row)[0]
        key = self._key(row)
        if key is None:
            return self._in_full(row)[0]
        shape = self._shapes.get(key)
        if shape is None:
            return self._first_of_a_shape(row)
        self._hits += 1
        self._shapes.move_to_end(key)
        body = shape.fill((*row.leaves, row.device))
        if len(body) + shape.overhead > twin.MAX_DESIRED_BYTES:
            return self._in_full(row)[0]
        return _ready(body)

    def _key(self, row: Row) -> Any:
        """What decides the shape of a row's manifest; None if one of its values is not harmless."""
        shaping: list[Any] = []
        shaped_by = self._shaping
        for place, leaf in zip(row.places, row.leaves, strict=True):
            kind = type(leaf)
            if place in shaped_by or kind is list or kind is dict or leaf is None:
                shaping.append((kind, str(to_json(leaf))))
            elif kind is str:
                if _HARMLESS.fullmatch(leaf) is None:
                    return None
                shaping.append(str)
            elif kind is int or kind is float:
                if not -_LARGE < leaf < _LARGE:
                    return None
                shaping.append(kind)
            else:
                shaping.append(kind)
        if _DEVICE in shaped_by:
            shaping.append(row.device)
        elif _HARMLESS.fullmatch(row.device) is None:
            return None
        return (row.places, *shaping)

    def _context(self, row: Row, device: Any) -> dict[str, Any]:
        return merge(self._base, {**row.values(), "device": device})

    def _in_full(self, row: Row) -> tuple[Ready | Refused, Mapping[str, Login], Document | None]:
        """Render and check a row's manifest with nothing left out."""
        context = self._context(row, row.device)
        try:
            manifest, logins = self._manifest(context)
            body = compact(manifest.content)
            document = read(body, _about(row))
            findings = check(document, ignore=self._ignore)
            if any(finding.severity is Severity.ERROR for finding in findings) or not self._reported:
                # With the lines of the text that a person would see.
                document = read(dump(manifest.content), _about(row))
                admit(document, ignore=self._ignore, force=self._force, report=self._tell)
            elif document.kind is not Kind.MANIFEST:
                admit(document, ignore=self._ignore, force=self._force)
            encoded = body.encode()
        except CloudError:
            raise
        except ManifestgenError as error:
            # Where it is, but for the device: the row says that already.
            why = error.what if error.where == _about(row) else error.message
            return Refused(why, error.fix), {}, None
        except UnicodeEncodeError:
            return Refused("a text of the manifest is not Unicode", "correct the values of the row"), {}, None
        return _ready(encoded), logins, document

    def _manifest(self, context: Mapping[str, Any]) -> tuple[Manifest, Mapping[str, Login]]:
        """The manifest for these values, with the credentials that its images need.

        Most rows need those that the last one needed, so that they are tried first.
        """
        if self._last_logins:
            manifest = self._template.render(context, self._last_logins)
            if _registries(manifest) == self._last_registries:
                return manifest, self._last_logins
        draft = self._template.render(context)
        logins = self._logins(draft)
        manifest = self._template.render(context, logins) if logins else draft
        self._last_logins, self._last_registries = logins, _registries(manifest)
        return manifest, logins

    def _tell(self, document: Document, findings: Sequence[Finding]) -> None:
        if not self._reported:
            self._reported = True
            self._report(document, findings)

    def _first_of_a_shape(self, row: Row) -> Ready | Refused:
        self._misses += 1
        if self._misses >= _TRIAL and self._misses > self._hits:
            self._direct = True
            self._shapes.clear()
        result, logins, document = self._in_full(row)
        if isinstance(result, Refused) or document is None or self._direct:
            return result
        shape = self._shape(row, logins, document)
        if shape is None or shape.fill((*row.leaves, row.device)) != result.body:
            # The template does something that opaque values cannot follow.
            self._direct = True
        else:
            self._shapes[self._key(row)] = shape
            if len(self._shapes) > _MOST_SHAPES:
                self._shapes.popitem(last=False)
        return result

    def _shape(self, row: Row, logins: Mapping[str, Login], document: Document) -> _Shape | None:
        """The shape of a row's manifest; None if there is none to be had."""
        names = (*row.places, _DEVICE)
        if self._opaque is None:
            self._opaque = self._template.compiled_by(OpaqueEnvironment)
        for _ in names:
            leaves = tuple(
                leaf if self._shapes_by(place, leaf) else Opaque(number)
                for number, (place, leaf) in enumerate(zip(row.places, row.leaves, strict=True))
            )
            device = row.device if _DEVICE in self._shaping else Opaque(len(row.leaves))
            hidden = Row(row.number, row.line, row.device, row.places, leaves)
            try:
                manifest = self._opaque.render(self._context(hidden, device), logins)
            except Touched as touched:
                found = touched.numbers
            except (ManifestgenError, TypeError):
                return None
            else:
                found = frozenset(_not_inert(manifest.content))
            if not found:
                return _shape_of(manifest, document)
            self._shaping.update(names[number] for number in found)
        return None

    def _shapes_by(self, place: Place, leaf: Any) -> bool:
        return place in self._shaping or leaf is None or isinstance(leaf, list | dict)


_DEVICE: Final[Place] = ("device",)


def names_in(template: Template) -> frozenset[str] | None:
    """The names that a template, and those that it is made of, look up; None if that cannot be told from their text."""
    from jinja2.meta import find_undeclared_variables

    names: set[str] = set()
    for source in template.sources():
        if source is None:
            return None
        names |= find_undeclared_variables(source[1])
    return frozenset(names)


def hash_of(template: Template) -> str:
    """SHA-256 of a template's text and of those that it names, hex digest."""
    digest = hashlib.sha256()
    for source in template.sources():
        text = b"" if source is None else source[0].encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()


def _registries(manifest: Manifest) -> tuple[frozenset[str], int]:
    """What tells which credentials a manifest needs: the hosts of its images, and how many entries it has."""
    return frozenset(image_hosts(manifest)), len(manifest.credential_entries())


def _about(row: Row) -> str:
    return f"device {row.device!r}"


def _ready(body: bytes) -> Ready:
    return Ready(body, hashlib.blake2b(body, digest_size=16).hexdigest())


def _shape_of(manifest: Manifest, document: Document) -> _Shape:
    body = compact(manifest.content).encode()
    pieces, gaps, last = [], [], 0
    for match in PLACES.finditer(body):
        pieces.append(body[last : match.start()])
        gaps.append((int(match[2]), bool(match[1])))
        last = match.end()
    numbers = document.shape.numbers if document.shape is not None else 0
    return _Shape((*pieces, body[last:]), tuple(gaps), 8 * numbers)


def _encoded(leaf: Any, *, inside: bool) -> bytes:
    """A harmless value as JSON; inside a text the characters that it is there."""
    if type(leaf) is str:
        return leaf.encode() if inside else b'"%b"' % leaf.encode()
    text = to_json(leaf)
    return (encode_basestring_ascii(text)[1:-1] if inside else text).encode()


def _not_inert(content: Mapping[str, Any]) -> set[int]:
    """The numbers of opaque values that stand where an error could depend on what they are."""
    found: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                found.update(map(int, NUMBERS.findall(key)))
                waiting.append(((*path, key), item))
        elif isinstance(value, list):
            if len(value) == 1 and isinstance(value[0], str) and CLEAN.fullmatch(f'["{value[0]}"]'):
                if not _is_inert(path):
                    found.update(map(int, NUMBERS.findall(value[0])))
            else:
                waiting += ((path, item) for item in value)
        elif isinstance(value, str) and (numbers := NUMBERS.findall(value)):
            if not _is_inert(path):
                found.update(map(int, numbers))
            else:
                found.update(map(int, NUMBERS.findall(CLEAN.sub("", value))))
    return found


def _is_inert(path: tuple[str, ...]) -> bool:
    """Whether no error depends on a harmless value there: in a variable of a module, or in a module's own twin.

    Of variables the rules about errors read which kind of value they have, of twins the sizes; the kind belongs to the
    shape, and sizes are looked at row by row.
    """
    if len(path) < 3 or path[0] != "modulesContent" or path[2] != DESIRED:
        return False
    if not path[1].startswith("$"):
        return len(path) > 3
    return (
        len(path) == 8
        and path[1] == "$edgeAgent"
        and path[3] in ("modules", "systemModules")
        and (path[5], path[7]) == ("env", "value")
    )
