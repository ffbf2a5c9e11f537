"""The type of a module."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"type": "Docker"',
    good='"type": "docker"',
)
def module_type(manifest: Manifest) -> Iterator[Problem]:
    """A module's `type` is not `docker`.

    There is only one type of module. The comparison is exact: `Docker` is rejected too, with 400 for the whole
    manifest.

    Write `"type": "docker"`.
    """
    for module in manifest.modules():
        kind = module.get("type")
        if kind == "docker":
            continue
        if kind is None:
            yield Problem(module.at("type"), f"'type' of module {module.name!r} is missing", "add 'docker'")
        else:
            yield Problem(
                module.at("type"),
                f"the type of module {module.name!r} must be 'docker', not {kind!r}",
                "write 'docker'",
            )
