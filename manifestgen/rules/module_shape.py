"""The object of a module."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import is_null
from manifestgen.rules._rule import Effect, Problem, Side, rule

_USUAL: Final = frozenset({"image", "createOptions"})


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    bad='"scorer": {"type": "docker", "image": "…"}',
    good='"scorer": {"type": "docker", "settings": {"image": "…"}}',
)
def module_shape(manifest: Manifest) -> Iterator[Problem]:
    """A module is not an object with `settings`.

    Every module needs the object `settings`; if present, `version` and `settings.digest` must be strings and
    `configuration` an object.

    Write `{"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "…"}}`.
    """
    for section in ("systemModules", "modules"):
        for part in manifest.agent.children(section):
            if isinstance(part.value, dict):
                continue
            if section == "modules" or (part.value is not None and part.name.lower() in ("edgeagent", "edgehub")):
                yield Problem(part.pointer, f"module {part.name!r} is not an object", "write an object, {…}")
    for module in manifest.modules():
        data = module.data
        settings = data.get("settings")
        usual = type(settings) is dict and settings.keys() <= _USUAL and "configuration" not in data
        if usual and type(data.get("version", "")) is str:
            continue
        settings = module.get("settings")
        if not isinstance(settings, dict):
            if settings is None:
                message = f"'settings' of module {module.name!r} is missing"
            else:
                message = f"'settings' of module {module.name!r} is not an object"
            yield Problem(module.at("settings"), message, 'write \'"settings": {"image": "…"}\'')
        if isinstance(module.get("version"), dict | list):
            yield Problem(
                module.at("version"), f"'version' of module {module.name!r} is not a string", "write a string"
            )
        digest = module.setting_key("digest")
        if digest is not None and isinstance(module.settings[digest], dict | list):
            place = module.at_setting("digest")
            yield Problem(
                place, f"'digest' of module {module.name!r} is not a string", "remove it; put the digest in the image"
            )
        configuration = module.get("configuration")
        if not is_null(configuration) and not isinstance(configuration, dict):
            yield Problem(
                module.at("configuration"), f"'configuration' of module {module.name!r} is not an object", "remove it"
            )
