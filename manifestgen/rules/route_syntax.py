"""Routes that edgeHub cannot parse."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=400,
    bad="FROM /messages/* INTO upstream",
    good="FROM /messages/* INTO $upstream",
)
def route_syntax(manifest: Manifest) -> Iterator[Problem]:
    """A route has a syntax error.

    One such route makes edgeHub reject all routes of the manifest: it reports 400 and keeps the old ones, or
    has none.

    Correct the route where the caret points; docs/routes.md describes the language.
    """
    for entry, reading in routes(manifest):
        error = reading.error
        if error is not None:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r}: {error.what}",
                error.fix,
                start=error.offset,
                length=error.length,
            )
