"""Binds without a place on the host."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(Effect.RISK, alone=True)
def bind_form(manifest: Manifest) -> Iterator[Problem]:
    """A bind in createOptions does not say where on the host.

    A bind is `HOST:CONTAINER`, with `:ro` behind it where it is read only. Without the first part Docker makes
    a nameless volume, which is lost with the container.

    Write `HOST:CONTAINER`.
    """
    for module, options in manifest.options:
        binds = options.get("HostConfig", "Binds")
        for bind in binds if isinstance(binds, list) else ():
            if isinstance(bind, str) and bind and not bind.partition(":")[2]:
                yield Problem(
                    module.at_setting("createOptions"),
                    f"bind {bind!r} of module {module.name!r} names no place in the container",
                    "write HOST:CONTAINER",
                )
