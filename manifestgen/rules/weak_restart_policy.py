"""Restart policies that do less than their names say."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import RESTART_POLICY, enum_member
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"restartPolicy": "on-unhealthy"',
    good='"restartPolicy": "always"',
)
def weak_restart_policy(manifest: Manifest) -> Iterator[Problem]:
    """A restart policy does less than its name says.

    `on-unhealthy` restarts a module that exits with an error, as `on-failure` does, and no more: nothing ever
    reports a module unhealthy (edgeAgent's RestartPolicyManager.cs). `unknown` restarts nothing. With `never`,
    edgeHub stays down after its first crash.

    Write `always`, `on-failure`, or `never` for a module that runs once.
    """
    for module in manifest.modules():
        policy = module.get("restartPolicy")
        if policy is None or policy == "always":
            continue
        name = enum_member(policy, RESTART_POLICY)
        if name in ("on-unhealthy", "OnUnhealthy", "unknown"):
            yield Problem(
                module.at("restartPolicy"),
                f"restart policy {name!r} of module {module.name!r} does less than its name says",
                "write 'always' or 'on-failure'",
            )
        elif name == "never" and module.system and module.name == "edgeHub":
            yield Problem(module.at("restartPolicy"), "edgeHub would stay down after its first crash", "write 'always'")
