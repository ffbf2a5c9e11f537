"""The routes of a manifest, each parsed once for all rules.

Fleets and folders repeat the same few routes, so that what was read of a text is kept for the next manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

from manifestgen.manifest import placeholder
from manifestgen.manifest.manifest import Manifest, RouteEntry
from manifestgen.manifest.reading import is_blank
from manifestgen.manifest.route import (
    Route,
    RouteSyntaxError,
    RouteTypeError,
    RouteWarning,
    compile_check,
    parse,
    source_modules,
    warnings,
)
from manifestgen.manifest.route.source import SourceModule

# Real routes are shorter; only a few are cached, so that they need little memory.
_LONG: Final = 4096


class Reading(Struct, frozen=True):
    """The parts of a route's text.

    Attributes:
        route: None if it does not parse.
        error: why.
        type_errors: what cannot be compiled.
        warnings: what is taken and probably not meant.
        source: the module that the source is limited to.
    """

    route: Route | None
    error: RouteSyntaxError | None = None
    type_errors: tuple[RouteTypeError, ...] = ()
    warnings: tuple[RouteWarning, ...] = ()
    source: SourceModule | None = None


def routes(manifest: Manifest) -> tuple[tuple[RouteEntry, Reading], ...]:
    """The routes that have a text which is not blank."""
    found: tuple[tuple[RouteEntry, Reading], ...] | None = manifest.cache.get("routes")
    if found is None:
        found = manifest.cache["routes"] = tuple(_readings(manifest))
    return found


def _readings(manifest: Manifest) -> Iterator[tuple[RouteEntry, Reading]]:
    for entry in manifest.routes():
        text = entry.text
        if text is not None and not is_blank(text):
            reading = _read_usual(text) if len(text) < _LONG else _read_long(text)
            yield entry, reading if reading.error is None else _around(text, reading)


def _around(text: str, reading: Reading) -> Reading:
    """The parts of a route that does not parse around its placeholders."""
    plain = re.sub(placeholder.ROUTE, lambda match: "x" * len(match[0]), text)
    if plain == text:
        return reading
    filled = _read(plain)
    return Reading(filled.route, reading.error, (), (), filled.source)


def _read(text: str) -> Reading:
    try:
        route = parse(text)
    except RouteSyntaxError as error:
        # A cached error must not keep the stack alive.
        return Reading(None, error.with_traceback(None))
    errors = () if route.condition is None else tuple(compile_check(route))
    return Reading(route, None, errors, tuple(warnings(route)), source_modules(route))


_read_usual = lru_cache(maxsize=2048)(_read)
_read_long = lru_cache(maxsize=4)(_read)
