"""Names of properties in the wrong case."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.rules._rule import Effect, Problem, rule

_MODULE: Final = frozenset(
    {"type", "status", "restartPolicy", "imagePullPolicy", "startupOrder", "version", "env", "settings"}
)
_SETTINGS: Final = frozenset({"image", "createOptions", "digest"})
_AGENT: Final = frozenset({"schemaVersion", "runtime", "systemModules", "modules"})
_HUB: Final = frozenset({"routes", "storeAndForwardConfiguration", "mqttBroker"})
_LOWER: Final = {name.lower(): name for names in (_MODULE, _SETTINGS, _AGENT, _HUB) for name in names}


@rule(
    Effect.RISK,
    bad='"Status": "running"',
    good='"status": "running"',
)
def property_case(manifest: Manifest) -> Iterator[Problem]:
    """A property's name is not in its usual case.

    The runtime still finds it. IoT Hub distinguishes `Image` from `image` and may end up with both, and other
    tools reject it.

    Write the name as it is documented.
    """
    places: list[tuple[str, Mapping[str, Any], frozenset[str]]] = []
    for section, names in ((manifest.agent, _AGENT), (manifest.hub, _HUB)):
        whole = section.whole
        if whole is not None and isinstance(whole.value, dict):
            places.append((whole.pointer, whole.value, names))
    for module in manifest.modules():
        if module.usual:
            continue
        places.append((module.pointer, module.data, _MODULE))
        if module.settings:
            places.append((module.at("settings"), module.settings, _SETTINGS))
    for pointer, data, names in places:
        for key in data:
            if key in names:
                continue
            name = _LOWER.get(key.lower())
            if name in names:
                yield Problem(
                    f"{pointer}/{escape(key)}", f"{key!r} is usually written {name!r}", f"write {name!r}", at_key=True
                )
