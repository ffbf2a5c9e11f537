"""Variables that edgeAgent sets itself."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.rules._rule import Effect, Problem, rule

#: CreateOrUpdateCommand.cs: for every module, and for edgeAgent alone.
_SET: Final = frozenset(
    {
        "IOTEDGE_WORKLOADURI",
        "IOTEDGE_AUTHSCHEME",
        "IOTEDGE_MODULEGENERATIONID",
        "IOTEDGE_IOTHUBHOSTNAME",
        "IOTEDGE_GATEWAYHOSTNAME",
        "IOTEDGE_DEVICEID",
        "IOTEDGE_MODULEID",
        "IOTEDGE_APIVERSION",
    }
)
_OF_AGENT: Final = frozenset({"IOTEDGE_MANAGEMENTURI", "IOTEDGE_WORKLOADLISTEN_MNTURI"})


@rule(
    Effect.RISK,
    alone=True,
    bad='"env": {"IOTEDGE_DEVICEID": {"value": "edge-01"}}',
    good='"env": {"DEVICE_NAME": {"value": "edge-01"}}',
)
def overwritten_env(manifest: Manifest) -> Iterator[Problem]:
    """A module's `env` sets a variable that edgeAgent overwrites.

    edgeAgent adds `IOTEDGE_DEVICEID`, `IOTEDGE_MODULEID` and others after the module's own variables, and of two
    with one name the later one counts (edgeAgent's CreateOrUpdateCommand.cs, edgelet's runtime.rs). The module does
    not see the value in the manifest.

    Remove the variable, or give it another name.
    """
    for module in manifest.modules():
        for name in module.env:
            if name in _SET or (name in _OF_AGENT and module.is_edge_agent):
                yield Problem(
                    f"{module.at('env')}/{escape(name)}",
                    f"edgeAgent overwrites variable {name!r} of module {module.name!r}",
                    "remove it, or give it another name",
                    at_key=True,
                )
