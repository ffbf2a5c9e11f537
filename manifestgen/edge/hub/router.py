"""The routes of a manifest, carried out: which sinks a message goes to, with which priority and time to live.

Source: Azure/iotedge, Evaluator.cs, RouteSpec.cs, StoreAndForwardConfiguration.cs, EndpointFactory.cs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from manifestgen.edge.message import Message
from manifestgen.errors import InputError
from manifestgen.manifest.reading import INT32, INT64, UINT32, as_mapping, get, integer, is_blank
from manifestgen.manifest.route import ModuleInput, Route, compile_check, parse, source_matches
from manifestgen.manifest.route.evaluate import Condition, Facts

#: The priority of a route that names none.
_LOWEST: Final = 2_000_000_000
_DEFAULT_TIME: Final = 7200.0

#: A sink: module and input, or two empty texts for `$upstream`.
Sink = tuple[str, str]
UPSTREAM: Final[Sink] = ("", "")


@dataclass(frozen=True)
class Target:
    """Where a message goes; `seconds` that it may wait there, infinity for ever."""

    sink: Sink
    priority: int
    seconds: float


@dataclass(frozen=True)
class _Entry:
    name: str
    route: Route
    condition: Condition
    priority: int
    seconds: int  # 0: what all routes have

    @property
    def sink(self) -> Sink:
        sink = self.route.sink
        return (sink.module, sink.input) if isinstance(sink, ModuleInput) else UPSTREAM


@dataclass(frozen=True)
class Router:
    """Routes, ready to be carried out.

    Attributes:
        seconds: how long messages wait whose route does not say.
        limit: how many bytes may wait in all; None where the manifest does not say.
    """

    seconds: float = _DEFAULT_TIME
    limit: int | None = None
    _entries: tuple[_Entry, ...] = ()
    _sources: dict[str, tuple[_Entry, ...]] = field(default_factory=dict)

    def targets(self, message: Message) -> list[Target]:
        """Where a message goes: to each sink once, by the route with the lowest number for a priority."""
        entries = self._sources.get(message.source)
        if entries is None:
            entries = tuple(entry for entry in self._entries if source_matches(entry.route.source.path, message.source))
            if len(self._sources) < _MOST_SOURCES:
                self._sources[message.source] = entries
        facts = Facts(message.properties, message.system, message.body)
        best: dict[Sink, _Entry] = {}
        for entry in entries:
            other = best.get(entry.sink)
            if (other is None or entry.priority < other.priority) and entry.condition.holds(facts):
                best[entry.sink] = entry
        return [Target(sink, e.priority, float(e.seconds) or self.seconds) for sink, e in best.items()]

    @property
    def loops(self) -> list[tuple[str, ...]]:
        """Modules to whom, as far as routes say, messages may come back; each loop once, from one of its modules."""
        reaches: dict[str, set[str]] = {}
        modules = sorted({entry.sink[0] for entry in self._entries if entry.sink != UPSTREAM})
        for module in modules:
            for entry in self._entries:
                if entry.sink != UPSTREAM and _may_send(entry, module):
                    reaches.setdefault(module, set()).add(entry.sink[0])
        return _cycles(reaches)


_MOST_SOURCES: Final = 1000


def _may_send(entry: _Entry, module: str) -> bool:
    path = f"/messages/modules/{module}".lower()
    mine = entry.route.source.path.rstrip("*").rstrip("/").lower()
    return path == mine or path.startswith(mine + "/") or mine.startswith(path + "/") or not mine


def _cycles(reaches: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """For each module that reaches itself, a shortest way."""
    found: list[tuple[str, ...]] = []
    covered: set[str] = set()
    for start in reaches:
        if start in covered:
            continue
        before: dict[str, str] = {}
        queue = [start]
        while queue and start not in before:
            module = queue.pop(0)
            for below in sorted(reaches.get(module, ())):
                if below not in before:
                    before[below] = module
                    queue.append(below)
        if start in before:
            path = [start]
            while (previous := before[path[-1]]) != start:
                path.append(previous)
            found.append((start, *reversed(path[1:])))
            covered.update(path)
    return found


def read(properties: Mapping[str, Any]) -> Router:
    """The routes of `$edgeHub`'s desired properties.

    Raises:
        InputError: one of them cannot be read or compiled: edgeHub takes none of them.
    """
    entries = []
    for name, value in as_mapping(get(properties, "routes")).items():
        entry = _entry(name, value)
        if entry is not None:
            entries.append(entry)
    store = as_mapping(get(properties, "storeAndForwardConfiguration"))
    seconds = integer(get(store, "timeToLiveSecs"), *INT32)
    limit = integer(get(as_mapping(get(store, "storeLimits")), "maxSizeBytes"), *INT64)
    return Router(_seconds(seconds), limit if limit and limit > 0 else None, tuple(entries))


def _seconds(seconds: int | None) -> float:
    """Negative is for ever, and 0 is at once."""
    if seconds is None:
        return _DEFAULT_TIME
    return math.inf if seconds < 0 else float(seconds)


def _entry(name: str, value: Any) -> _Entry | None:
    text, priority, seconds = value, None, None
    if isinstance(value, Mapping):
        text, priority, seconds = (get(value, key) for key in ("route", "priority", "timeToLiveSecs"))
    if not isinstance(text, str) or is_blank(text):
        if isinstance(value, str):
            return None
        raise InputError("the route has no text", where=f"route {name}", fix="write FROM … INTO …")
    route = parse(text)
    errors = compile_check(route)
    if errors:
        raise InputError(errors[0].message, where=f"route {name}", fix=errors[0].fix)
    number = _LOWEST if priority is None else integer(priority, *UINT32)
    time = 0 if seconds is None else integer(seconds, *UINT32)
    if number is None or time is None or not (number <= 9 or number == _LOWEST):
        words = f"priority {priority!r} or timeToLiveSecs {seconds!r} is not allowed"
        raise InputError(words, where=f"route {name}", fix="write a priority from 0 to 9 and whole seconds")
    return _Entry(name, route, Condition(route.condition), number, time)
