"""Routes from or to modules that are not there."""

from collections.abc import Iterator, Sequence

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.route import ModuleInput
from manifestgen.rules._operands import is_malformed, names_of
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    layers=False,
    bad='FROM /messages/* INTO BrokeredEndpoint("/modules/scorrer/inputs/in")',
    good='FROM /messages/* INTO BrokeredEndpoint("/modules/scorer/inputs/in")',
)
def route_module(manifest: Manifest) -> Iterator[Problem]:
    """A route names a module that is not in the manifest.

    Nothing ever comes from such a source, and messages to such a sink are queued until they expire. The name of
    a sink is case-sensitive.

    Write the module's name as it is under `modules`, or remove the route.
    """
    names = manifest.module_names
    lower = {name.lower() for name in names}
    if (manifest.agent.find("modules") is None and not names) or is_malformed(manifest, "modules"):
        return
    for entry, reading in routes(manifest):
        route = reading.route
        if route is None:
            continue
        source = reading.source
        if source is not None and source.module.lower() not in lower:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r}: there is no module {source.module!r} to receive from",
                _nearest(source.module, names),
                start=source.offset,
                length=source.length,
                names=names_of(manifest, source.module),
                part=True,
            )
        sink = route.sink
        if isinstance(sink, ModuleInput) and sink.module not in names:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r}: there is no module {sink.module!r} to send to",
                _nearest(sink.module, names),
                start=sink.offset,
                length=sink.length,
                names=names_of(manifest, sink.module),
                part=True,
            )


def _nearest(name: str, names: Sequence[str]) -> str:
    same = [other for other in names if other.lower() == name.lower()]
    near = same or nearest(name, names[:1000])
    return f"did you mean {near[0]!r}?" if near else "add the module, or remove the route"
