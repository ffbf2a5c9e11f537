"""Proxies that only one of the system modules knows."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    layers=False,
    bad='"edgeAgent": {"env": {"https_proxy": {…}}}, "edgeHub": {"env": {}}',
    good='"edgeAgent": {"env": {"https_proxy": {…}}}, "edgeHub": {"env": {"https_proxy": {…}}}',
)
def proxy_on_one(manifest: Manifest) -> Iterator[Problem]:
    """Only one of edgeAgent and edgeHub has a proxy.

    Both connect to the cloud themselves, and each needs its own variable `https_proxy`.

    Set it on both, with `UpstreamProtocol` `AmqpWs` or `MqttWs`.
    """
    system = [module for module in manifest.modules() if module.system]
    if len(system) != 2:
        return
    told = [any(name.lower() == "https_proxy" for name in module.env) for module in system]
    if told[0] != told[1]:
        with_, without = (system[0], system[1]) if told[0] else (system[1], system[0])
        yield Problem(
            without.pointer,
            f"{with_.name} uses a proxy and {without.name} does not",
            f"set 'https_proxy' on {without.name} too",
            names=(with_.at("env"), without.at("env")),
        )
