"""The object of a module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(Effect.REFUSED, side=Side.AGENT, status=400)
def module_shape(manifest: Manifest) -> Iterator[Problem]:
    """A module is not an object with settings in it.

    Every module needs `settings`, an object; `version` is a text and `configuration` an object where they are
    given.

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
        if type(data.get("settings")) is dict and type(data.get("version", "")) is str and "configuration" not in data:
            continue
        settings = module.get("settings")
        if not isinstance(settings, dict):
            if settings is None:
                message = f"'settings' of module {module.name!r} is missing"
            else:
                message = f"'settings' of module {module.name!r} is not an object"
            yield Problem(module.at("settings"), message, 'write \'"settings": {"image": "…"}\'')
        if isinstance(module.get("version"), dict | list):
            yield Problem(module.at("version"), f"'version' of module {module.name!r} is not a text", "write a text")
        configuration = module.get("configuration")
        if configuration is not None and not isinstance(configuration, dict):
            yield Problem(
                module.at("configuration"), f"'configuration' of module {module.name!r} is not an object", "drop it"
            )
