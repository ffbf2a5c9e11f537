"""Layers that set all of `$edgeHub`."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"$edgeHub": {"properties.desired": {"routes": {"up": "…"}, …}}',
    good='"$edgeHub": {"properties.desired.routes.up": "…"}',
)
def layer_replaces_hub(manifest: Manifest) -> Iterator[Problem]:
    """A layered deployment sets all of `$edgeHub`.

    It is accepted and works, but the routes and settings of the base deployment, and of layers below, are lost on
    every device that it targets.

    Set only `properties.desired.routes.NAME`.
    """
    whole = manifest.hub.whole
    agent = manifest.entries.get("$edgeAgent")
    if manifest.layered and whole is not None and isinstance(agent, dict | None):
        yield Problem(
            whole.pointer,
            "a layer replaces all of '$edgeHub': the base's routes are lost",
            "set 'properties.desired.routes.NAME'",
            names=(manifest.pointer("$edgeAgent"),),
        )
