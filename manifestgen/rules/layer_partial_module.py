"""Layers that set a part of a module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"properties.desired.modules.scorer.status": "stopped"',
    good='"properties.desired.modules.scorer": {"type": "docker", "status": "stopped", "settings": {…}}',
)
def layer_partial_module(manifest: Manifest) -> Iterator[Problem]:
    """A layer sets only part of a module.

    If the layers below do not have that module, the result is incomplete, and edgeAgent rejects all of it with
    400.

    Set `properties.desired.modules.NAME` with the whole module.
    """
    for path, part in manifest.agent.deeper("modules"):
        yield Problem(
            part.pointer,
            f"only {'.'.join(path[1:])!r} of module {path[0]!r} is set: without the rest, edgeAgent rejects everything",
            f"set 'properties.desired.modules.{path[0]}' with the whole module",
            at_key=True,
        )
