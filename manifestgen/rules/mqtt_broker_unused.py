"""A section that nothing reads any more."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.NOTE,
    bad='"routes": {…}, "mqttBroker": {…}',
    good='"routes": {…}',
)
def mqtt_broker_unused(manifest: Manifest) -> Iterator[Problem]:
    """`$edgeHub` has a section `mqttBroker`.

    The MQTT broker was a preview and was removed in 1.3; the section has no effect.

    Remove it.
    """
    broker = manifest.hub.find("mqttBroker")
    if broker is not None and broker.value is not None:
        yield Problem(
            broker.pointer, "'mqttBroker' has no effect: the runtime has no MQTT broker", "remove it", at_key=True
        )
