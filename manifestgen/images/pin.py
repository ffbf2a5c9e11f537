"""Images by digest in place of tags: what is tested today is what every device runs, whoever pushes what tomorrow.

The runtime takes `repository@sha256:…`; a tag and a digest together it refuses, and with it the whole manifest
(`DockerConfig.ValidateAndGetImage` of edgeAgent).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import trim


@dataclass(frozen=True)
class Moved:
    """A tag that names another image than it did.

    Attributes:
        image: as the manifest names it, by its tag.
        locked: digest that it had.
        found: digest that it has.
    """

    image: str
    locked: str
    found: str


def pin(manifest: Manifest, digests: Mapping[str, str]) -> Manifest:
    """A manifest whose images are named by digest.

    Args:
        manifest: stays as it is.
        digests: image as the manifest names it, without blanks around, to `sha256:…`. Other images, and those that are
            named by a digest already, stay as they are.
    """
    content = copy.deepcopy(dict(manifest.content))
    pinned = Manifest.of(content, layered=manifest.layered)
    for module in pinned.modules():
        key = module.setting_key("image")
        digest = digests.get(trim(module.image_text or ""))
        if key is None or digest is None or module.image is None or module.image.digest:
            continue
        settings = module.data[module.key("settings") or "settings"]
        settings[key] = f"{module.image.repository}@{digest}"
    return Manifest.of(content, layered=manifest.layered)


def moved(locked: Mapping[str, str], found: Mapping[str, str]) -> tuple[Moved, ...]:
    """The images whose tag names another digest than before; both map images to digests."""
    return tuple(
        Moved(image, locked[image], digest)
        for image, digest in found.items()
        if image in locked and locked[image] != digest
    )
