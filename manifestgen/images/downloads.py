"""Computes a device's download for new images of its modules: the layers that their previous images lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from manifestgen.cloud.distribution import Distribution, ImageContents, Platform
from manifestgen.errors import ManifestgenError
from manifestgen.images.logins import login_for
from manifestgen.manifest.credentials import RegistryCredential
from manifestgen.manifest.image import is_from_parent
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import trim

_WORKERS = 16


@dataclass(frozen=True)
class Download:
    """A device's download of a new image.

    Attributes:
        image: as the manifest names it.
        modules: that are to run it, and do not yet.
        platform: of the device.
        previous: the images that the device has for these modules.
        size: compressed bytes of the whole image; None if its registry could not be asked.
        pulled: of which the device downloads this many; None if that is not known.
        layers: how many the image has.
        reused: how many of them the previous images have too.
        trouble: why something is not known; empty if all is.
    """

    image: str
    modules: tuple[str, ...]
    platform: Platform
    previous: tuple[str, ...] = ()
    size: int | None = None
    pulled: int | None = None
    layers: int = 0
    reused: int = 0
    trouble: str = ""


def downloads(
    before: Manifest, after: Manifest, distribution: Distribution, platform: Platform
) -> tuple[Download, ...]:
    """A device's downloads for the change from one manifest to another.

    Args:
        before: what it has now, with its registry credentials.
        after: what it is to have; modules whose image stays the same are passed over.
        distribution: the registries; each image is asked for once.
        platform: of the device.

    Returns:
        One for each new image, in the manifest's order. A registry that cannot be asked does not raise.
    """
    wanted, there = _images(after), _images(before)
    changed: dict[str, list[str]] = {}
    for name, image in wanted.items():
        if image not in there.values():
            changed.setdefault(image, []).append(name)
    if not changed:
        return ()
    previous = {
        image: tuple(dict.fromkeys(there[name] for name in names if name in there)) for image, names in changed.items()
    }
    asked = {image: after.credentials() for image in changed}
    for images in previous.values():
        asked |= {image: before.credentials() for image in images if image not in asked}
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="downloads") as pool:
        contents = pool.map(lambda image: _contents(image, asked[image], distribution, platform), asked)
        found = dict(zip(asked, contents, strict=True))
    return tuple(_download(image, tuple(names), platform, previous[image], found) for image, names in changed.items())


def _images(manifest: Manifest) -> dict[str, str]:
    """The images of a manifest's modules that a registry can be asked for, by module."""
    found = {module.name: trim(module.image_text) for module in manifest.modules() if module.image_text is not None}
    return {name: image for name, image in found.items() if not is_from_parent(image)}


def _contents(
    image: str, credentials: Mapping[str, RegistryCredential], distribution: Distribution, platform: Platform
) -> ImageContents | ManifestgenError:
    try:
        return distribution.contents(image, login_for(credentials, image), platform)
    except ManifestgenError as error:
        return error


def _download(
    image: str,
    modules: tuple[str, ...],
    platform: Platform,
    previous: tuple[str, ...],
    found: Mapping[str, ImageContents | ManifestgenError],
) -> Download:
    now = found[image]
    if isinstance(now, ManifestgenError):
        return Download(image, modules, platform, previous, trouble=now.what)
    there = list(_known(previous, found))
    # An image that is gone from its registry may still be on the device: what it shares is not known then.
    gone = next((one for one in previous if isinstance(found[one], ManifestgenError)), None)
    parts = {part.digest: part.size for part in (now.config, *now.layers)}
    has = {part.digest for one in there for part in (one.config, *one.layers)}
    return Download(
        image,
        modules,
        platform,
        previous,
        now.size,
        None if gone else sum(size for digest, size in parts.items() if digest not in has),
        len(now.layers),
        sum(layer.digest in has for layer in now.layers),
        f"the registry could not be asked for {gone}" if gone else "",
    )


def _known(images: tuple[str, ...], found: Mapping[str, ImageContents | ManifestgenError]) -> Iterator[ImageContents]:
    for image in images:
        one = found[image]
        if not isinstance(one, ManifestgenError):
            yield one
