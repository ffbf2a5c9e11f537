"""Replaces image tags by digests: every device then runs what was tested, even if a tag moves later.

The runtime accepts `repository@sha256:…`. A tag together with a digest makes it reject the whole manifest
(`DockerConfig.ValidateAndGetImage` in edgeAgent).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import trim


@dataclass(frozen=True)
class Moved:
    """A tag that names another image than before.

    Attributes:
        image: as the manifest names it, by its tag.
        locked: its digest in the lock file.
        found: its digest now.
    """

    image: str
    locked: str
    found: str


def pin(manifest: Manifest, digests: Mapping[str, str]) -> Manifest:
    """A manifest with digests instead of tags.

    Args:
        manifest: is not changed.
        digests: image as the manifest names it, without surrounding blanks, to `sha256:…`. Other images, and those that
            have a digest already, are not changed.
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
