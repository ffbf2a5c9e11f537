"""Binds without a place on the host."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"Binds": ["/data"]',
    good='"Binds": ["/srv/data:/data"]',
)
def bind_form(manifest: Manifest) -> Iterator[Problem]:
    """A bind mount in createOptions has no host path.

    A bind mount is `HOST:CONTAINER`, with `:ro` at the end if it is read-only. Without the host part, Docker
    creates an anonymous volume, which is lost with the container.

    Write `HOST:CONTAINER`.
    """
    for module, options in manifest.options:
        binds = options.get("HostConfig", "Binds")
        for index, bind in enumerate(binds if isinstance(binds, list) else ()):
            if isinstance(bind, str) and bind and not bind.partition(":")[2]:
                yield Problem(
                    module.at_setting("createOptions"),
                    f"bind {bind!r} of module {module.name!r} has no container path",
                    "write HOST:CONTAINER",
                    needs=(option(module, "HostConfig", "Binds", index),),
                )
