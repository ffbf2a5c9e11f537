"""`moduleContent` in place of `modulesContent`."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='{"moduleContent": {…}}',
    good='{"modulesContent": {…}}',
)
def old_spelling(manifest: Manifest) -> Iterator[Problem]:
    """The manifest says `moduleContent`, an old spelling of `modulesContent`.

    Some tools, manifestgen among them, rename it; IoT Hub's API knows only `modulesContent`.

    Rename the key to `modulesContent`.
    """
    if manifest.base.endswith("/moduleContent"):
        yield Problem(manifest.base, "'moduleContent' is an old spelling", "rename it to 'modulesContent'", at_key=True)
