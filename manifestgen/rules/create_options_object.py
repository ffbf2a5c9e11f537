"""createOptions that are no text."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"createOptions": {"HostConfig": {}}',
    good='"createOptions": "{\\"HostConfig\\": {}}"',
)
def create_options_object(manifest: Manifest) -> Iterator[Problem]:
    """`createOptions` are an object, not a string.

    The runtime reads both. But IoT Hub applies its limits to an object (ten levels; no dots, dollar signs or
    spaces in keys), and other tools accept only a string.

    In a template with `$schema-template` they are right: its tools write the string.

    Write them as a string; `manifestgen render` does this for you.
    """
    if isinstance(manifest.data, dict) and "$schema-template" in manifest.data:
        return
    for module in manifest.modules():
        key = module.setting_key("createOptions")
        if key is not None and isinstance(module.settings[key], dict):
            yield Problem(
                module.at_setting("createOptions"),
                f"createOptions of module {module.name!r} are an object",
                "write the object as a JSON string",
            )
