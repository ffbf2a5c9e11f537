"""A store and forward configuration that schema version 1.0 does not ask for."""

from collections.abc import Iterator

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import as_text, is_null
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    bad='{"schemaVersion": "1.0", "routes": {…}}',
    good='{"schemaVersion": "1.0", "routes": {…}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}',
)
def store_missing(manifest: Manifest) -> Iterator[Problem]:
    """`$edgeHub` of schema version 1.0 has no `storeAndForwardConfiguration`.

    This version does not require it, but edgeHub cannot use what it has read without it (EdgeHubConfig.cs): it
    reports 400 and keeps its previous routes. For later versions hub-shape reports that it is missing.

    Add `"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}`.
    """
    whole = manifest.hub.whole
    if whole is None or not isinstance(whole.value, dict):
        return
    text = as_text(whole.value.get("schemaVersion"))
    if text is None or schema_version.hub_minor(text) != 0:
        return
    store = child(whole, "storeAndForwardConfiguration")
    if store is None or is_null(store.value):
        yield Problem(
            whole.pointer,
            "'storeAndForwardConfiguration' of '$edgeHub' is missing, without which edgeHub takes no routes",
            'add \'"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}\'',
            needs=(join(whole.pointer, "schemaVersion"),),
        )
