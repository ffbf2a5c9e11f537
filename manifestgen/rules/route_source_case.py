"""Sources in another case than the module's name."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._operands import names_of
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    layers=False,
    bad="FROM /messages/modules/Scorer/outputs/* INTO $upstream",
    good="FROM /messages/modules/scorer/outputs/* INTO $upstream",
)
def route_source_case(manifest: Manifest) -> Iterator[Problem]:
    """A route writes a module's name in a different case.

    Sources are compared ignoring case, so the route works; everywhere else in IoT Edge module names are
    case-sensitive.

    Write the name as it is under `modules`.
    """
    names = set(manifest.module_names)
    lower = {name.lower(): name for name in names}
    for entry, reading in routes(manifest):
        source = reading.source
        if source is not None and source.module not in names and source.module.lower() in lower:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r} writes {source.module!r} for module {lower[source.module.lower()]!r}",
                f"write {lower[source.module.lower()]!r}",
                start=source.offset,
                length=source.length,
                names=names_of(manifest, source.module),
                part=True,
            )
