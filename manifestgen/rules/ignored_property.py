"""Properties of edgeAgent that nothing reads."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import RESTART_POLICY, STATUS, UINT32, enum_number, rounded
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.NOTE,
    alone=True,
    bad='"edgeAgent": {"type": "docker", "restartPolicy": "never", …}',
    good='"edgeAgent": {"type": "docker", …}',
)
def ignored_property(manifest: Manifest) -> Iterator[Problem]:
    """`edgeAgent` has a property that it ignores.

    edgeAgent always runs, is always restarted and always starts first, whatever its `status`, `restartPolicy`
    and `startupOrder` say; other tools reject them there.

    Remove the property.
    """
    for module in manifest.modules():
        if not module.is_edge_agent:
            continue
        for name in ("status", "restartPolicy", "startupOrder"):
            if not module.has(name):
                continue
            value = module.get(name)
            read = (
                enum_number(value, STATUS)
                if name == "status"
                else enum_number(value, RESTART_POLICY)
                if name == "restartPolicy"
                else rounded(value, *UINT32)
            )
            if read is not None or value is None:
                yield Problem(module.at(name), f"{name!r} has no effect on edgeAgent", "remove it")
