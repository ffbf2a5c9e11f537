"""Azure Key Vault: the secrets of key vaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class VaultSecret:
    """A secret of a key vault, in its latest version.

    Attributes:
        value: not a `Secret` yet: what holds a user name must not be hidden, since a registry's host has it in its name
            often enough. Whoever asked makes one of a password at once.
        expiry: None if it never expires. The vault gives out an expired secret like any other.
        begins: when it begins to be valid, if that is said; given out before, too.
    """

    name: str
    value: str = field(repr=False)
    expiry: datetime | None = None
    begins: datetime | None = None


class Vaults(Protocol):
    """The key vaults that the caller may read."""

    def secret(self, vault: str, name: str) -> VaultSecret:
        """The latest version of a secret.

        Args:
            vault: a vault's name, or its URI where it is in another cloud than the caller logs in to.
            name: of the secret.

        Raises NotFoundError, DeniedError if the caller may not read it or it is disabled, CloudError if no such vault
        answers.
        """
        ...
