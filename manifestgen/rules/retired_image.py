"""Images that moved to Microsoft's own registry."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

_RETIRED: Final = r"(?:(?:registry-1\.|index\.)?docker\.io/)?microsoft/(azureiotedge-.+)"


@rule(
    Effect.RISK,
    alone=True,
    bad='"image": "microsoft/azureiotedge-hub:1.0"',
    good='"image": "mcr.microsoft.com/azureiotedge-hub:1.6"',
)
def retired_image(manifest: Manifest) -> Iterator[Problem]:
    """An image of IoT Edge is taken from Docker Hub, where Microsoft no longer publishes it.

    Microsoft publishes `azureiotedge-*` in its own registry and removed `microsoft/*` from Docker Hub in July 2021
    ("Deprecating the Distribution of Microsoft Container Images via Docker Hub", techcommunity.microsoft.com). A device
    that does not have the image yet cannot pull it, and there are no security fixes.

    Write `mcr.microsoft.com/azureiotedge-…` with a supported version.
    """
    for module in manifest.modules():
        image = module.image
        if image is None or "microsoft/azureiotedge-" not in image.repository:
            continue
        match = re.fullmatch(_RETIRED, image.repository)
        if match is not None:
            yield Problem(
                module.at_setting("image"),
                f"image {image.text!r} of module {module.name!r} was retired from Docker Hub",
                f"write 'mcr.microsoft.com/{match[1]}' with a supported version",
                start=(module.image_text or "").find(image.repository),
                length=len(image.repository),
                part=True,
            )
