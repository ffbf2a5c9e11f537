"""`$edgeAgent` without any desired property."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=417,
    layers=False,
    bad='"$edgeAgent": {"properties.desired": {}}',
    good='"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "runtime": {…}, "systemModules": {…}}}',
)
def agent_empty(manifest: Manifest) -> Iterator[Problem]:
    """`$edgeAgent` has no desired properties.

    edgeAgent reports 417, "This device has an empty configuration for the edge agent", and changes nothing.

    Add `schemaVersion`, `runtime` and `systemModules`. If the file is meant as a layered deployment, check it
    with `--layered`.
    """
    if "$edgeAgent" not in manifest.entries:
        return
    whole = manifest.agent.whole
    entry = manifest.entries["$edgeAgent"]
    if whole is None:
        if isinstance(entry, dict):
            yield Problem(
                manifest.pointer("$edgeAgent"),
                "'$edgeAgent' has no 'properties.desired'",
                "add it; check a layered deployment with 'manifestgen check --layered'",
            )
    elif whole.value == {}:
        yield Problem(whole.pointer, "the desired properties of '$edgeAgent' are empty", "say which modules to run")
