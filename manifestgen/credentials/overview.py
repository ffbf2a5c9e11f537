"""What a project logs in to each of its registries with: source, user name, expiry, and never a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from manifestgen.cloud import Registry, RegistryInfo, Token, Vaults
from manifestgen.credentials import kept as keeping
from manifestgen.credentials.token import is_current, live, name_of
from manifestgen.credentials.vault import read
from manifestgen.errors import ManifestgenError
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import Project
from manifestgen.project.credentials import (
    on_this_machine,
    settings,
    source_of,
    variable_suffixes,
    vault_logins,
    vault_of,
)
from manifestgen.project.sections import Source, VaultLogin
from manifestgen.render import named_hosts, needed_hosts


@dataclass(frozen=True)
class Standing:
    """What a project logs in to a registry with.

    Attributes:
        host: as images name it.
        username: None if it is not known yet.
        found: where the password is: `environment`, `file`, `state folder`, `Azure`, `key vault`, or `nowhere`.
        expiry: of the password; None if it never expires or is not known.
        admin: whether the registry's admin user is on; None if that is not known or it is no Azure registry.
        problem: what keeps a device from logging in, or what could not be found out.
        fix: what to do about it.
        refused: whether the registry does not take the password any more.
    """

    host: str
    source: Source
    username: str | None = None
    found: str = "nowhere"
    expiry: datetime | None = None
    admin: bool | None = None
    problem: str = ""
    fix: str = ""
    refused: bool = False

    @property
    def usable(self) -> bool:
        """Whether a device could log in with it, as far as is known."""
        return not self.refused and not (self.problem and self.found == "nowhere")


def overview(
    project: Project,
    manifest: Manifest,
    registry: Callable[[], Registry],
    registry_of: Callable[[str], RegistryInfo],
    vaults: Callable[[], Vaults],
    environ: Mapping[str, str],
    root: Path,
    now: datetime,
) -> Iterator[Standing]:
    """Look at each registry of a manifest that needs a credential.

    Args:
        manifest: without credentials, as its template alone gives it.
        registry: asked for the adapter only if an Azure registry is looked at.
        registry_of: finds the Azure registry behind a host.
        vaults: asked for the adapter only if the source of a registry is keyvault.
        environ: the environment variables.
        root: the user's state folder.

    Raises:
        InputError: half of a login is set in the environment, the file cannot be understood, or the project does not
            say which secret of its key vault is for which registry.
    """
    hosts = named_hosts(manifest)
    needed = needed_hosts(project, manifest)
    logins = on_this_machine(project, hosts, environ)
    in_vault = [host for host in needed if source_of(project, host) == "keyvault"]
    secrets = vault_logins(project, in_vault) if in_vault else {}
    for host in hosts:
        if host not in logins and host not in needed:
            continue
        source = source_of(project, host)
        one = Standing(host, source)
        if host in logins:
            one = replace(one, username=logins[host].username, found="file" if source == "file" else "environment")
        elif source == "token":
            one = _kept(one, name_of(project), root, now)
        elif source == "keyvault":
            one = _read(one, secrets[host], vault_of(project).vault, vaults, now)
        elif source in ("env", "file"):
            suffix = variable_suffixes(hosts)[host]
            fix = f"set ACR_USERNAME_{suffix} and ACR_PASSWORD_{suffix}"
            fix = fix if source == "env" else f"add {host} to {settings(project).file}"
            one = replace(one, problem="no user name and password", fix=fix)
        if source in ("admin", "token") or ".azurecr." in host:
            one = _asked(one, registry, registry_of, root, now)
        yield one


def _read(one: Standing, login: VaultLogin, vault: str, vaults: Callable[[], Vaults], now: datetime) -> Standing:
    one = replace(one, username=login.username)
    try:
        found = read(one.host, login, vault, vaults(), now)
    except ManifestgenError as error:
        return replace(one, problem=error.message, fix=error.fix)
    return replace(one, username=found.credential.username, found="key vault", expiry=found.expiry)


def _kept(one: Standing, name: str, root: Path, now: datetime) -> Standing:
    known = keeping.latest(root, one.host, name)
    if known is None:
        fix = "run 'manifestgen credentials create-token'"
        return replace(one, username=name, problem="no password of the token is kept on this machine", fix=fix)
    one = replace(one, username=name, found="state folder", expiry=known.expiry)
    return _if_expired(one, now)


def _asked(
    one: Standing,
    registry: Callable[[], Registry],
    registry_of: Callable[[str], RegistryInfo],
    root: Path,
    now: datetime,
) -> Standing:
    """With what Azure says of the registry, and of the token if the user name is one."""
    try:
        info = registry_of(one.host)
        one = replace(one, admin=info.admin_enabled)
        if one.source == "admin":
            one = replace(one, username=info.id.rpartition("/")[2], found="Azure")
            if not info.admin_enabled:
                fix = "use source token, or switch it on with --enable-admin of 'manifestgen deploy'"
                return replace(one, found="nowhere", problem="the admin user is off", fix=fix)
            return one
        token = registry().token(info, one.username) if one.username else None
    except ManifestgenError as error:
        return one if one.problem else replace(one, problem=error.message, fix=error.fix)
    if token is None:
        if one.source == "token":
            fix = "run 'manifestgen credentials create-token'"
            return replace(one, problem=f"the registry has no token {one.username}", fix=fix, refused=True)
        return one
    return _if_expired(_compared(one, token, root, now), now)


def _compared(one: Standing, token: Token, root: Path, now: datetime) -> Standing:
    """With the expiry of the token's password: the one that is kept here, or the only one that it may be."""
    if not token.enabled:
        return replace(one, problem="the token is disabled", fix="enable it in the registry", refused=True)
    known = keeping.latest(root, one.host, token.name) if one.found == "state folder" else None
    if known is not None:
        if is_current(token, known):
            return one
        fix = "make another one and put it on the devices with 'manifestgen credentials rotate'"
        what = "the password that is kept here was replaced or dropped elsewhere"
        return replace(one, problem=what, fix=fix, refused=True)
    alive = [password.expiry for password in live(token, now).values()]
    expiries = [expiry for expiry in alive if expiry is not None]
    if one.expiry is None and expiries and len(expiries) == len(alive):
        return replace(one, expiry=min(expiries))
    return one


def _if_expired(one: Standing, now: datetime) -> Standing:
    if one.expiry is None or one.expiry > now or one.problem:
        return one
    fix = "make another one and put it on the devices with 'manifestgen credentials rotate'"
    return replace(one, problem=f"the password expired on {one.expiry:%Y-%m-%d}", fix=fix, refused=True)
