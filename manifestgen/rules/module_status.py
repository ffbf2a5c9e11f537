"""The status that a module shall have."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import STATUS, enum_member, enum_number
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"status": "started"',
    good='"status": "running"',
)
def module_status(manifest: Manifest) -> Iterator[Problem]:
    """A module's `status` is missing or not valid.

    It is required for every module except edgeAgent, which ignores its own. With a word that the runtime does not
    know, be it edgeAgent's own, it rejects the whole manifest: it reads even what it ignores.

    Write `"status": "running"`, or `"stopped"` for a module that must not run.
    """
    for module in manifest.modules():
        status = module.get("status")
        if status == "running" or (status is None and module.is_edge_agent):
            continue
        if status is None:
            yield Problem(
                module.at("status"), f"'status' of module {module.name!r} is missing", 'write \'"status": "running"\''
            )
        elif (enum_number if module.is_edge_agent else enum_member)(status, STATUS) is None:
            yield Problem(
                module.at("status"),
                f"module {module.name!r} has an invalid status, {status!r}",
                "write 'running' or 'stopped'",
            )
