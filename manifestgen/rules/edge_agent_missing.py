"""A full manifest that leaves edgeAgent out."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    layers=False,
    bad='"systemModules": {"edgeHub": {…}}',
    good='"systemModules": {"edgeAgent": {…}, "edgeHub": {…}}',
)
def edge_agent_missing(manifest: Manifest) -> Iterator[Problem]:
    """`systemModules` does not have `edgeAgent`.

    The runtime accepts this, and then plans to stop and remove the module that is not listed: edgeAgent itself.

    Add `systemModules.edgeAgent` with an image of the runtime's version.
    """
    part = manifest.agent.find("systemModules")
    if part is not None and isinstance(part.value, dict):
        agent = child(part, "edgeAgent")
        if agent is None or agent.value is None:
            yield Problem(part.pointer, "'edgeAgent' is missing: the device would remove its own agent", "add it")
