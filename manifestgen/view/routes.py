"""The routes of a manifest as lines between nodes: from where, to where, and whether a message ever gets through."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from manifestgen.check import Effect, Finding
from manifestgen.manifest.manifest import Manifest, RouteEntry
from manifestgen.manifest.reading import as_text, get
from manifestgen.manifest.route import ModuleInput, Route, condition_text
from manifestgen.manifest.route.source import never_matches, prefix
from manifestgen.rules._routes import Reading, routes
from manifestgen.view.model import Tone

#: Sources of a route other than a module, by the prefix of a message's source.
SOURCES: Final = {
    "/": ("everything", "messages and twin changes"),
    "/messages/": ("all messages", "of devices and modules"),
    "/messages/modules/": ("all modules", "whatever they send"),
    "/twinchangenotifications/": ("twin changes", "of devices and modules"),
}
UNREADABLE: Final = ("cannot be read", "no route")
NOWHERE: Final = ("nowhere", "no sink is known")
NO_MESSAGE: Final = ("no message", "nothing has this source")
UPSTREAM: Final = "$upstream"
# Why an accepted route never carries a message.
_NEVER: Final = frozenset({"dead-source", "never-true"})
_SINK: Final = re.compile(r"(?is)\s*INTO\s*(?:BrokeredEndpoint\s*\(\s*[\"'])?$")
_WHERE: Final = re.compile(r"(?is)^\s*WHERE\b\s*")


@dataclass(frozen=True)
class End:
    """Where a route begins or ends.

    Attributes:
        module: its name; empty if it is something else.
        words: title and remark of something else.
        port: the output or the input, empty for any.
    """

    module: str = ""
    words: tuple[str, str] = ("", "")
    port: str = ""


@dataclass(frozen=True)
class Line:
    """A route, before it is known which nodes there are.

    Attributes:
        pointer: JSON Pointer to its entry.
    """

    name: str
    pointer: str
    source: End
    sink: End
    condition: str
    priority: str
    ttl: str
    tone: Tone
    reason: str


def lines(manifest: Manifest, findings: Sequence[Finding]) -> list[Line]:
    """The routes of a manifest, judged by the findings of `check`."""
    readings = {id(entry): reading for entry, reading in routes(manifest)}
    about = _findings_by_route(manifest, findings)
    hub = manifest.pointer("$edgeHub")
    refused = next((f for f in findings if f.effect is Effect.REFUSED and f.pointer.startswith(f"{hub}/")), None)
    known = {name.lower(): name for name in manifest.module_names}
    found = []
    for entry in manifest.routes():
        own = about.get(entry.entry_pointer, [])
        tone, reason = _standing(own, readings.get(id(entry)), refused)
        source, sink, condition = _ends(entry, readings.get(id(entry)), known)
        priority, ttl = (_setting(entry, name) for name in ("priority", "timeToLiveSecs"))
        found.append(Line(entry.name, entry.entry_pointer, source, sink, condition, priority, ttl, tone, reason))
    return found


def _findings_by_route(manifest: Manifest, findings: Sequence[Finding]) -> Mapping[str, list[Finding]]:
    pointers = {entry.entry_pointer for entry in manifest.routes()}
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        place = finding.pointer
        while place and place not in pointers:
            place = place.rpartition("/")[0]
        if place:
            found.setdefault(place, []).append(finding)
    return found


def _standing(own: Sequence[Finding], reading: Reading | None, refused: Finding | None) -> tuple[Tone, str]:
    worst = next((f for f in own if f.effect is Effect.REFUSED), None) or next(
        (f for f in own if f.effect is Effect.DEAD), None
    )
    if worst is not None:
        return Tone.BAD, worst.message
    never = next((w for w in reading.warnings if w.kind in _NEVER), None) if reading is not None else None
    if never is not None:
        return Tone.BAD, never.message
    if refused is not None:
        return Tone.BAD, f"dropped with all routes of this manifest: {refused.message}"
    risk = next((f for f in own if f.effect is Effect.RISK), None)
    return (Tone.WARNING, risk.message) if risk is not None else (Tone.PLAIN, "")


def _ends(entry: RouteEntry, reading: Reading | None, known: Mapping[str, str]) -> tuple[End, End, str]:
    route = reading.route if reading is not None else None
    if reading is None or route is None:
        return End(words=UNREADABLE), End(words=NOWHERE), (entry.text or "").strip()
    text = entry.text or ""
    return _source(route, reading, text, known), _sink(route, text), _condition(route, text)


def _source(route: Route, reading: Reading, text: str, known: Mapping[str, str]) -> End:
    source = reading.source
    if source is not None:
        # A placeholder was filled with as many letters, so that the text has the name at the same place.
        name = text[source.offset : source.offset + source.length] or source.module
        name = source.module if "/" in name else name
        return End(known.get(name.lower(), name), port=(source.output or "").strip("*"))
    if never_matches(route.source):
        return End(words=(NO_MESSAGE[0], route.source.path))
    return End(words=SOURCES.get(prefix(route.source.path).lower(), SOURCES["/messages/"]))


def _sink(route: Route, text: str) -> End:
    sink = route.sink
    if not isinstance(sink, ModuleInput):
        return End(words=(UPSTREAM, "IoT Hub, or the parent device"))
    parts = text[sink.offset : sink.offset + sink.length].strip().strip("/").split("/")
    return End(parts[1], port=parts[3]) if len(parts) == 4 else End(sink.module, port=sink.input)


def _condition(route: Route, text: str) -> str:
    if route.condition is None:
        return ""
    start = route.source.offset + route.source.length
    written, found = _SINK.subn("", text[start : route.sink.offset])
    written, where = _WHERE.subn("", written)
    return " ".join((written if found and where else condition_text(route.condition)).split())


def _setting(entry: RouteEntry, name: str) -> str:
    value = get(entry.value, name) if isinstance(entry.value, dict) else None
    return "" if value is None else as_text(value) or ""
