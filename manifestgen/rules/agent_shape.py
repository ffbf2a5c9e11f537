"""The sections of `$edgeAgent`."""

from collections.abc import Iterator
from typing import Any, Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text, is_null
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    bad='"modules": []',
    good='"modules": {}',
)
def agent_shape(manifest: Manifest) -> Iterator[Problem]:
    """A section of `$edgeAgent` is missing or has the wrong type.

    edgeAgent needs the string `schemaVersion` and the objects `runtime` and `systemModules`; the objects
    `modules`, `runtime.settings` and `registryCredentials` are optional. It reports 400, "Agent configuration
    format is invalid.", without saying where.

    Add the section, or make it an object.
    """
    whole = manifest.agent.whole
    if whole is not None and _is_sound(whole.value):
        return
    if whole is not None and isinstance(whole.value, dict) and whole.value:
        for name in ("runtime", "systemModules"):
            part = child(whole, name)
            if part is None or is_null(part.value):
                yield Problem(whole.pointer, f"{name!r} of '$edgeAgent' is missing", f"add {name!r}")
        if not manifest.layered:
            version = child(whole, "schemaVersion")
            if version is None or version.value is None:
                fix = 'add \'"schemaVersion": "1.1"\''
                yield Problem(whole.pointer, "'schemaVersion' of '$edgeAgent' is missing", fix)
            elif as_text(version.value) is None:
                yield Problem(version.pointer, "'schemaVersion' is not a string", "write '1.1'")
    for path, what in (
        (("runtime",), "'runtime'"),
        (("runtime", "settings"), "'settings' of 'runtime'"),
        (("runtime", "settings", "registryCredentials"), "'registryCredentials'"),
        (("systemModules",), "'systemModules'"),
        (("modules",), "'modules'"),
        (("integrity",), "'integrity'"),
    ):
        part = manifest.agent.find(*path)
        if part is not None and not is_null(part.value) and not isinstance(part.value, dict):
            yield Problem(part.pointer, f"{what} is not an object", "write an object, {…}")
    for name in ("minDockerVersion", "loggingOptions"):
        part = manifest.agent.find("runtime", "settings", name)
        if part is not None and isinstance(part.value, dict | list):
            yield Problem(part.pointer, f"{name!r} is not a string", "write a string")


def _is_sound(desired: Any) -> bool:
    """Whether it is as almost all are, so that nothing need be looked up in any case."""
    if not isinstance(desired, dict) or not desired.keys() <= _SECTIONS:
        return False
    runtime = desired.get("runtime")
    if not isinstance(runtime, dict) or not runtime.keys() <= _RUNTIME:
        return False
    settings = runtime.get("settings")
    return (
        isinstance(settings, dict)
        and settings.keys() <= _SETTINGS
        and isinstance(settings.get("registryCredentials", {}), dict)
        and isinstance(settings.get("minDockerVersion", ""), str)
        and isinstance(settings.get("loggingOptions", ""), str)
        and isinstance(desired.get("schemaVersion"), str)
        and isinstance(desired.get("systemModules"), dict)
        and isinstance(desired.get("modules"), dict)
    )


_SECTIONS: Final = frozenset({"schemaVersion", "runtime", "systemModules", "modules"})
_RUNTIME: Final = frozenset({"type", "settings"})
_SETTINGS: Final = frozenset({"minDockerVersion", "loggingOptions", "registryCredentials"})
