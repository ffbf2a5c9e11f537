"""A manifest without `$edgeAgent`."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.DEAD,
    bad='{"modulesContent": {"scorer": {…}}}',
    good='{"modulesContent": {"$edgeAgent": {…}, "scorer": {…}}}',
)
def agent_missing(manifest: Manifest) -> Iterator[Problem]:
    """The manifest does not have `$edgeAgent`.

    `$edgeAgent` says which modules run. A full manifest without it deploys none; a layered one needs the entry
    even if it is empty.

    Add `$edgeAgent`; in a layered deployment that only sets twins, write `"$edgeAgent": {}`.
    """
    if "$edgeAgent" not in manifest.entries:
        fix = "add '\"$edgeAgent\": {}'" if manifest.layered else "add '$edgeAgent' with its 'properties.desired'"
        yield Problem(manifest.base, "'$edgeAgent' is missing: no module is deployed", fix)
