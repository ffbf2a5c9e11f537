"""Registry credentials of a manifest: which one edgeAgent uses for an image, and what its key in the twin may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from manifestgen.manifest.image import registry_host
from manifestgen.secret import Secret


class RegistryCredential(Struct, frozen=True):
    """An entry of `registryCredentials`.

    Attributes:
        key: its label in the twin, which means nothing to the runtime.
        address: compared as a whole with the image's registry host, ignoring case.
    """

    key: str
    address: str
    username: str
    password: Secret


def match(credentials: Mapping[str, RegistryCredential], image: str) -> str | None:
    """The key of the credential that edgeAgent pulls `image` with; None if it would pull without one.

    The first entry whose address equals the registry host of the image, ignoring case. With two such entries edgeAgent
    may use either: the order of its dictionary is not the file's.
    """
    host = registry_host(image)
    if host is None:
        return None
    wanted = host.upper()
    return next((key for key, entry in credentials.items() if entry.address.upper() == wanted), None)


def key_for(host: str, taken: Collection[str] = ()) -> str:
    """A key for a registry's credential that IoT Hub takes: `acme.azurecr.io` is `acme`, the next one `acme_1`.

    Args:
        host: the registry's host, with or without a port; `DOCKER_HUB` becomes `docker`.
        taken: keys in use.
    """
    name = host.removeprefix("https://").removeprefix("http://").removeprefix("index.")
    name = name.partition("/")[0].partition(".")[0].partition(":")[0].lstrip("$")
    stem = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in name) or "registry"
    key, number = stem, 0
    while key in taken:
        number += 1
        key = f"{stem}_{number}"
    return key
