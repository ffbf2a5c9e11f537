"""The parts of a manifest that a comparison distinguishes, each with its name and place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import DESIRED

Kind = Literal[
    "module",
    "system module",
    "route",
    "registry credential",
    "store and forward",
    "module twin",
    "runtime",
    "property",
]
#: In the order in which changes are listed.
KINDS: Final = get_args(Kind)
Path = tuple[str, ...]

_AGENT: Final = ("modulesContent", "$edgeAgent", DESIRED)
_HUB: Final = ("modulesContent", "$edgeHub", DESIRED)
#: Where the registry credentials are within the runtime.
CREDENTIALS: Final = (*_AGENT, "runtime", "settings", "registryCredentials")


@dataclass(frozen=True)
class Subject:
    """A part of a manifest.

    Attributes:
        path: the keys that lead to it in the normal form, from the outermost on.
        value: its normal form. The runtime's is without the registry credentials, which are separate subjects.
        broken: whether it is a section that is not an object, and so has no subjects.
    """

    kind: Kind
    name: str
    path: Path
    value: Any = field(repr=False)
    broken: bool = False


def subjects(manifest: Manifest) -> dict[Path, Subject]:
    """The subjects of a manifest in normal form, by their places."""
    return {subject.path: subject for name, entry in manifest.entries.items() for subject in _of_entry(name, entry)}


def _of_entry(name: str, entry: Any) -> Iterator[Subject]:
    path = ("modulesContent", name)
    if not isinstance(entry, dict):
        yield Subject("property", name, path, entry, broken=True)
        return
    for key, value in entry.items():
        if key != DESIRED:
            yield Subject("property", f"{name} {key}", (*path, key), value)
        elif not isinstance(value, dict):
            yield Subject("property", f"{name} {key}", (*path, key), value, broken=True)
        elif name == "$edgeAgent":
            yield from _of_agent(value)
        elif name == "$edgeHub":
            yield from _of_hub(value)
        else:
            yield Subject("module twin", name, (*path, key), value)


def _of_agent(desired: dict[str, Any]) -> Iterator[Subject]:
    for key, value in desired.items():
        if key == "modules":
            yield from _of_section("module", "$edgeAgent modules", (*_AGENT, key), value)
        elif key == "systemModules":
            yield from _of_section("system module", "$edgeAgent systemModules", (*_AGENT, key), value)
        elif key == "runtime" and isinstance(value, dict):
            yield from _of_runtime(value)
        else:
            yield Subject("property", f"$edgeAgent {key}", (*_AGENT, key), value)


def _of_runtime(runtime: dict[str, Any]) -> Iterator[Subject]:
    settings = runtime.get("settings")
    if isinstance(settings, dict) and "registryCredentials" in settings:
        rest = {key: value for key, value in settings.items() if key != "registryCredentials"}
        runtime = {key: value for key, value in runtime.items() if key != "settings"}
        if rest:
            runtime["settings"] = rest
        name = "$edgeAgent registryCredentials"
        yield from _of_section("registry credential", name, CREDENTIALS, settings["registryCredentials"])
    if runtime:
        yield Subject("runtime", "container runtime", (*_AGENT, "runtime"), runtime)


def _of_hub(desired: dict[str, Any]) -> Iterator[Subject]:
    for key, value in desired.items():
        if key == "routes":
            yield from _of_section("route", "$edgeHub routes", (*_HUB, key), value)
        elif key == "storeAndForwardConfiguration":
            yield Subject("store and forward", "configuration", (*_HUB, key), value)
        else:
            yield Subject("property", f"$edgeHub {key}", (*_HUB, key), value)


def _of_section(kind: Kind, section: str, path: Path, value: Any) -> Iterator[Subject]:
    if not isinstance(value, dict):
        yield Subject("property", section, path, value, broken=True)
        return
    for name, item in value.items():
        yield Subject(kind, name, (*path, name), item)
