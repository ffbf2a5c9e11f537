"""System modules in a layered deployment."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    bad='"properties.desired.systemModules.edgeHub": {…}',
    good='"properties.desired.modules.scorer": {…}',
)
def layer_system_modules(manifest: Manifest) -> Iterator[Problem]:
    """A layered deployment configures the runtime.

    edgeAgent and edgeHub belong to the base deployment; a layer adds modules, routes and twins to it. A layer
    that sets all of `properties.desired` of `$edgeAgent` replaces the base.

    Set only `properties.desired.modules.NAME` and `properties.desired.routes.NAME`.
    """
    if not manifest.layered:
        return
    for path, part in manifest.agent.pieces:
        if not path:
            yield Problem(part.pointer, "a layer replaces all of '$edgeAgent'", "set 'properties.desired.modules.NAME'")
        elif path[0] == "systemModules":
            yield Problem(
                part.pointer,
                "a layer cannot configure edgeAgent and edgeHub",
                "leave them to the base deployment",
                at_key=True,
            )
