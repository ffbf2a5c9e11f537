"""Routes that mean something else than they look like."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad="FROM /message/* INTO $upstream",
    good="FROM /messages/* INTO $upstream",
)
def route_meaning(manifest: Manifest) -> Iterator[Problem]:
    """A route does not mean what it seems to.

    edgeHub accepts it. But it ignores text after the sink; a source that does not begin with `/messages` or
    `/twinChangeNotifications`, or has `*` in the middle, matches no message; operators without spaces around
    them become part of a name; and the words `modules` and `inputs` of an endpoint's address are not compared.

    Write what you mean; see docs/routes.md.
    """
    for entry, reading in routes(manifest):
        for warning in reading.warnings:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r}: {warning.message}",
                warning.fix,
                start=warning.offset,
                length=warning.length,
            )
