"""Keys of an entry that are no twin path."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.section import DESIRED
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"scorer": {"desired": {…}}',
    good='"scorer": {"properties.desired": {…}}',
)
def entry_key(manifest: Manifest) -> Iterator[Problem]:
    """An entry of `modulesContent` has a key that sets no desired property.

    Only `properties.desired` and paths below it are set in a twin. Some tools reject any other key, and with
    the rest it has no effect.

    Move it below `properties.desired`, or remove it.
    """
    for name, entry in manifest.entries.items():
        if not isinstance(entry, dict):
            continue
        for key in entry:
            if key == DESIRED or key.startswith(DESIRED + "."):
                continue
            near = nearest(key, [DESIRED], cutoff=0.5)
            fix = f"write '{DESIRED}'" if near else f"move it below '{DESIRED}', or remove it"
            yield Problem(
                f"{manifest.base}/{escape(name)}/{escape(key)}",
                f"key {key!r} in entry {name!r} has no effect",
                fix,
                at_key=True,
            )
