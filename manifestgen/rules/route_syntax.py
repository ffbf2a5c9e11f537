"""Routes that edgeHub cannot parse."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(Effect.REFUSED, side=Side.EDGE_HUB, status=400)
def route_syntax(manifest: Manifest) -> Iterator[Problem]:
    """A route has a syntax error.

    One such route keeps edgeHub from taking any route of the manifest: it reports 400 and goes on with the old
    ones, or with none.

    Correct the route where the caret points; the language is described in docs/routes.md.
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
