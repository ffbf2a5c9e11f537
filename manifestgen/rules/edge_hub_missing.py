"""A full manifest that leaves edgeHub out."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    layers=False,
    bad='"systemModules": {"edgeAgent": {…}}',
    good='"systemModules": {"edgeAgent": {…}, "edgeHub": {…}}',
)
def edge_hub_missing(manifest: Manifest) -> Iterator[Problem]:
    """The manifest does not have edgeHub.

    Without `systemModules.edgeHub` the runtime removes the container through which modules send and receive;
    without the entry `$edgeHub` a new edgeHub finds no routes and does not start.

    Add both: the module under `systemModules`, and `$edgeHub` with routes and storeAndForwardConfiguration.
    """
    part = manifest.agent.find("systemModules")
    if part is not None and isinstance(part.value, dict):
        hub = child(part, "edgeHub")
        if hub is None or hub.value is None:
            yield Problem(part.pointer, "'edgeHub' is missing: modules lose their messaging", "add it")
    if "$edgeHub" not in manifest.entries:
        if "$edgeAgent" in manifest.entries:
            yield Problem(
                manifest.base,
                "'$edgeHub' is missing: edgeHub starts with no routes, or not at all",
                "add '$edgeHub' with schemaVersion, routes and storeAndForwardConfiguration",
            )
    elif manifest.entries["$edgeHub"] == {}:
        yield Problem(
            manifest.pointer("$edgeHub"),
            "'$edgeHub' is empty: edgeHub starts with no routes, or not at all",
            "add schemaVersion, routes and storeAndForwardConfiguration",
        )
