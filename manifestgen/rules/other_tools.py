"""Manifests that the runtime accepts and other tools reject."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from manifestgen.manifest.create_options import keys as chunk_keys
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import KEYS, SETTINGS, Module
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import STATUS, enum_member
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule
from manifestgen.rules.misplaced_section import misplaced

_WORDS: Final = {
    "status": ("running", "stopped"),
    "restartPolicy": ("never", "on-failure", "on-unhealthy", "always"),
    "imagePullPolicy": ("on-create", "never"),
}
_AGENT: Final = frozenset({"schemaVersion", "runtime", "systemModules", "modules"})
_HUB: Final = frozenset({"schemaVersion", "routes", "storeAndForwardConfiguration", "mqttBroker"})
_SETTINGS: Final = r"(?i)image|createOptions\d*|digest"
_LOWER: Final = {name.lower() for names in (_AGENT, _HUB, KEYS) for name in names}


@rule(
    Effect.RISK,
    bad='"status": "Running"',
    good='"status": "running"',
)
def other_tools(manifest: Manifest) -> Iterator[Problem]:
    """The runtime accepts this, but other tools reject it.

    The az command line and the published schemas are stricter than the runtime: they require `restartPolicy`
    for every module, `modules` and `runtime.settings`, and values in lower case, and allow no unknown keys. The
    runtime ignores unknown keys, so a misspelled one has no effect.

    Add what is missing; remove or correct what is unknown.
    """
    for section, known in ((manifest.agent, _AGENT), (manifest.hub, _HUB)):
        whole = section.whole
        if whole is None or not isinstance(whole.value, dict):
            continue
        for key in whole.value:
            if key not in known and key.lower() not in _LOWER:
                yield _unknown(key, f"{whole.pointer}/{escape(key)}", known)
    for one in misplaced(manifest):
        if not one.lost:
            what = f"the runtime ignores {one.key!r} here"
            yield Problem(one.pointer, what, f"move it to {one.home}", at_key=True, needs=(one.pointer,))
    whole = manifest.agent.whole
    if whole is not None and isinstance(whole.value, dict) and whole.value:
        modules = child(whole, "modules")
        if (modules is None or modules.value is None) and not _misspells(whole.value, "modules", _AGENT):
            yield Problem(whole.pointer, "other tools reject '$edgeAgent' without 'modules'", "add '\"modules\": {}'")
        runtime = child(whole, "runtime")
        if runtime is not None and isinstance(runtime.value, dict):
            settings = child(runtime, "settings")
            if settings is None or settings.value is None:
                yield Problem(
                    runtime.pointer, "other tools reject 'runtime' without 'settings'", "add '\"settings\": {}'"
                )
    store = manifest.hub.find("storeAndForwardConfiguration", "storeLimits")
    if store is not None:
        yield Problem(store.pointer, "other tools reject 'storeLimits'", "keep it if edgeHub needs it", at_key=True)
    for module in manifest.modules():
        yield from _module(module)


def _module(module: Module) -> Iterator[Problem]:
    agent = module.is_edge_agent
    data = module.data
    if (
        module.usual
        and (agent or data.get("restartPolicy") in _WORDS["restartPolicy"])
        and (agent or data.get("status") in _WORDS["status"])
        and data.get("imagePullPolicy", "never") in _WORDS["imagePullPolicy"]
    ):
        return
    missing = "restartPolicy" not in module.data and not agent and not module.has("restartPolicy")
    if missing and not _misspells(module.data, "restartPolicy", KEYS):
        yield Problem(
            module.pointer,
            f"module {module.name!r} has no 'restartPolicy': the runtime accepts that, other tools reject it",
            'add \'"restartPolicy": "always"\'',
        )
    for key in module.data:
        if key not in KEYS and key.lower() not in _LOWER:
            yield _unknown(key, f"{module.pointer}/{escape(key)}", KEYS)
    for key in module.settings:
        if key in ("image", "createOptions") or re.fullmatch(_SETTINGS, key):
            continue
        if key.lower() in _LOWER:
            continue
        if "createoptions" not in key.lower():
            yield _unknown(key, f"{module.at('settings')}/{escape(key)}", SETTINGS)
        elif len(chunk_keys(module.settings)) == 1:
            yield Problem(
                f"{module.at('settings')}/{escape(key)}",
                f"edgeAgent reads {key!r} as createOptions, and other tools reject it",
                "write 'createOptions'",
                at_key=True,
            )
    for name, words in _WORDS.items():
        value = module.get(name)
        if isinstance(value, str) and value not in words and value.lower() in words:
            yield Problem(module.at(name), f"other tools reject {value!r}", f"write {value.lower()!r}")
        elif name == "status" and type(value) is int and enum_member(value, STATUS):
            yield Problem(module.at(name), f"other tools reject the number {value}", "write its name")


def _misspells(data: Mapping[str, Any], name: str, known: frozenset[str]) -> bool:
    """Whether a finding suggests this name for a key."""
    return any(key.lower() not in _LOWER and _near(key, known) == [name] for key in data)


def _near(key: str, known: frozenset[str]) -> list[str]:
    return nearest(key, sorted(known), cutoff=0.7)


def _unknown(key: str, pointer: str, known: frozenset[str]) -> Problem:
    if key.startswith(("_", "$", "#", "//")) or key.lower() in ("comment", "comments", "description", "integrity"):
        return Problem(
            pointer, f"the runtime ignores {key!r}, and other tools reject it", "remove it for those tools", at_key=True
        )
    near = _near(key, known)
    fix = f"did you mean {near[0]!r}?" if near else "remove it"
    return Problem(pointer, f"the runtime ignores {key!r}, which it does not know", fix, at_key=True)
