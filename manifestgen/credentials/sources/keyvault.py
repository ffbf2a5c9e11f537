"""The source `keyvault`: secrets of an Azure key vault.

One secret holds the password; the user name is in the project file or in a second secret. Microsoft's own documentation
stores a registry's login the same way (`az acr` credential sets, container instances): both can be renewed with a new
version of a secret. A vault only reports the times of a secret, so they are checked here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, field, structs

from manifestgen.credentials.hosts import check_host, comparable
from manifestgen.credentials.source import Inputs, Login, Registry, Settings, Source, Standing, Wanted, Where
from manifestgen.errors import InputError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from manifestgen.cloud import VaultSecret

_Text = Annotated[str, Meta(min_length=1)]
_SecretName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,127}$")]
_USERNAME = "User name; that of a token or a robot account is not a secret."
_USERNAME_SECRET = "Name of the secret that holds the user name, in place of username."  # noqa: S105 - a description


_SECRET_NAME = ("secret name", "write only the secret's name: letters, digits and '-', at most 127")


class VaultLogin(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A registry's login in a key vault: the password, and the user name unless it is given here."""

    name: Annotated[
        _SecretName, Meta(description="Name of the secret that holds the password.", examples=["hub-pull-pwd"])
    ]
    username: Annotated[_Text | None, Meta(description=_USERNAME)] = None
    username_secret: Annotated[_SecretName | None, Meta(description=_USERNAME_SECRET)] = None


class Vault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The key vault of the source keyvault, and its secrets with the registries' logins."""

    vault: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^(https://)?[A-Za-z](-?[A-Za-z0-9]){2,23}"
                r"(\.vault\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)?/?$"
            ),
        ],
        Meta(
            description="Name of the vault, or its URI where it is in another cloud than the login.",
            examples=["contoso-edge", "https://contoso-edge.vault.azure.cn"],
        ),
    ]
    name: Annotated[
        _SecretName | None,
        Meta(
            description="Name of the secret that holds the password, for the one registry that is not in secrets.",
            examples=["acme-pull-pwd"],
        ),
    ] = None
    username: Annotated[_Text | None, Meta(description=_USERNAME)] = None
    username_secret: Annotated[_SecretName | None, Meta(description=_USERNAME_SECRET, examples=["acme-pull-usr"])] = (
        None
    )
    secrets: Annotated[
        dict[_Text, VaultLogin],
        Meta(
            description="Registry host, as in image references, to its own secrets, where several registries have this "
            "source.",
            examples=[{"docker.io": {"name": "hub-pull-pwd", "username": "contosobot"}}],
        ),
    ] = field(default_factory=dict)


class KeyVault(Source):
    """The secrets of one vault, each login for the registry that the project says."""

    name = "keyvault"
    summary = "secrets of an Azure key vault"
    place = "the key vault"
    found = "key vault"
    azure = True
    packages = {"azure-keyvault-secrets": "manifestgen[keyvault]"}  # noqa: RUF012 - annotated in the base class
    settings = {  # noqa: RUF012 - annotated in the base class
        "keyvault": (Annotated[Vault | None, Meta(description=Vault.__doc__)], None)
    }
    patterns = {  # noqa: RUF012 - annotated in the base class
        "vault": (
            "key vault name or URI",
            "write the vault's name (3 to 24 letters, digits and '-'), or its URI, such as https://NAME.vault.azure.cn",
        ),
        "name": _SECRET_NAME,
        "username_secret": _SECRET_NAME,
    }

    def check(self, registry: Registry, where: Where) -> None:
        """Require the key `keyvault` if, and only if, a registry uses the source; each login must be complete."""
        vault = _vault_in(registry)
        if vault is not None and not registry.uses(self.name):
            what = f"registry.keyvault is given, but registry.credentials is {registry.credentials}"
            raise InputError(what, where=where(), fix="write 'credentials: keyvault', or remove the key vault")
        if registry.uses(self.name) and vault is None:
            fix = "add 'keyvault: {vault: NAME, name: SECRET, username: …}'"
            raise InputError("registry.keyvault is missing; source keyvault needs it", where=where(), fix=fix)
        if vault is not None:
            _check(vault, registry, where)

    def hosts(self, registry: Registry) -> Collection[str]:
        """The hosts with their own secrets."""
        vault = _vault_in(registry)
        return vault.secrets if vault is not None else ()

    def assign(self, hosts: Sequence[str], settings: Settings) -> None:
        """Raise InputError unless the section assigns secrets to each of the hosts."""
        assigned(hosts, settings)

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """From the latest versions of the secrets.

        Raises:
            InputError: a secret has expired, is not valid yet, or is not a password.
            CloudError: the vault does not return it; see `Vaults.secret`.
        """
        names = assigned([one.host for one in wanted if one.required], inputs.settings)
        return {host: _read(login, inputs) for host, login in names.items()}

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """Another source: a vault either returns the secret or an error with its own advice."""
        return "choose another source in registry.credentials or registry.sources"

    def standing(self, wanted: Wanted, inputs: Inputs) -> Standing | None:
        """With the user name from the project file, even if the vault does not return the password."""
        if not wanted.required:
            return None
        try:
            standing = super().standing(wanted, inputs)
        except InputError as error:  # a secret that cannot be used
            standing = Standing(wanted.host, self.name, problem=error.message, fix=error.fix)
        if standing is None or standing.username is not None:
            return standing
        return structs.replace(standing, username=assigned([wanted.host], inputs.settings)[wanted.host].username)


