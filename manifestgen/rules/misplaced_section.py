"""Properties in a section that nothing reads them from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import key_of
from manifestgen.rules._rule import Effect, Problem, rule

_HUB: Final = {name.lower(): "'$edgeHub'" for name in ("routes", "storeAndForwardConfiguration", "mqttBroker")}
_AGENT: Final = {name.lower(): "'$edgeAgent'" for name in ("runtime", "systemModules", "modules")}
_CREDENTIALS: Final = {"registrycredentials": "'runtime.settings' of '$edgeAgent'"}
_IN_MODULE: Final = ("env", "status", "restartPolicy", "startupOrder", "imagePullPolicy")
_MODULE: Final = {name.lower(): "the module, beside 'settings'" for name in _IN_MODULE}
_SETTINGS: Final = {name.lower(): "'settings' of the module" for name in ("image", "createOptions")}


class Misplaced(Struct, frozen=True):
    """A property in the wrong section.

    Attributes:
        pointer: JSON Pointer to it.
        key: as it is written.
        home: where it belongs.
        lost: whether something is lost: it says something, and nothing at its home says it too.
    """

    pointer: str
    key: str
    home: str
    lost: bool


def misplaced(manifest: Manifest) -> tuple[Misplaced, ...]:
    """The properties that are in the wrong section."""
    found: tuple[Misplaced, ...] | None = manifest.cache.get("misplaced")
    if found is None:
        found = manifest.cache["misplaced"] = tuple(_misplaced(manifest))
    return found


def _misplaced(manifest: Manifest) -> Iterator[Misplaced]:
    agent, hub = manifest.agent, manifest.hub
    runtime = agent.find("runtime")
    for part, homes in ((agent.whole, _HUB | _CREDENTIALS), (hub.whole, _AGENT), (runtime, _CREDENTIALS)):
        if part is not None and isinstance(part.value, dict):
            yield from _in(part.value, part.pointer, homes, {})
    for module in manifest.modules():
        if module.usual:
            continue
        yield from _in(module.data, module.pointer, _SETTINGS, module.settings)
        yield from _in(module.settings, module.at("settings"), _MODULE, module.data)


def _in(
    data: Mapping[str, Any], pointer: str, homes: Mapping[str, str], home: Mapping[str, Any]
) -> Iterator[Misplaced]:
    for key, value in data.items():
        where = homes.get(key.lower())
        if where is not None:
            lost = bool(value) if isinstance(value, dict) else value is not None and key_of(home, key) is None
            yield Misplaced(f"{pointer}/{escape(key)}", key, where, lost)


@rule(
    Effect.DEAD,
    bad='"settings": {"image": "…", "env": {…}}',
    good='"env": {…}, "settings": {"image": "…"}',
)
def misplaced_section(manifest: Manifest) -> Iterator[Problem]:
    """A property is in the wrong section, where nothing reads it.

    `routes` belong to `$edgeHub`, `modules` to `$edgeAgent`, `env` beside a module's `settings` and not into them.
    The runtime ignores what it does not look for, so what the property says is lost.

    Move it to the section that the message names.
    """
    for one in misplaced(manifest):
        if one.lost:
            what = f"{one.key!r} has no effect here"
            yield Problem(one.pointer, what, f"move it to {one.home}", at_key=True, needs=(one.pointer,))
