"""Rights that a device may not grant."""

import re
from collections.abc import Iterator
from typing import Any, Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.rules._rule import Effect, Problem, option, rule

_KEYS: Final = frozenset({"Privileged", "CapAdd", "Binds", "Mounts"})
_DROPPED: Final = ", which a device with 'allow_elevated_docker_permissions = false' drops silently"
_SOCKET: Final = r"(^|:)(/var)?/run/docker\.sock(:|$)"


@rule(
    Effect.RISK,
    alone=True,
    bad='"HostConfig": {"Privileged": true}',
    good='"HostConfig": {"Devices": [{"PathOnHost": "/dev/video0", …}]}',
)
def elevated(manifest: Manifest) -> Iterator[Problem]:
    """A module asks for control over the device.

    `Privileged`, `CapAdd` and Docker's socket give a module full control of the device. If the device's
    administrator set `allow_elevated_docker_permissions = false`, the first two are silently dropped, and the
    module fails in some other way.

    Request only the device or capability that the module needs, and document it.
    """
    for module, options in manifest.options:
        host = options.data.get("HostConfig")
        if not isinstance(host, dict) or host.keys().isdisjoint(_KEYS):
            continue
        for what, places in _asked(module, host):
            yield Problem(
                module.at_setting("createOptions"),
                f"module {module.name!r} asks for {what}",
                "request only the device or capability that it needs",
                names=places,
            )


def _asked(module: Module, host: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The privileges that a module requests, and their places."""
    if str(host.get("Privileged", "")).lower() == "true":
        yield f"'Privileged'{_DROPPED}", (option(module, "HostConfig", "Privileged"),)
    added = host.get("CapAdd")
    if isinstance(added, list) and added:
        yield f"'CapAdd'{_DROPPED}", (option(module, "HostConfig", "CapAdd"),)
    for name, key in (("Binds", None), ("Mounts", "Source")):
        items = host.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            source = item.get(key) if key and isinstance(item, dict) else item
            if isinstance(source, str) and "docker.sock" in source and re.search(_SOCKET, source):
                yield "Docker's socket", (option(module, "HostConfig", name, index, *([key] if key else [])),)
                return
