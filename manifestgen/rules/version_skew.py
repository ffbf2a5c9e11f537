"""edgeAgent and edgeHub of different versions."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

# The same expression as in support-ended, so that it is compiled once.
_MINOR: Final = r"v?(\d+)\.(\d+)"


@rule(
    Effect.RISK,
    layers=False,
    bad='"azureiotedge-agent:1.6", "azureiotedge-hub:1.5"',
    good='"azureiotedge-agent:1.6", "azureiotedge-hub:1.6"',
)
def version_skew(manifest: Manifest) -> Iterator[Problem]:
    """`edgeAgent` and edgeHub have different minor versions.

    They are tested and supported together, with a daemon of the same version on the device.

    Give both images the same tag.
    """
    versions: dict[str, str] = {}
    places: list[tuple[str, int, int]] = []
    for module in manifest.modules():
        if not module.system or module.image is None:
            continue
        match = re.match(_MINOR, module.image.tag)
        if match and "azureiotedge-" in module.image.repository:
            versions[module.name] = f"{match[1]}.{match[2]}"
            start = (module.image_text or "").rfind("azureiotedge-")
            places.append((module.at_setting("image"), start, start + len(module.image.text)))
    if len(set(versions.values())) == 2:
        yield Problem(
            places[-1][0],
            f"edgeAgent is version {versions['edgeAgent']} and edgeHub {versions['edgeHub']}",
            "give both images the same tag",
            start=places[-1][1],
            length=places[-1][2] - places[-1][1],
            needs=tuple(places),
            part=True,
        )
