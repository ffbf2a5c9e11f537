"""More modules than IoT Hub takes."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

_MOST = 50


@rule(
    Effect.NOTE,
    bad='"modules": {"m1": {…}, …, "m51": {…}}',
    good='"modules": {"m1": {…}, …, "m50": {…}}',
)
def many_modules(manifest: Manifest) -> Iterator[Problem]:
    """The manifest has more than 50 modules.

    Microsoft documents limits of 50 modules in a deployment and 100 deployments in a hub; the twin's limit of
    32 KB is usually reached first.

    Combine several tasks in one module.
    """
    count = sum(not module.system for module in manifest.modules())
    if count > _MOST:
        part = manifest.agent.find("modules")
        yield Problem(
            part.pointer if part else manifest.base,
            f"{count} modules exceed the {_MOST} that a deployment may have",
            "combine several tasks in one module",
        )
