"""Keys in createOptions that do nothing."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest import container
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.nearest import nearest
from manifestgen.rules._rule import Effect, Problem, option, rule

_TOP: Final = frozenset(container.CREATE.keys) | container.DOCKER_ONLY
_HOST: Final = frozenset(container.HOST_CONFIG.keys) | container.HOST_DOCKER_ONLY
_TOP_LOWER: Final = {key.lower(): key for key in _TOP}
_HOST_LOWER: Final = {key.lower(): key for key in _HOST}

#: Names of properties that Docker renamed.
_FORMER: Final = {"MaximumIOps": "IOMaximumIOps", "MaximumIOBps": "IOMaximumBandwidth"}


@rule(
    Effect.RISK,
    alone=True,
    bad='{"PortBindings": {…}}',
    good='{"HostConfig": {"PortBindings": {…}}}',
)
def create_options_keys(manifest: Manifest) -> Iterator[Problem]:
    """`createOptions` have a key that Docker does not know, or does not know here.

    edgeAgent passes unknown keys on, and Docker ignores them: `HostConfir`, `Priviledged`, or `PortBindings`
    beside `HostConfig` instead of inside it silently have no effect.

    Correct the key, or move it.
    """
    for module, options in manifest.options:
        if not options.data:
            continue
        place = module.at_setting("createOptions")
        for key in options.data:
            if key not in _TOP and (problem := _unknown(key, _TOP_LOWER, _HOST_LOWER, "HostConfig")):
                what = f"{key!r} {problem[0]} (createOptions of module {module.name!r})"
                yield Problem(place, what, problem[1], names=(place,))
        host = options.get("HostConfig")
        for key in host if isinstance(host, dict) else ():
            if key not in _HOST and (problem := _unknown(key, _HOST_LOWER, _TOP_LOWER, "")):
                yield Problem(
                    place,
                    f"'HostConfig.{key}' {problem[0]} (createOptions of module {module.name!r})",
                    problem[1],
                    names=(option(module, "HostConfig"),),
                )


def _unknown(key: str, here: dict[str, str], there: dict[str, str], other: str) -> tuple[str, str] | None:
    lower = key.lower()
    if lower in here or key.startswith(("_", "$")) or lower in ("comment", "comments"):
        return None
    if lower in there:
        if other:
            return "has no effect here: it belongs in 'HostConfig'", f"move it to 'HostConfig.{there[lower]}'"
        return "has no effect here: it belongs beside 'HostConfig'", "move it out of 'HostConfig'"
    if key in _FORMER:
        return "is an old name that Docker does not know", f"write {_FORMER[key]!r}"
    near = nearest(lower, here, cutoff=0.75)
    if near:
        return "is not known to Docker", f"did you mean {here[near[0]]!r}?"
    return "is not known to Docker and has no effect", "remove it"