def assigned(hosts: Sequence[str], settings: Settings) -> dict[str, VaultLogin]:
    """The secrets of the project's key vault for each registry host.

    Args:
        hosts: all registry hosts of the manifest that have this source.
        settings: of the project.

    Raises:
        InputError: the section does not say which secret is for a host. A secret without a host is for one registry
            only, so that its password is never sent to a second registry because of a new image.
    """
    vault, where = _vault_of(settings), settings.file
    own = {comparable(name): login for name, login in vault.secrets.items()}
    others = list(dict.fromkeys(host for host in map(comparable, hosts) if host not in own))
    common = None
    if vault.name is not None:
        common = VaultLogin(name=vault.name, username=vault.username, username_secret=vault.username_secret)
    if others and common is None:
        what = f"registry.keyvault names no secret for registry {others[0]}"
        raise InputError(what, where=where, fix=f"add '{others[0]}: {{name: SECRET, username: …}}' under its 'secrets'")
    if len(others) > 1:
        what = f"registry.keyvault.name is one secret, but {' and '.join(others)} would both get it"
        fix = "assign a secret to each registry under registry.keyvault.secrets"
        raise InputError(what, where=where, fix=fix)
    return {host: login for host in hosts if (login := own.get(comparable(host), common)) is not None}


def _vault_in(registry: Registry) -> Vault | None:
    vault: Vault | None = registry.setting("keyvault")
    return vault


def _vault_of(settings: Settings) -> Vault:
    vault = _vault_in(settings.registry)
    if vault is None:
        raise AssertionError("a project in which a registry has the source keyvault has the key, see check")
    return vault


def _check(vault: Vault, registry: Registry, where: Where) -> None:
    for host in vault.secrets:
        check_host(host, where("keyvault", "secrets", host))
    place = where("keyvault")
    if vault.name is None and not vault.secrets:
        fix = "add 'name: SECRET', the secret that holds the password"
        raise InputError("registry.keyvault names no secret", where=place, fix=fix)
    if vault.name is not None:
        _check_user(vault, "registry.keyvault", place)
    elif vault.username is not None or vault.username_secret is not None:
        what = "registry.keyvault has a user name but no secret with its password"
        raise InputError(what, where=place, fix="add 'name: SECRET', or put the user name under 'secrets'")
    for host, login in vault.secrets.items():
        place = where("keyvault", "secrets", host)
        _check_user(login, f"registry.keyvault.secrets.{host}", place)
        source = registry.source_of(host)
        if source != KeyVault.name:
            what = f"registry.keyvault.secrets names {host}, whose source is {source}"
            fix = f"write '{host}: keyvault' under registry.sources, or remove it here"
            raise InputError(what, where=place, fix=fix)


def _check_user(login: Vault | VaultLogin, name: str, where: str) -> None:
    if (login.username is None) == (login.username_secret is None):
        what = f"{name} {'has no user name' if login.username is None else 'has two user names'}"
        raise InputError(what, where=where, fix="write either 'username: NAME' or 'username_secret: SECRET'")


def _read(login: VaultLogin, inputs: Inputs) -> Login:
    """A login from its secrets, with the expiry of the one that expires first."""
    vault, vaults, now = _vault_of(inputs.settings).vault, inputs.services.vaults, inputs.now
    found = vaults.secret(vault, login.name)
    password, expiries = Secret(_usable(found, vault, now)), [found.expiry]
    username = login.username or ""
    if login.username_secret is not None:
        other = vaults.secret(vault, login.username_secret)
        username = _usable(other, vault, now)
        expiries.append(other.expiry)
    options = f"--vault-name {_name(vault)} --name {login.name}"
    return Login(
        username,
        password,
        min((one for one in expiries if one is not None), default=None),
        f"secret {login.name} of key vault {vault}",
        f"set a new version with 'az keyvault secret set {options} --expires …', and deploy again",
    )


def _usable(found: VaultSecret, vault: str, now: datetime) -> str:
    """The value of a secret, if it is one line and currently valid."""
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
        what = f"the secret holds {form}, but it must hold a user name or a password alone"
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
    return vault.removeprefix("https://").partition(".")[0]
