"""The messages that a source matches.

The runtime stores a source as a string: it removes a trailing `*` and the slash before it, and appends one slash. A
message's source must begin with that, in any case. So `/messages/modules/m` and `/messages/modules/m/*` are
the same, and a `*` anywhere else is an ordinary character that no message source has.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, messageSources/.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.route.sink import WHITE
from manifestgen.manifest.route.tree import Route, Source

_TELEMETRY: Final = "/messages/"
_MODULES: Final = "/messages/modules/"
_TWIN_CHANGES: Final = "/twinchangenotifications/"
_MODULE_PARTS: Final = 3
_OUTPUT_PARTS: Final = 5


class SourceModule(Struct, frozen=True):
    """The module, and maybe its output, that a source is limited to.

    Attributes:
        module: as written; the runtime compares names of a source in any case.
        output: None for whatever the module sends.
        offset: of the module's name in the route; of the whole source where the name is not in one piece.
        length: of it.
    """

    module: str
    output: str | None
    offset: int
    length: int


def prefix(path: str) -> str:
    """The required prefix of a message's source, in any case, with one trailing slash."""
    cut = path.strip(WHITE).rstrip("*")
    if len(cut) > 1:
        cut = cut.rstrip("/")
    return cut.strip(WHITE).rstrip("/") + "/"


def source_matches(path: str, message_source: str) -> bool:
    """Whether messages from `message_source`, such as `/messages/modules/m/outputs/o`, come through a source."""
    return (message_source.strip(WHITE).rstrip("/") + "/").lower().startswith(prefix(path).lower())


def source_modules(route: Route) -> SourceModule | None:
    """The module that a route's source is limited to; None if it takes several, devices' messages, or none at all."""
    source = route.source
    wanted = prefix(source.path)
    if not wanted.lower().startswith(_MODULES) or never_matches(source):
        return None
    parts = wanted.split("/")[1:-1]
    if len(parts) < _MODULE_PARTS:
        return None
    module = parts[2]
    output = "/".join(parts[4:]) if len(parts) >= _OUTPUT_PARTS else None
    if source.length == len(source.path):
        return SourceModule(module, output, source.offset + len(_MODULES), len(module))
    return SourceModule(module, output, source.offset, source.length)


def never_matches(source: Source) -> str:
    """Why no message ever comes through a source, as a sentence; empty if one may."""
    wanted = prefix(source.path)
    lowered = wanted.lower()
    if _TELEMETRY.startswith(lowered) or _TWIN_CHANGES.startswith(lowered):
        return ""
    parts = lowered.split("/")[1:-1]
    if "*" in wanted:
        return "a '*' is a wildcard at the end of a source only"
    if parts[0] != "messages":
        return "messages come from /messages and from /twinChangeNotifications only"
    if parts[1] != "modules":
        return "behind /messages only /modules can follow"
    if len(parts) > _MODULE_PARTS and parts[3] != "outputs":
        return "behind the module only /outputs can follow"
    return ""


def nearest_source(source: Source) -> str:
    """The probable correction of a source that never matches."""
    parts = [part for part in prefix(source.path).split("/") if part]
    if "*" in parts:
        parts = parts[: parts.index("*")]
    for position, words in enumerate(_KNOWN[: len(parts)]):
        parts[position : position + 1] = nearest(parts[position][:_LONGEST_GUESS], words) or [parts[position]]
    guess = "/" + "/".join(parts)
    candidate = Source(f"{guess}/*" if parts else "/*")
    return "/messages/*" if never_matches(candidate) or candidate.path == source.path else candidate.path


_LONGEST_GUESS: Final = 40
# The words that have a fixed place in a source; the third is the module's own.
_KNOWN: Final[tuple[tuple[str, ...], ...]] = (("messages", "twinChangeNotifications"), ("modules",), (), ("outputs",))
