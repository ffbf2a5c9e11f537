"""The restart policy of a module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import RESTART_POLICY, enum_member, enum_number
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"restartPolicy": "unless-stopped"',
    good='"restartPolicy": "always"',
)
def restart_policy(manifest: Manifest) -> Iterator[Problem]:
    """A module's `restartPolicy` is not valid.

    It is optional, but with null or a word that the runtime does not know, edgeAgent rejects the whole
    manifest. `unless-stopped` is a policy of Docker's.

    Write `always` or `never`.
    """
    for module in manifest.modules():
        policy = module.get("restartPolicy")
        if policy == "always" or (policy is None and module.is_edge_agent):
            continue
        read = enum_number if module.is_edge_agent else enum_member
        if not module.has("restartPolicy") or read(policy, RESTART_POLICY) is not None:
            continue
        seen = "null" if policy is None else repr(policy)
        yield Problem(
            module.at("restartPolicy"),
            f"module {module.name!r} has an invalid restart policy, {seen}",
            "write 'always' or 'never'",
        )
