"""Rights that a device may not grant."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

_KEYS: Final = frozenset({"Privileged", "CapAdd", "Binds"})
_SOCKET: Final = r"(^|:)(/var)?/run/docker\.sock(:|$)"


@rule(Effect.RISK, alone=True)
def elevated(manifest: Manifest) -> Iterator[Problem]:
    """A module asks for rights over the device.

    `Privileged`, `CapAdd` and Docker's socket give a module the whole device. A device whose administrator set
    `allow_elevated_docker_permissions = false` drops the first two silently, and the module then fails in its
    own way.

    Ask for the one device or capability that is needed, and document it.
    """
    for module, options in manifest.options:
        host = options.data.get("HostConfig")
        if not isinstance(host, dict) or host.keys().isdisjoint(_KEYS):
            continue
        asked = []
        if str(host.get("Privileged", "")).lower() == "true":
            asked.append("'Privileged'")
        if host.get("CapAdd"):
            asked.append("'CapAdd'")
        binds = host.get("Binds")
        if isinstance(binds, list) and any(isinstance(bind, str) and re.search(_SOCKET, bind) for bind in binds):
            asked.append("Docker's socket")
        if asked:
            yield Problem(
                module.at_setting("createOptions"),
                f"module {module.name!r} asks for {' and '.join(asked)}",
                "ask for the one device or capability that is needed",
            )
