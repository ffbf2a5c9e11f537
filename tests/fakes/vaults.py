"""`Vaults` in memory; passes the same contract suite as the real adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from manifestgen.cloud import VaultSecret
from manifestgen.errors import CloudError, DeniedError, NotFoundError


@dataclass
class FakeVaults:
    """Key vaults by their names, secrets by theirs in lower case.

    Attributes:
        disabled: names of secrets that are.
        asked: the names of secrets in the order in which they were asked for.
    """

    vaults: dict[str, dict[str, VaultSecret]] = field(default_factory=lambda: {"contoso": {}})
    disabled: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def put(self, name: str, value: str, expiry: datetime | None = None, begins: datetime | None = None) -> FakeVaults:
        """Set a secret of the vault `contoso`."""
        self.vaults["contoso"][name.lower()] = VaultSecret(name, value, expiry, begins)
        return self

    def secret(self, vault: str, name: str) -> VaultSecret:
        self.asked.append(name)
        where = f"secret {name} of key vault {vault}"
        found = self.vaults.get(vault.removeprefix("https://").partition(".")[0].lower())
        if found is None:
            raise CloudError("no vault has this name", where=f"key vault {vault}", fix="check its name")
        if name.lower() in self.disabled:
            raise DeniedError("the secret is disabled", where=where, fix="enable it")
        if name.lower() not in found:
            raise NotFoundError("the vault has no such secret", where=where, fix="set it")
        return found[name.lower()]
