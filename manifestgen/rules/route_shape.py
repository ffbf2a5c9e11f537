"""The entries of `routes`."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import UINT32, as_text, integer, is_blank
from manifestgen.manifest.section import Part, child
from manifestgen.rules._rule import Effect, Problem, Side, rule

_NO_PRIORITY: Final = 2_000_000_000
_KEYS: Final = frozenset({"route", "priority", "timeToLiveSecs"})


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=400,
    bad='"up": {"route": "FROM /messages/* INTO $upstream", "priority": 10}',
    good='"up": {"route": "FROM /messages/* INTO $upstream", "priority": 9}',
)
def route_shape(manifest: Manifest) -> Iterator[Problem]:
    """A route is neither a string nor an object that edgeHub accepts.

    A route is a string; from schema version 1.1 on it may also be an object with `route`, `priority` (0 to 9, 0
    first) and `timeToLiveSecs`. One malformed entry makes edgeHub reject all routes.

    Write `"NAME": "FROM … INTO …"` or `{"route": "FROM … INTO …", "priority": 0, "timeToLiveSecs": 3600}`.
    """
    whole = manifest.hub.whole
    minor = None
    version: tuple[str, ...] = ()
    if whole is not None and isinstance(whole.value, dict):
        text = as_text(whole.value.get("schemaVersion"))
        version = (join(whole.pointer, "schemaVersion"),)
        minor = schema_version.hub_minor(text) if text is not None else None
    for part in manifest.route_parts:
        if type(part.value) is str:
            if is_blank(part.value) and minor != 0:
                fix = "write the route, or remove the entry"
                yield Problem(part.pointer, f"route {part.name!r} is blank", fix, needs=version)
        elif isinstance(part.value, dict):
            if minor and part.name.strip() and _usual(part.value):
                continue
            if minor == 0:
                yield Problem(
                    part.pointer,
                    f"route {part.name!r} is an object, and schema version 1.0 allows only strings",
                    "write '\"schemaVersion\": \"1.1\"' in '$edgeHub'",
                    needs=version,
                )
            else:
                for problem in _object(part):
                    # At the route itself another version reports something else.
                    yield problem if problem.pointer == part.pointer else replace(problem, needs=version)
        elif part.value is not None or minor != 0:
            yield Problem(
                part.pointer,
                f"route {part.name!r} is neither a string nor an object",
                "write 'FROM … INTO …'",
                needs=version if part.value is None else (),
            )
        if is_blank(part.name) and minor != 0:
            yield Problem(part.pointer, "a route has a blank name", "give it a name", at_key=True, needs=version)


def _usual(value: dict[str, Any]) -> bool:
    priority, time = value.get("priority"), value.get("timeToLiveSecs")
    return (
        value.keys() == _KEYS
        and isinstance(value["route"], str)
        and not is_blank(value["route"])
        and type(priority) is int
        and 0 <= priority <= 9
        and type(time) is int
        and 0 <= time <= UINT32[1]
    )


def _object(part: Part) -> Iterator[Problem]:
    text = child(part, "route")
    if text is None or text.value is None:
        yield Problem(part.pointer, f"'route' of route {part.name!r} is missing", 'add \'"route": "FROM … INTO …"\'')
    elif isinstance(text.value, dict | list):
        yield Problem(text.pointer, f"'route' of route {part.name!r} is not a string", "write 'FROM … INTO …'")
    elif is_blank(as_text(text.value) or ""):
        yield Problem(text.pointer, f"'route' of route {part.name!r} is blank", "write 'FROM … INTO …'")
    priority = child(part, "priority")
    if priority is not None:
        number = integer(priority.value, *UINT32)
        if number is None or (number > 9 and number != _NO_PRIORITY):
            seen = "null" if priority.value is None else repr(priority.value)[:40]
            yield Problem(
                priority.pointer,
                f"route {part.name!r} has an invalid priority, {seen}",
                "write an integer from 0 (first) to 9, or leave it out",
            )
    time = child(part, "timeToLiveSecs")
    if time is not None and integer(time.value, *UINT32) is None:
        seen = "null" if time.value is None else repr(time.value)[:40]
        yield Problem(
            time.pointer,
            f"route {part.name!r} has an invalid timeToLiveSecs, {seen}",
            "write an integer of seconds; with 0, or without it, that of storeAndForwardConfiguration applies",
        )
