"""Places that several rules compare with."""

from __future__ import annotations

from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import is_null
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Operand, option

# Of the text at a place, and not of what is in an object there.
_ALL: Final = (0, 1 << 31)


def agent_place(manifest: Manifest, *path: str) -> str:
    """JSON Pointer to what is at a path of `$edgeAgent`, or to the innermost object on the way to it."""
    for length in range(len(path), -1, -1):
        part = manifest.agent.find(*path[:length])
        if part is not None:
            return part.pointer
    return manifest.pointer("$edgeAgent")


def names_of(manifest: Manifest, name: str) -> tuple[str, ...]:
    """The objects of which a module of this name would be a key."""
    system = name.lower() in ("edgeagent", "edgehub")
    return (agent_place(manifest, "modules"), *((agent_place(manifest, "systemModules"),) if system else ()))


def addresses(manifest: Manifest) -> tuple[Operand, ...]:
    """All addresses of registry credentials, or where these would be."""
    places = list(_unless_object(manifest, "runtime", "settings", "registryCredentials"))
    for part in manifest.credential_entries():
        address = child(part, "address")
        places.append(part.pointer if address is None else address.pointer)
    return tuple((place, *_ALL) for place in places)


def image_hosts(manifest: Manifest) -> tuple[tuple[str, int, int], ...]:
    """The parts of all images that name their registries."""
    found = []
    for module in manifest.modules():
        text = module.image_text or ""
        first, slash, _ = text.partition("/")
        # A placeholder for a whole image, or for its beginning, may contain a slash.
        found.append((module.at_setting("image"), 0, len(first) + 1 if slash else len(text) + 1))
    for name in ("modules", "systemModules"):
        found += [(place, *_ALL) for place in _unless_object(manifest, name)]
        for part in manifest.agent.children(name):
            if isinstance(part.value, str):
                found.append((part.pointer, *_ALL))
    return tuple(found)


def is_malformed(manifest: Manifest, *path: str) -> bool:
    """Whether something on a path of `$edgeAgent` should be an object and is not, which agent-shape says."""
    parts = [manifest.agent.find(*path[: length + 1]) for length in range(len(path))]
    return any(part is not None and not is_null(part.value) and not isinstance(part.value, dict) for part in parts)


def _unless_object(manifest: Manifest, *path: str) -> tuple[str, ...]:
    part = manifest.agent.find(*path)
    return () if part is not None and isinstance(part.value, dict) else (agent_place(manifest, *path),)


def env_place(module: Module, *names: str) -> tuple[str, ...]:
    """The places of variables, as far as they are set."""
    return tuple(module.at_env(name) for name in names if name in module.env)


def ports(module: Module) -> tuple[str, ...]:
    """The places that say which ports of the host a module takes."""
    return option(module, "HostConfig", "PortBindings"), option(module, "HostConfig", "NetworkMode")
