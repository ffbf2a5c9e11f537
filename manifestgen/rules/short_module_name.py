"""Names of modules with a single character."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(Effect.RISK, alone=True)
def short_module_name(manifest: Manifest) -> Iterator[Problem]:
    """A module's name has one character.

    Docker wants two characters at least in the name of a container, which the module's name becomes; IoT Hub and
    edgeAgent take the name, and the module is then not created. How long this holds is Docker's business.

    Use a name of two characters or more.
    """
    for module in manifest.modules():
        if len(module.name) == 1 and module.name.isalnum():
            message = f"Docker takes no container name of one character, such as {module.name!r}"
            yield Problem(module.pointer, message, "use a name of two characters or more", at_key=True)
