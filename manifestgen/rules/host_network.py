"""The host's network."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.RISK,
    bad='"HostConfig": {"NetworkMode": "host"}',
    good='"HostConfig": {"NetworkMode": "host"}, "NetworkingConfig": {"EndpointsConfig": {"host": {}}}',
)
def host_network(manifest: Manifest) -> Iterator[Problem]:
    """A module is only partly on the host's network.

    With `NetworkMode` `host` alone, edgeAgent still attaches the module to its own network, which Docker does
    not allow. If both edgeAgent and edgeHub are on the host's network, they compete for port 9600.

    Add `"NetworkingConfig": {"EndpointsConfig": {"host": {}}}`, and leave the system modules on the runtime's
    network.
    """
    system: list[str] = []
    for module, options in manifest.options:
        if options.get("HostConfig", "NetworkMode") != "host":
            continue
        place = module.at_setting("createOptions")
        mode = option(module, "HostConfig", "NetworkMode")
        if not isinstance(options.get("NetworkingConfig", "EndpointsConfig"), dict):
            yield Problem(
                place,
                f"module {module.name!r} uses the host's network and would also be attached to the runtime's",
                'add "NetworkingConfig": {"EndpointsConfig": {"host": {}}}',
                needs=(mode, option(module, "NetworkingConfig", "EndpointsConfig")),
            )
        if module.system:
            system.append(mode)
            if len(system) == 2:
                yield Problem(
                    place,
                    "edgeAgent and edgeHub on the host's network both listen on port 9600",
                    "leave at least one of them on the runtime's network",
                    needs=tuple(system),
                )
