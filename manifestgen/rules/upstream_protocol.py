"""How the runtime talks to the cloud."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.manifest.reading import trim
from manifestgen.rules._operands import env_place
from manifestgen.rules._rule import Effect, Problem, rule

#: UpstreamProtocol.cs; read in any case, without blanks around it.
PROTOCOLS: Final = ("Amqp", "AmqpWs", "Mqtt", "MqttWs")
_LOWER: Final = {name.lower(): name for name in PROTOCOLS}


@rule(
    Effect.RISK,
    bad='"UpstreamProtocol": {"value": "MQTT-WS"}',
    good='"UpstreamProtocol": {"value": "MqttWs"}',
)
def upstream_protocol(manifest: Manifest) -> Iterator[Problem]:
    """`UpstreamProtocol` is misspelled, or set only on edgeAgent or only on edgeHub.

    The runtime silently ignores a word that it does not know and uses AMQP on port 5671, which many firewalls
    block. The two modules each have their own setting.

    Set `Amqp`, `AmqpWs`, `Mqtt` or `MqttWs` on both.
    """
    found: dict[str, str] = {}
    unknown = False
    for module in manifest.modules():
        if not module.system:
            continue
        value = module.env_value("UpstreamProtocol")
        if value is None:
            continue
        name = _LOWER.get(trim(value).lower())
        if name is None and trim(value) not in ("0", "1", "2", "3"):
            near = nearest(trim(value).lower(), _LOWER)
            yield Problem(
                module.at_env("UpstreamProtocol"),
                f"{module.name} ignores the upstream protocol {value!r} and uses AMQP",
                f"did you mean {_LOWER[near[0]]!r}?" if near else "write Amqp, AmqpWs, Mqtt or MqttWs",
            )
            unknown = True
        found[module.name] = name or value
    if manifest.layered or unknown:
        return
    system = [module for module in manifest.modules() if module.system]
    places = tuple(place for module in system for place in env_place(module, "UpstreamProtocol"))
    names = tuple(module.at("env") for module in system)
    if len(found) == 1 and len(system) == 2:
        other = next(module for module in system if module.name not in found)
        name, protocol = next(iter(found.items()))
        yield Problem(
            other.pointer,
            f"{name} has the upstream protocol {protocol!r} and {other.name} the default",
            f"set 'UpstreamProtocol' on {other.name} too",
            needs=places,
            names=names,
        )
    elif len(set(found.values())) == 2:
        yield Problem(
            system[-1].at("env"),
            "edgeAgent and edgeHub have different upstream protocols",
            "set the same on both",
            needs=places,
        )
