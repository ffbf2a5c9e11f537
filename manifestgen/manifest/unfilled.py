"""All placeholders of a document, with their places, and the findings that depend on them.

A place is a JSON Pointer. One into createOptions continues into their JSON, whether they are an object or a string,
in lower case: `…/settings/createOptions/hostconfig/binds/0`.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from manifestgen.manifest import container, create_options, json_text, placeholder
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.section import DESIRED


# A template may have hundreds, and with each a problem and a finding: without references to others in them, the
# garbage collector need not look at them.
class Placeholder(Struct, frozen=True, gc=False):
    """A placeholder that is not filled in.

    Attributes:
        pointer: JSON Pointer to the value that has it, or to its key.
        text: as written; empty if it is outside a string.
        at_key: whether it is in the key at the place.
        quoted: whether the pointer leads to a text that has the place in it, as JSON within JSON.
        start: where in the text of the value or key, in characters from 0; None if it is all of it.
        place: what depends on it: the pointer, which may go on into createOptions.
        ours: whether `apply` fills it in.
    """

    pointer: str
    text: str
    place: str
    at_key: bool = False
    quoted: bool = False
    start: int | None = None
    ours: bool = False


class Area(Struct, frozen=True):
    """A part of a manifest: which styles count in its texts and keys, and what is below it.

    Attributes:
        texts: pattern for texts; empty if none counts.
        keys: pattern for keys.
        below: areas by the key that leads there, in lower case.
        rest: the area behind every other key; None for this one.
    """

    texts: str
    keys: str
    below: Mapping[str, Area] = {}
    rest: Area | None = None

    def step(self, key: str) -> Area:
        """The area behind a key."""
        return self.below.get(key.lower()) or self.rest or self


_FREE: Final = Area(placeholder.FREE, placeholder.KEY)
_STRICT: Final = Area(placeholder.STRICT, placeholder.STRICT)
_PASSWORD: Final = Area(placeholder.WHOLE, placeholder.STRICT)
_CREDENTIAL: Final = Area(placeholder.STRICT, placeholder.STRICT, {"password": _PASSWORD})
_SETTINGS: Final = Area(placeholder.STRICT, placeholder.STRICT)
_MODULE: Final = Area(
    placeholder.STRICT,
    placeholder.STRICT,
    {"env": Area(placeholder.FREE, placeholder.STRICT, {}, _FREE), "settings": _SETTINGS, "configuration": _FREE},
)
_MODULES: Final = Area(placeholder.STRICT, placeholder.STRICT, {}, _MODULE)
_CREDENTIALS: Final = Area(placeholder.STRICT, placeholder.STRICT, {}, _CREDENTIAL)
_RUNTIME: Final = Area(
    placeholder.STRICT, placeholder.STRICT, {"registrycredentials": _CREDENTIALS, "loggingoptions": _FREE}
)
_AGENT: Final = Area(
    placeholder.STRICT,
    placeholder.STRICT,
    {
        "modules": _MODULES,
        "systemmodules": _MODULES,
        "runtime": Area(placeholder.STRICT, placeholder.STRICT, {"settings": _RUNTIME}),
    },
)
_ROUTE: Final = Area(placeholder.ROUTE, placeholder.STRICT, {"priority": _STRICT, "timetolivesecs": _STRICT})
_HUB: Final = Area(
    placeholder.STRICT,
    placeholder.STRICT,
    {
        "routes": Area(placeholder.STRICT, placeholder.STRICT, {}, _ROUTE),
        "mqttbroker": Area(placeholder.BROKER, placeholder.BROKER),
    },
)
_ENTRY: Final = Area(
    placeholder.STRICT, placeholder.KEY, {DESIRED: Area(placeholder.STRICT, placeholder.KEY, {}, _FREE)}, _FREE
)
_ENTRIES: Final = Area(
    placeholder.STRICT,
    placeholder.STRICT,
    {
        "$edgeagent": Area(placeholder.STRICT, placeholder.KEY, {DESIRED: _AGENT}, _FREE),
        "$edgehub": Area(placeholder.STRICT, placeholder.KEY, {DESIRED: _HUB}, _FREE),
    },
    _ENTRY,
)
_ENV_ITEM: Final = Area(placeholder.FREE, placeholder.KEY)
# An automatic deployment's conditions and queries have their own brackets and dollars.
_OUTSIDE: Final = Area(placeholder.DOCKER, placeholder.DOCKER)
_CONTENT: Final = Area(
    placeholder.STRICT, placeholder.DOCKER, {"modulescontent": _ENTRIES, "modulecontent": _ENTRIES}, _OUTSIDE
)
_ROOT: Final = Area(
    placeholder.STRICT,
    placeholder.DOCKER,
    {"content": _CONTENT, "modulescontent": _ENTRIES, "modulecontent": _ENTRIES},
    _OUTSIDE,
)

_COMMAND: Final = Area(placeholder.FREE, placeholder.KEY)
_SHELL: Final = Area(placeholder.SHELL, placeholder.KEY)
_HOST: Final = Area(placeholder.STRICT, placeholder.STRICT, {"logconfig": _OUTSIDE, "annotations": _FREE})
_OPTIONS: Final = Area(
    placeholder.STRICT,
    placeholder.KEY,
    {
        "env": _ENV_ITEM,
        "hostconfig": _HOST,
        "exposedports": _STRICT,
        "image": _STRICT,
        "networkingconfig": _STRICT,
    },
    _FREE,
)
_SHELLS: Final = r"(?i)(?:^|[/\\])(?:ba|da|a|z|k)?sh$|cmd(\.exe)?$|(powershell|pwsh)(\.exe)?$|^CMD-SHELL$"


def find(data: Any, styles: Styles = USUAL) -> Iterator[Placeholder]:
    """Every placeholder in a manifest's file, in the order of the text.

    Args:
        data: the file's value.
        styles: of the project.
    """
    found = _Search(styles.more).walk(data, "", "", _ROOT)
    if not styles.literal:
        return found
    literal = re.compile(styles.literal)
    return (one for one in found if not literal.fullmatch(one.text))


class _Member(Struct, frozen=True):
    key: str
    area: Area
    outer: Mapping[str, Any]


# Keys of every manifest, in which no style finds anything: most manifests then spare compiling the patterns of keys.
_NO_PLACEHOLDERS: Final = ("$edgeAgent", "$edgeHub")


class _Search:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        # Most texts have no character of a placeholder.
        self._marked = re.compile(f"{placeholder.MARKS}|{pattern}" if pattern else placeholder.MARKS).search

    def walk(self, data: Any, pointer: str, place: str, area: Area, *, fold: bool = False) -> Iterator[Placeholder]:
        stack: list[tuple[Any, str, str, Area, _Member | None]] = [(data, pointer, place, area, None)]
        while stack:
            value, pointer, place, area, member = stack.pop()
            if member is not None:
                if self._marked(member.key) and (self._pattern or member.key not in _NO_PLACEHOLDERS):
                    yield from self._in_key(member.key, pointer, place, member.area)
                if member.area is _SETTINGS and "createoptions" in member.key.lower():
                    yield from self._options(member, pointer, place)
                    continue
            if type(value) is str:
                if self._marked(value):
                    yield from self._in_text(value, pointer, place, area)
            elif type(value) is dict:
                if area is _MODULE:
                    yield from self._in_module(value, pointer, place)
                    continue
                if (area is _ENTRY or area is _ROUTE) and self._is_free_of_any(value):
                    continue
                below: list[tuple[Any, str, str, Area, _Member | None]] = []
                for key, item in value.items():
                    step = "/" + escape(key)
                    there = place + (step.lower() if fold else step)
                    kind = type(item)
                    if kind is not str and kind is not dict and kind is not list and not self._marked(key):
                        continue
                    area_there = area if area is _FREE else self._step(area, key, item, value)
                    below.append((item, pointer + step, there, area_there, _Member(key, area, value)))
                stack.extend(reversed(below))
            elif type(value) is list:
                stack.extend(
                    (item, f"{pointer}/{index}", f"{place}/{index}", area, None)
                    for index, item in reversed(list(enumerate(value)))
                )

    def _is_free_of_any(self, value: Any) -> bool:
        """Whether a quick look shows that no placeholder is in a value; spares most twins and routes the search."""
        packed = None if self._pattern else json_text.packed(value)
        return packed is not None and not placeholder.possible(packed)

    def _in_module(self, module: dict[str, Any], pointer: str, place: str) -> Iterator[Placeholder]:
        try:
            packed = marshal.dumps(module, 2)
        except ValueError:
            # Hundreds of levels deep.
            packed = b""
        usual = 0 < len(packed) <= _UNUSUAL
        found = _kept(packed, self._pattern) if usual else self.walk(module, "", "", _OF_MODULE)
        for one in found:
            yield Placeholder(
                pointer + one.pointer, one.text, place + one.place, one.at_key, one.quoted, one.start, one.ours
            )

    def _step(self, area: Area, key: str, item: Any, outer: Mapping[str, Any]) -> Area:
        if area is _OPTIONS and key.lower() in ("cmd", "entrypoint", "healthcheck"):
            words = [item, outer.get("Entrypoint"), item.get("Test") if isinstance(item, dict) else None]
            lists = [word for word in words if isinstance(word, list)]
            shell = isinstance(item, str) or any(
                isinstance(word, str) and re.search(_SHELLS, word) for words in lists for word in words[:2]
            )
            return _SHELL if shell else _COMMAND
        if key.startswith(DESIRED + "."):
            # A layer's key is a path.
            area = area.step(DESIRED)
            for step in key[len(DESIRED) + 1 :].split("."):
                area = area.step(step)
            return area
        return area.step(key)

    def _matches(self, text: str, styles: str) -> Iterator[re.Match[str]]:
        if styles:
            yield from re.finditer(styles, text)
        if self._pattern:
            yield from (match for match in re.finditer(self._pattern, text) if match[0])

    def _in_text(self, text: str, pointer: str, place: str, area: Area) -> Iterator[Placeholder]:
        if area is _ENV_ITEM and "=" in text:
            # NAME=value
            name, _, value = text.partition("=")
            for part, offset in ((name, 0), (value, len(name) + 1)):
                for match in self._matches(part, _FREE.texts):
                    yield Placeholder(pointer, match[0].strip(), place, start=offset + match.start())
            return
        ours = area.texts is placeholder.WHOLE or area is _CREDENTIAL
        if ours and not self._pattern and re.fullmatch(placeholder.OURS, text):
            # As `render` writes it: the patterns of all styles, long to compile, would find the same.
            yield Placeholder(pointer, text, place, ours=True)
            return
        if area.texts is placeholder.ROUTE and self._is_free_of_any(text):
            return
        for match in self._matches(text, area.texts):
            whole = match[0] == text
            bare = placeholder.FILLER in match[0]
            yield Placeholder(
                pointer,
                "" if bare else match[0].strip(),
                place,
                start=None if whole else match.start(),
                ours=ours and re.fullmatch(placeholder.OURS, text) is not None,
            )

    def _in_key(self, key: str, pointer: str, place: str, area: Area) -> Iterator[Placeholder]:
        for match in self._matches(key, area.keys):
            text = "" if placeholder.FILLER in match[0] else match[0]
            yield Placeholder(pointer, text, place, at_key=True, start=match.start())

    def _options(self, member: _Member, at: str, base: str) -> Iterator[Placeholder]:
        """The placeholders in createOptions; those in further chunks belong to the first."""
        settings, key = member.outer, member.key
        value = settings[key]
        if isinstance(value, dict):
            yield from self.walk(value, at, base, _OPTIONS, fold=True)
            return
        chunks = create_options.keys(settings)
        if not isinstance(value, str):
            return
        try:
            text = create_options.join(settings)
        except create_options.ChunkError:
            yield from self._in_text(value, at, base, _SETTINGS)
            return
        if key in chunks[create_options.MAX_CHUNKS :]:
            yield from self._in_text(value, at, base, _SETTINGS)
        if key != chunks[0]:
            return
        if not (placeholder.possible(text.encode("utf-8", "surrogatepass")) or self._pattern):
            return
        options = container.read(text)
        if options.error:
            for match in self._matches(text, placeholder.STRICT):
                start = match.start() if len(chunks) == 1 and match[0] != text else None
                yield Placeholder(at, match[0].strip(), base, start=start)
            return
        last = 0
        for found in self.walk(options.data, at, base, _OPTIONS, fold=True):
            start = text.find(found.text, last)
            if start >= 0:
                last = start
            single = start >= 0 and len(chunks) == 1
            yield Placeholder(at, found.text, found.place, found.at_key, True, start if single else None)


# Modules repeat within a fleet and between two keystrokes.
_UNUSUAL: Final = 16384
_OF_MODULE: Final = Area(_MODULE.texts, _MODULE.keys, _MODULE.below)


@lru_cache(maxsize=2048)
def _kept(packed: bytes, pattern: str) -> tuple[Placeholder, ...]:
    module = marshal.loads(packed)  # noqa: S302 - our own bytes, packed just before
    return tuple(_Search(pattern).walk(module, "", "", _OF_MODULE))


class Unknown:
    """Whether a place has a known value, given a document's placeholders."""

    def __init__(self, placeholders: Iterable[Placeholder]) -> None:
        self._spans: dict[str, list[tuple[int, int] | None]] = {}
        self._keys: set[str] = set()
        self._objects: set[str] = set()
        self._above: set[str] = set()
        for one in placeholders:
            outer = one.place.rpartition("/")[0]
            if one.at_key:
                self._keys.add(one.place)
                self._objects.add(outer)
            else:
                span = None if one.start is None else (one.start, one.start + len(one.text))
                self._spans.setdefault(one.place, []).append(span)
            while outer not in self._above:
                self._above.add(outer)
                outer = outer.rpartition("/")[0]

    def value(self, place: str) -> bool:
        """Whether the value at a place, or what it is in, has a placeholder."""
        while place:
            if place in self._spans:
                return True
            place = place.rpartition("/")[0]
        return False

    def key(self, place: str) -> bool:
        """Whether the key at a place has one, or its object is one."""
        return place in self._keys or self.value(place.rpartition("/")[0])

    def names(self, place: str) -> bool:
        """Whether the keys of the object at a place are not all known."""
        return place in self._objects or self.value(place)

    def anything(self, place: str) -> bool:
        """Whether there is a placeholder at a place, in its key, or anywhere inside it."""
        return place in self._keys or place in self._above or self.value(place)

    def part(self, place: str, start: int, end: int) -> bool:
        """Whether one overlaps a part of the text at a place."""
        if place not in self._spans:
            return self.value(place)
        return any(span is None or (span[0] < end and start < span[1]) for span in self._spans[place])
