"""Routes that edgeHub parses and then drops."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=200,
    bad="FROM /messages/* WHERE temperature > 30 INTO $upstream",
    good="FROM /messages/* WHERE as_number(temperature) > 30 INTO $upstream",
)
def route_type(manifest: Manifest) -> Iterator[Problem]:
    """A route's condition cannot be compiled.

    edgeHub reports 200 and compiles the routes afterwards. If one of them compares a string with a number or
    calls a function that does not exist, all new routes are dropped; only the log says so, and an edgeHub that
    starts for the first time stops.

    Make the types agree: `as_number(temperature) > 30`, or `$body.temperature > 30`.
    """
    for entry, reading in routes(manifest):
        for error in reading.type_errors:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r}: {error.message}",
                error.fix,
                start=error.offset,
                length=error.length,
            )
