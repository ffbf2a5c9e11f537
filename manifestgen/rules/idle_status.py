"""Statuses that nothing acts on."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import STATUS, enum_member
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"status": "unknown"',
    good='"status": "running"',
)
def idle_status(manifest: Manifest) -> Iterator[Problem]:
    """A module has a desired status that the runtime never starts.

    The runtime accepts words such as `unknown` or `failed` because it reports them, but it starts only modules
    whose status is `running`: this module is created and never started. Without a running edgeHub, no module
    can send messages.

    Write `running` or `stopped`.
    """
    for module in manifest.modules():
        if module.get("status") == "running":
            continue
        status = enum_member(module.get("status"), STATUS)
        if status is None or status == "running" or module.is_edge_agent:
            continue
        if status != "stopped":
            yield Problem(
                module.at("status"),
                f"module {module.name!r} is created with status {status!r} and never started",
                "write 'running' or 'stopped'",
            )
        elif module.system:
            yield Problem(
                module.at("status"), "edgeHub is to be stopped: no module could send or receive", "write 'running'"
            )
