"""Names of modules with a single character."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"modules": {"a": {…}}',
    good='"modules": {"aa": {…}}',
)
def short_module_name(manifest: Manifest) -> Iterator[Problem]:
    """A module's name has only one character.

    The module's name becomes the name of a container, and Docker requires at least two characters; IoT Hub and
    edgeAgent accept the name, and then the module is not created. Docker may lift this limit.

    Use a name of two characters or more.
    """
    for module in manifest.modules():
        if len(module.name) == 1 and module.name.isalnum():
            message = f"Docker rejects container names of one character, such as {module.name!r}"
            yield Problem(module.pointer, message, "use a name of two characters or more", at_key=True)
