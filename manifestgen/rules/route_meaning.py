"""Routes that mean something else than they look like."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, rule


@rule(Effect.RISK)
def route_meaning(manifest: Manifest) -> Iterator[Problem]:
    """A route means something else than it looks like.

    edgeHub takes it. But text after the sink is ignored, a source that begins with anything but `/messages` or
    `/twinChangeNotifications`, or has `*` in the middle, matches no message, operators without blanks become
    part of a name, and the words `modules` and `inputs` of an endpoint's address are not compared.

    Write what is meant; see docs/routes.md.
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
