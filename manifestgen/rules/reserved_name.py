"""User modules with the name of a system module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=500,
    alone=True,
    bad='"modules": {"edgeHub": {…}}',
    good='"systemModules": {"edgeHub": {…}}',
)
def reserved_name(manifest: Manifest) -> Iterator[Problem]:
    """A user module is called `edgeAgent` or `edgeHub`.

    edgeAgent accepts the manifest and then fails with 500 on every attempt to apply it, because the name exists
    twice.

    Rename the module, or move it to `systemModules`.
    """
    for module in manifest.modules():
        if not module.system and module.name in ("edgeAgent", "edgeHub"):
            yield Problem(
                module.pointer,
                f"a user module cannot be called {module.name!r}",
                "rename it, or move it to 'systemModules'",
                at_key=True,
            )
