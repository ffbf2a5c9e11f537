"""edgeHub without ports."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._operands import ports
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.NOTE,
    alone=True,
    bad='"createOptions": "{}"',
    good='{"HostConfig": {"PortBindings": {"8883/tcp": [{"HostPort": "8883"}]}}}',
)
def hub_ports(manifest: Manifest) -> Iterator[Problem]:
    """`edgeHub` publishes no port on the host.

    Modules reach it through the runtime's network. Devices behind a gateway need 8883 (MQTT), 5671 (AMQP) or
    443; a device that is not a gateway is better off without open ports.

    Add `PortBindings` for the protocols in use if other devices connect through this one.
    """
    for module, options in manifest.options:
        if not module.system or module.name != "edgeHub" or options.error:
            continue
        if options.get("HostConfig", "NetworkMode") != "host" and not options.ports:
            yield Problem(
                module.at_setting("createOptions"),
                "edgeHub publishes no port: other devices cannot connect through this one",
                "to let them, add 'HostConfig.PortBindings' for 8883, 5671 and 443",
                needs=ports(module),
            )
