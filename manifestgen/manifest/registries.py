"""The registries that a manifest's images name, and what is pulled from each.

A device pulls an image with the registry credential whose address is the image's registry host, so one entry for each
host that an image names is exactly enough.
"""

from __future__ import annotations

from typing import Any

from manifestgen.manifest.image import DOCKER_HUB
from manifestgen.manifest.manifest import Manifest


def image_hosts(manifest: Manifest) -> dict[str, str]:
    """The registry hosts that the manifest's images name, in order: in lower case, and as first written."""
    hosts: dict[str, str] = {}
    for module in manifest.modules():
        host = module.image.host if module.image is not None else None
        if host is not None:
            hosts.setdefault(host.lower(), host)
    return hosts


def named_hosts(manifest: Manifest) -> tuple[str, ...]:
    """The registry hosts that the manifest's images name and that have no credential in it yet, in order."""
    have = {address_of(part.value).lower() for part in manifest.credential_entries()}
    return tuple(host for key, host in image_hosts(manifest).items() if key not in have)


def repositories(manifest: Manifest) -> dict[str, frozenset[str]]:
    """The repositories that images name, by registry host in lower case.

    This is what a device must be allowed to pull: `acme.azurecr.io/team/scorer:1` is `team/scorer` of
    `acme.azurecr.io`.
    """
    found: dict[str, set[str]] = {}
    for module in manifest.modules():
        host = module.image.host if module.image is not None else None
        if module.image is not None and host is not None:
            name = module.image.repository
            found.setdefault(host.lower(), set()).add(name if host == DOCKER_HUB else name.partition("/")[2])
    return {host: frozenset(names) for host, names in found.items()}


def address_of(entry: Any) -> str:
    """The address of an entry of `registryCredentials`; empty if the entry has none."""
    return str(entry.get("address", "")) if isinstance(entry, dict) else ""
