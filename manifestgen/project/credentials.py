"""Which source a registry's credentials come from, and those that are on this machine: in the environment or a file.

Pure functions of what they are given; Azure is asked elsewhere.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.project.load import Project
from manifestgen.project.registry import DOCKER_HUB, comparable, source_in
from manifestgen.project.sections import KeyVault, Registry, Source, VaultLogin
from manifestgen.secret import Secret

USERNAME: Final = "ACR_USERNAME_"
PASSWORD: Final = "ACR_PASSWORD_"  # noqa: S105 - the beginning of a variable's name
_MAX_BYTES: Final = 1024 * 1024
# Holds no private images: whatever a Docker config.json has for it, no device needs it.
_NEVER_PRIVATE: Final = "mcr.microsoft.com"
# What `az acr login` logs Docker in as: its password is a token that lives for a few hours.
_ENTRA_USER: Final = "00000000-0000-0000-0000-000000000000"


class Login(Struct, frozen=True):
    """What a device logs in to a registry with."""

    username: str
    password: Secret


def settings(project: Project) -> Registry:
    """The project's section `registry`, or what it is left out for."""
    return project.registry or Registry()


def source_of(project: Project, host: str) -> Source:
    """The source that a project names for a registry's credential.

    Args:
        project: whose section `registry` decides: `sources` first, then `credentials`.
        host: as images name it.
    """
    return source_in(settings(project), host)


def is_asked_of_azure(project: Project, host: str) -> bool:
    """Whether a registry's credential comes over the network, rather than from this machine."""
    return source_of(project, host) in ("admin", "token", "keyvault")


def vault_of(project: Project) -> KeyVault:
    """The project's section `registry.keyvault`, which a project with the source keyvault has."""
    vault = settings(project).keyvault
    if vault is None:
        raise ValueError("no registry of the project has the source keyvault")
    return vault


def common_login(vault: KeyVault) -> VaultLogin | None:
    """The login in a key vault that is for no registry in particular."""
    if vault.name is None:
        return None
    return VaultLogin(name=vault.name, username=vault.username, username_secret=vault.username_secret)


def vault_logins(project: Project, hosts: Iterable[str]) -> dict[str, VaultLogin]:
    """Which secrets of the project's key vault are the logins of registry hosts.

    Args:
        project: with the section `registry.keyvault`.
        hosts: all registry hosts of the manifest whose source is keyvault.

    Raises:
        InputError: the section does not say which secret is for a host. A secret that it names for no registry in
            particular is for one: a password is not given to a second registry because an image happens to be there.
    """
    vault, where = vault_of(project), str(project.path)
    own = {comparable(name): login for name, login in vault.secrets.items()}
    hosts = tuple(hosts)
    others = list(dict.fromkeys(host for host in map(comparable, hosts) if host not in own))
    common = common_login(vault)
    if others and common is None:
        what = f"registry.keyvault names no secret for registry {others[0]}"
        raise InputError(what, where=where, fix=f"add '{others[0]}: {{name: SECRET, username: …}}' under its 'secrets'")
    if len(others) > 1:
        what = f"registry.keyvault.name is one secret, and {' and '.join(others)} would both get it"
        fix = "say under registry.keyvault.secrets which secret is for which registry"
        raise InputError(what, where=where, fix=fix)
    return {host: login for host in hosts if (login := own.get(comparable(host), common)) is not None}


def is_named(project: Project, host: str) -> bool:
    """Whether a project names a source for this very registry: then it gets a credential, however public it is."""
    registry = settings(project)
    names = (*registry.sources, *(registry.keyvault.secrets if registry.keyvault is not None else ()))
    return comparable(host) in map(comparable, names)


def variable_suffixes(hosts: Iterable[str]) -> dict[str, str]:
    """The `<NAME>` of `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>` for each registry host.

    The host's first label: `acme.azurecr.io` is `ACME`, Docker Hub is `DOCKER`, `$upstream:443` is `UPSTREAM`. Hosts
    that would share it have all of their name in it: `ACME_AZURECR_IO` and `ACME_AZURECR_CN`.
    """
    hosts = tuple(dict.fromkeys(hosts))
    short = {host: _variable(_name(host).partition(".")[0].partition(":")[0]) for host in hosts}
    taken = list(short.values())
    return {host: short[host] if taken.count(short[host]) == 1 else _variable(_name(host)) for host in hosts}


def on_this_machine(project: Project, hosts: Sequence[str], environ: Mapping[str, str]) -> dict[str, Login]:
    """The logins for registry hosts from the environment and the file, where those are the project's sources.

    A token's password is taken from the environment too, where a pipeline put it there.

    Args:
        project: whose `registry` section names the sources.
        hosts: all registry hosts that images of the manifest name; those with other sources are left out.
        environ: the environment variables.

    Raises:
        InputError: a user name without its password or the reverse, or the file is missing or cannot be understood.
    """
    sources = {host: source_of(project, host) for host in hosts if host.lower() != _NEVER_PRIVATE}
    suffixes = variable_suffixes(hosts)
    in_variables = [host for host, source in sources.items() if source in ("env", "token")]
    found = from_variables(in_variables, environ, "the environment", suffixes)
    in_file = [host for host, source in sources.items() if source == "file"]
    path = settings(project).file
    if in_file and path is not None:
        found |= from_file(path, in_file, suffixes)
    return found


