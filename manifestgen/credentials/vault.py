"""Registry credentials from the secrets of an Azure key vault.

One secret holds the password; the user name stands in the project file, or in a second secret. So does Microsoft's own
documentation keep a registry's login in a vault (`az acr` credential sets, container instances): both can be renewed
with a new version of a secret. What a vault says of a secret's times only informs, so they are judged here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from manifestgen.cloud import Credential, Vaults, VaultSecret
from manifestgen.credentials.expiry import days_left, words
from manifestgen.errors import InputError
from manifestgen.project import Project
from manifestgen.project.credentials import settings, vault_logins, vault_of
from manifestgen.project.sections import VaultLogin
from manifestgen.secret import Secret


@dataclass(frozen=True)
class FromVault:
    """A registry's credential that a key vault holds.

    Attributes:
        secret: name of the secret with the password.
        expiry: the first of those of its secrets; None if they never expire.
    """

    credential: Credential
    secret: str
    expiry: datetime | None = None


def vault_credentials(
    hosts: Iterable[str], project: Project, vaults: Vaults, *, now: datetime | None = None
) -> dict[str, FromVault]:
    """The credential for each registry host from the project's key vault.

    Args:
        hosts: all registry hosts of the manifest whose source is keyvault.
        project: says which secrets are for which registry.
        now: the time; None for the clock's.

    Raises:
        InputError: the project does not say which secret is for a host; a secret has expired, is not valid yet, or is
            no password.
        CloudError: the vault does not give it; see `Vaults.secret`.
    """
    now = now or datetime.now(timezone.utc)
    vault = vault_of(project).vault
    return {host: read(host, login, vault, vaults, now) for host, login in vault_logins(project, hosts).items()}


def read(host: str, login: VaultLogin, vault: str, vaults: Vaults, now: datetime) -> FromVault:
    """The credential for a registry host from these secrets of a vault; see `vault_credentials`."""
    found = vaults.secret(vault, login.name)
    password, expiries = Secret(_usable(found, vault, now)), [found.expiry]
    username = login.username or ""
    if login.username_secret is not None:
        other = vaults.secret(vault, login.username_secret)
        username = _usable(other, vault, now)
        expiries.append(other.expiry)
    expiry = min((one for one in expiries if one is not None), default=None)
    return FromVault(Credential(host, username, password), login.name, expiry)


def expiry_warning(found: FromVault, project: Project, now: datetime) -> str | None:
    """A sentence if a credential expires in fewer days than the project's `warn_days`."""
    if found.expiry is None or days_left(found.expiry, now) >= settings(project).warn_days:
        return None
    place = f"secret {found.secret} of key vault {vault_of(project).vault}"
    return f"{place}, for {found.credential.address}, {words(found.expiry, now)}; {renewal(project, found.secret)}"


def renewal(project: Project, secret: str) -> str:
    """What to do about a password that expires."""
    options = f"--vault-name {_name(vault_of(project).vault)} --name {secret}"
    return f"set a new version with 'az keyvault secret set {options} --expires …', and deploy again"


def _usable(found: VaultSecret, vault: str, now: datetime) -> str:
    """The text of a secret, if it is one line that is valid now."""
    where = f"secret {found.name} of key vault {vault}"
    change = f"az keyvault secret set --vault-name {_name(vault)} --name {found.name}"
    if found.expiry is not None and found.expiry <= now:
        what = f"the secret expired on {found.expiry:%Y-%m-%d}"
        raise InputError(what, where=where, fix=f"set a new version with '{change} --expires …'")
    if found.begins is not None and found.begins > now:
        what = f"the secret is not valid before {found.begins:%Y-%m-%d %H:%M} UTC"
        raise InputError(what, where=where, fix=f"wait until then, or set a new version with '{change}'")
    text = found.value.strip()
    if not text:
        raise InputError("the secret is blank", where=where, fix=f"set it with '{change}'")
    if "\n" in text or _is_json(text):
        form = "several lines" if "\n" in text else "JSON"
        what = f"the secret holds {form}, where a user name or a password alone is meant"
        raise InputError(what, where=where, fix=f"put the password alone into a secret of its own: '{change}'")
    return text


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object, as some keep a whole login in one secret."""
    if not text.startswith("{"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _name(vault: str) -> str:
    return vault.removeprefix("https://").partition(".")[0].rstrip("/")
