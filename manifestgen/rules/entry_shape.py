"""The entries of `modulesContent`."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.section import DESIRED
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.HUB,
    bad='"scorer": {"properties.desired": "on"}',
    good='"scorer": {"properties.desired": {"on": true}}',
)
def entry_shape(manifest: Manifest) -> Iterator[Problem]:
    """An entry of `modulesContent` is not an object with `properties.desired`.

    Each entry names a module twin and holds an object: `properties.desired` replaces all its desired
    properties, `properties.desired.NAME` sets one of them. The values that replace a section must be objects
    too.

    Write `"NAME": {"properties.desired": {…}}`.
    """
    for name, entry in manifest.entries.items():
        pointer = f"{manifest.base}/{escape(name)}"
        if not isinstance(entry, dict):
            yield Problem(pointer, f"entry {name!r} is not an object", 'write {"properties.desired": {…}}')
            continue
        if DESIRED in entry and not isinstance(entry[DESIRED], dict):
            yield Problem(f"{pointer}/{DESIRED}", f"'{DESIRED}' of {name!r} is not an object", "write an object")
