"""The order in which modules are started."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import UINT32, rounded
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"startupOrder": -1',
    good='"startupOrder": 0',
)
def startup_order(manifest: Manifest) -> Iterator[Problem]:
    """A module's `startupOrder` is not an integer from 0 to 4294967295.

    It is optional; with null, a negative number or one that is too large, edgeAgent rejects the whole manifest. It
    rounds a fraction.

    Write an integer of 0 or more, or leave it out.
    """
    for module in manifest.modules():
        order = module.get("startupOrder")
        if not module.has("startupOrder") or (order is None and module.is_edge_agent):
            continue
        if rounded(order, *UINT32) is None:
            seen = "null" if order is None else repr(order)[:40]
            yield Problem(
                module.at("startupOrder"),
                f"module {module.name!r} has an invalid startup order, {seen}",
                "write an integer of 0 or more, or leave it out",
            )
