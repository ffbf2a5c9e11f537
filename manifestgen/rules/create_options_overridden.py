"""Settings in createOptions that the runtime overrides."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule

_KEYS: Final = frozenset({"Image", "Name", "HostConfig"})


@rule(
    Effect.RISK,
    alone=True,
    bad='{"Image": "acme.azurecr.io/scorer:1"}',
    good='"image": "acme.azurecr.io/scorer:1"',
)
def create_options_overridden(manifest: Manifest) -> Iterator[Problem]:
    """`createOptions` set something that the runtime sets itself.

    edgeAgent replaces `Image` and `Name`. With a `RestartPolicy`, Docker restarts the container without
    edgeAgent, whose restart counts are then wrong.

    Remove it; use the module's `image` and `restartPolicy`.
    """
    for module, options in manifest.options:
        if options.data.keys().isdisjoint(_KEYS):
            continue
        place = module.at_setting("createOptions")
        for key in ("Image", "Name"):
            if options.data.get(key):
                yield Problem(
                    place,
                    f"{key!r} in createOptions of module {module.name!r} is replaced",
                    "remove it",
                    needs=(option(module, key),),
                )
        policy = options.get("HostConfig", "RestartPolicy", "Name")
        if isinstance(policy, str) and policy.lower() not in ("", "no"):
            yield Problem(
                place,
                f"Docker's restart policy {policy!r} of module {module.name!r} conflicts with edgeAgent",
                "remove 'HostConfig.RestartPolicy'; use the module's 'restartPolicy'",
                needs=(option(module, "HostConfig", "RestartPolicy", "Name"),),
            )
