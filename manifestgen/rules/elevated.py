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
                "request only the device or capability that it needs",
            )
