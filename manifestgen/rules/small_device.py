"""Settings of edgeHub's memory."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import INT32, integer, trim
from manifestgen.rules._operands import env_place
from manifestgen.rules._rule import Effect, Problem, rule

_ARM32: Final = r"arm32|armhf|arm/?v7"


@rule(
    Effect.NOTE,
    bad='"OptimizeForPerformance": {"value": "no"}',
    good='"OptimizeForPerformance": {"value": "false"}',
)
def small_device(manifest: Manifest) -> Iterator[Problem]:
    """`edgeHub` is tuned for large devices, or its settings are ignored.

    `OptimizeForPerformance` is on unless it says `false`, and needs memory that small devices do not have.
    edgeHub ignores any value other than `true` or `false`, and a `MaxConnectedClients` that is not a number.

    Set `OptimizeForPerformance` to `false` on devices with little memory.
    """
    for module in manifest.modules():
        if not module.system or module.name != "edgeHub":
            continue
        optimize = module.env_value("OptimizeForPerformance")
        if optimize is not None and trim(optimize).lower() not in ("true", "false"):
            yield Problem(
                module.at_env("OptimizeForPerformance"),
                f"'OptimizeForPerformance' is {optimize!r}",
                "write true or false",
            )
        clients = module.env_value("MaxConnectedClients")
        if clients is not None and integer(clients, 1, INT32[1]) is None:
            yield Problem(
                module.at_env("MaxConnectedClients"),
                f"'MaxConnectedClients' is {clients!r}",
                "write a number of 1 or more",
            )
        arm = next(
            (
                one
                for one in manifest.modules()
                if one.image and "arm" in one.image.tag and re.search(_ARM32, one.image.tag)
            ),
            None,
        )
        if arm is not None and (optimize is None or trim(optimize).lower() == "true"):
            yield Problem(
                module.pointer,
                "edgeHub is tuned for large devices, but the images are for 32-bit ones",
                "set 'OptimizeForPerformance' to 'false'",
                needs=(arm.at_setting("image"), *env_place(module, "OptimizeForPerformance")),
                names=(module.at("env"),),
            )
