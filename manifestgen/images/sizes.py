"""Reads an image's platforms and sizes from its registry, and computes a device's download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from manifestgen.cloud import Credential, Services
from manifestgen.cloud.distribution import ImageContents, Platform, locate
from manifestgen.errors import ManifestgenError
from manifestgen.project.builders import builds_from_context, platforms_of
from manifestgen.project.lock import Lock
from manifestgen.project.sections import Image


@dataclass(frozen=True)
class Transfer:
    """A device's download of an image.

    Attributes:
        size: bytes, if it has none of its layers.
        after: bytes, if it has the previous image; None if there is no previous image, or it is gone.
        reused: how many layers the previous image has too.
        layers: how many there are.
    """

    size: int
    after: int | None
    reused: int
    layers: int


def described(
    lock: Lock, previous: Lock | None, image: Image, services: Services, report: Callable[[str], None]
) -> tuple[Lock, dict[str, Transfer]]:
    """A lock with the platforms and sizes of its image, and what a device pulls of it, by platform.

    Args:
        lock: of an image that is in its registry.
        previous: lock of the image that devices may have; None for none.
        report: is called if the registry cannot be asked; the sizes are then unknown.
    """
    if not builds_from_context(image) or lock.digest is None:
        return lock, {}
    lock = msgspec.structs.replace(lock, platforms=platforms_of(image))
    try:
        now = contents(lock.pinned or lock.image, lock.platforms, services)
    except ManifestgenError as error:
        report(f"could not read the size of {lock.image}: {error}")
        return lock, {}
    before: Mapping[str, ImageContents] = {}
    if previous is not None and previous.digest not in (None, lock.digest):
        try:
            before = contents(previous.pinned or previous.image, previous.platforms, services)
        except ManifestgenError:
            before = {}  # deleted, or in a registry that is gone
    sizes = {platform: one.size for platform, one in now.items()}
    pulls = {platform: _transfer(one, before.get(platform)) for platform, one in now.items()}
    return msgspec.structs.replace(lock, sizes=sizes), pulls


def contents(image: str, platforms: tuple[str, ...], services: Services) -> dict[str, ImageContents]:
    """The contents of an image, by platform."""
    host = locate(image).host
    login = services.credentials({host: frozenset()}).get(host)
    credential = Credential(host, login.username, login.password) if login is not None else None
    return {
        platform: services.distribution.contents(image, credential, Platform.parse(platform)) for platform in platforms
    }


def _transfer(now: ImageContents, before: ImageContents | None) -> Transfer:
    if before is None:
        return Transfer(now.size, None, 0, len(now.layers))
    there = {layer.digest for layer in before.layers}
    reused = sum(layer.digest in there for layer in now.layers)
    return Transfer(now.size, now.bytes_to_pull(before), reused, len(now.layers))
