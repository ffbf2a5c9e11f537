"""The login that a manifest gives for an image, as the registries take it."""

from __future__ import annotations

from collections.abc import Mapping

from manifestgen.cloud import Credential
from manifestgen.manifest.credentials import RegistryCredential, match


def login_for(credentials: Mapping[str, RegistryCredential], image: str) -> Credential | None:
    """The credential with which edgeAgent would pull an image; None if it would pull without a login.

    Args:
        credentials: of the manifest, by their keys.
    """
    key = match(credentials, image)
    return login_of(credentials[key]) if key is not None else None


def login_of(entry: RegistryCredential) -> Credential:
    """A registry credential of a manifest, as the registries take it."""
    return Credential(entry.address, entry.username, entry.password)