def from_variables(
    hosts: Iterable[str], variables: Mapping[str, str], where: str, suffixes: Mapping[str, str] | None = None
) -> dict[str, Login]:
    """The logins for registry hosts from `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>`.

    Args:
        hosts: registry hosts that images name.
        variables: names to values; a blank value counts as none.
        where: they come from, for messages.
        suffixes: host to `<NAME>`; None to make them for these hosts alone.

    Raises:
        InputError: a user name without its password, or the reverse.
    """
    hosts = tuple(hosts)
    suffixes = variable_suffixes(hosts) if suffixes is None else suffixes
    logins: dict[str, Login] = {}
    for host in hosts:
        suffix = suffixes[host]
        username = variables.get(USERNAME + suffix, "").strip()
        password = variables.get(PASSWORD + suffix, "").strip()
        if bool(username) != bool(password):
            missing = (USERNAME if not username else PASSWORD) + suffix
            what = f"{missing} is not set, and its counterpart is"
            raise InputError(what, where=where, fix=f"set {missing}, for registry {host}")
        if username:
            logins[host] = Login(username, Secret(password))
    return logins


def from_file(path: Path, hosts: Iterable[str], suffixes: Mapping[str, str] | None = None) -> dict[str, Login]:
    """The logins for registry hosts from a mounted file.

    Args:
        path: of a Docker `config.json`, or of a file with lines `ACR_USERNAME_<NAME>=…` and `ACR_PASSWORD_<NAME>=…`.
        hosts: registry hosts that images name.
        suffixes: host to `<NAME>`; None to make them for these hosts alone.

    Raises:
        InputError: it is missing, or neither of the two; its content is never shown.
    """
    text = read_text(path, "registry credentials file", fix="mount it, or correct registry.file", limit=_MAX_BYTES)
    if text.lstrip().startswith("{"):
        return _from_docker(text, hosts, path)
    return from_variables(hosts, _lines(text, path), str(path), suffixes)


def _name(host: str) -> str:
    if host == DOCKER_HUB:
        return "docker"
    return host.partition("://")[2] if "://" in host else host.lstrip("$")


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper().strip("/"))


def _lines(text: str, path: Path) -> dict[str, str]:
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            fix = "write lines ACR_USERNAME_<NAME>=… and ACR_PASSWORD_<NAME>=…, or give a Docker config.json"
            raise InputError("not a line NAME=VALUE", where=f"{path}:{number}", fix=fix)
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        variables[name.strip()] = value
    return variables


def _from_docker(text: str, hosts: Iterable[str], path: Path) -> dict[str, Login]:
    where = str(path)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's own words may show what is in the file.
        raise InputError("not JSON, though it begins with '{'", where=where, fix="give a Docker config.json") from None
    stored = bool(config.get("credsStore"))
    # Docker leaves 'auths' out where it has never kept a password itself.
    entries = config.get("auths", {} if stored or config.get("credHelpers") else None)
    if not isinstance(entries, dict):
        raise InputError("this JSON has no 'auths'", where=where, fix="give a Docker config.json") from None
    by_host = {_docker_host(name): entry for name, entry in entries.items() if isinstance(entry, dict)}
    logins: dict[str, Login] = {}
    for host in hosts:
        entry = by_host.get(_docker_host(host))
        # Docker notes a login that it leaves to the store of all registries in 'auths', as an empty entry.
        helped = _has_helper(config, host) or (stored and entry is not None)
        if entry is None and not helped:
            continue
        login = _docker_login(entry or {}, host, where)
        if login is None:
            raise _no_login(entry or {}, host, where, helped=helped)
        if login.username == _ENTRA_USER:
            what = f"the login of {host} is that of 'az acr login', which lives for three hours"
            raise InputError(what, where=where, fix="use source token, or log in with a token's name and password")
        logins[host] = login
    return logins


def _has_helper(config: Mapping[str, Any], host: str) -> bool:
    """Whether Docker asks a program for this very host's password."""
    helpers = config.get("credHelpers")
    return isinstance(helpers, dict) and any(_docker_host(str(name)) == _docker_host(host) for name in helpers)


def _no_login(entry: Mapping[str, Any], host: str, where: str, *, helped: bool) -> InputError:
    """Why an entry of a Docker config.json is no user name and password."""
    if entry.get("identitytoken"):
        what = f"the entry of {host} is an identity token, which only Docker itself can log in with"
        return InputError(what, where=where, fix="use source token, or log in with a user name and a password")
    if helped:
        what = f"the password of {host} is in a credential helper, not in the file; helpers are not run"
        fix = f"log in with 'docker --config FOLDER login {host}' where no credential helper is set up"
        return InputError(what, where=where, fix=fix)
    what = f"the entry of {host} has no user name and password"
    return InputError(what, where=where, fix=f"log in again with 'docker --config FOLDER login {host}'")


def _docker_login(entry: Mapping[str, Any], host: str, where: str) -> Login | None:
    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        Secret(encoded)  # as base64 of both it is none of the forms that the password alone is known in
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            what = f"the 'auth' of {host} is not base64 of USER:PASSWORD"
            raise InputError(what, where=where, fix=f"log in again with 'docker login {host}'") from None
    if isinstance(username, str) and isinstance(password, str) and username.strip() and password.strip():
        return Login(username, Secret(password))
    return None


def _docker_host(name: str) -> str:
    """A name of `auths` as a host: Docker also writes `https://acme.azurecr.io/v2/`."""
    return comparable(name) if comparable(name) == "docker.io" else _name(name).partition("/")[0].lower()
