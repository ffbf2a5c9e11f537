"""Azure Key Vault: the secrets of key vaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class VaultSecret:
    """A secret of a key vault, in its latest version.

    Attributes:
        value: not a `Secret`: a user name must not be hidden, as it is often part of the registry's host. The caller
            wraps a password in a `Secret` at once.
        expiry: None if it never expires. A vault returns an expired secret like any other.
        begins: when it becomes valid, if set. A vault returns it even before that.
    """

    name: str
    value: str = field(repr=False)
    expiry: datetime | None = None
    begins: datetime | None = None


class Vaults(Protocol):
    """The key vaults that the caller can read."""

    def secret(self, vault: str, name: str) -> VaultSecret:
        """The latest version of a secret.

        Args:
            vault: a vault's name, or its URI if it is in a different cloud than the caller logs in to.
            name: of the secret.

        Raises:
            NotFoundError: the vault has no such secret.
            DeniedError: the caller may not read it, or it is disabled.
            CloudError: the vault cannot be reached.
        """
        ...
