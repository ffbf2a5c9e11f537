"""Routes that send messages in a circle, or twice."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.route import ModuleInput, Upstream
from manifestgen.rules._routes import routes
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='FROM /messages/* INTO BrokeredEndpoint("/modules/scorer/inputs/in")',
    good='FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint("/modules/scorer/inputs/in")',
)
def route_loop(manifest: Manifest) -> Iterator[Problem]:
    """A route takes messages from everywhere, and other routes do too.

    `/messages/*` takes the messages of all modules. Into a module's input, it returns that module's own output,
    in a loop, and so may a route from a module to itself. Into `$upstream`, it sends raw messages in addition to
    those that a module has filtered.

    Limit the source to `/messages/modules/NAME/outputs/*`, or add `WHERE NOT IS_DEFINED($connectionModuleId)`.
    """
    everywhere = []
    filtered = ""
    for entry, reading in routes(manifest):
        route = reading.route
        if route is None:
            continue
        sink, source = route.sink, reading.source
        if source is not None and isinstance(sink, ModuleInput) and source.module.lower() == sink.module.lower():
            yield Problem(
                entry.pointer,
                f"route {entry.name!r} sends messages of module {sink.module!r} back to it",
                "make sure that the module does not answer them with such messages, or name another module",
                start=sink.offset,
                length=sink.length,
            )
        path = route.source.path.rstrip("*").strip("/").lower()
        if path in ("", "messages", "messages/modules") and route.condition is None:
            everywhere.append((entry, route))
        elif isinstance(route.sink, ModuleInput) and reading.source is not None:
            filtered = filtered or entry.pointer
    for entry, route in everywhere:
        sink = route.sink
        if isinstance(sink, ModuleInput):
            yield Problem(
                entry.pointer,
                f"route {entry.name!r} sends the output of module {sink.module!r} back to it",
                "limit the source to the modules or devices you mean",
                start=route.source.offset,
                length=route.source.length,
            )
        elif isinstance(sink, Upstream) and filtered:
            yield Problem(
                entry.pointer,
                f"route {entry.name!r} also sends up messages that go through other modules first",
                "limit the source to the modules whose messages should go up",
                start=route.source.offset,
                length=route.source.length,
                needs=(filtered,),
            )
