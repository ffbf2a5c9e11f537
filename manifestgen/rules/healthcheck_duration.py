"""How often a container's health is checked."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule

_DURATIONS: Final = ("Interval", "Timeout", "StartPeriod", "StartInterval")
_MILLISECOND: Final = 1_000_000


@rule(
    Effect.DEAD,
    alone=True,
    bad='"Healthcheck": {"Interval": "30s"}',
    good='"Healthcheck": {"Interval": 30000000000}',
)
def healthcheck_duration(manifest: Manifest) -> Iterator[Problem]:
    """A duration of `Healthcheck` in createOptions is not a number of nanoseconds.

    Docker's Engine API (`POST /containers/create`) takes 0 or at least 1000000 nanoseconds, as a number. With
    `"30s"`, which Dockerfiles and Compose files say, it refuses to create the container, and edgeAgent reports 500.

    Write nanoseconds: 30000000000 for 30 seconds.
    """
    for module, options in manifest.options:
        check = options.data.get("Healthcheck")
        if not isinstance(check, dict):
            continue
        for key in _DURATIONS:
            value = check.get(key)
            if value is None or (type(value) is int and (value == 0 or value >= _MILLISECOND)):
                continue
            seen = repr(value) if isinstance(value, str | int | float) else "this value"
            yield Problem(
                module.at_setting("createOptions"),
                f"'Healthcheck.{key}' of module {module.name!r} must be a number of nanoseconds, not {seen}",
                "write nanoseconds, for example 30000000000 for 30 seconds",
                needs=(option(module, "Healthcheck", key),),
            )
