"""The section `registry`: which source it names for which host, and what must be true of it beyond each key's form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from manifestgen.errors import InputError
from manifestgen.project.sections import KeyVault, Registry, Source, VaultLogin
from manifestgen.project.source import Source as Document

# Docker's names of a registry, its own hub in full, and the parent of a nested device.
_HOST: Final = r"(https://index\.docker\.io/v1/)|(\$upstream|[A-Za-z0-9][A-Za-z0-9.-]*)(:[0-9]{1,5})?"

DOCKER_HUB: Final = "https://index.docker.io/v1/"
# Under any of these names images and people mean Docker Hub.
_DOCKER_NAMES: Final = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})


def comparable(host: str) -> str:
    """A registry host as it is compared with another: in lower case, and Docker Hub under one name."""
    host = host.lower()
    return "docker.io" if host in _DOCKER_NAMES else host


def source_in(registry: Registry, host: str) -> Source:
    """The source of a registry host: the one in `sources`, else that of all."""
    named = (source for name, source in registry.sources.items() if comparable(name) == comparable(host))
    return next(named, registry.credentials)


def check_registry(document: Document, registry: Registry) -> None:
    """Compare the keys of the section with each other.

    Args:
        document: the project file, for the places of mistakes.
        registry: its section.

    Raises:
        InputError: a registry is no host, a source lacks what it needs, or something is given for a source that no
            registry has.
    """
    _check_hosts(document, registry.sources, "sources")
    where = document.where(("registry",), key=True)
    used = (registry.credentials, *registry.sources.values())
    if "file" not in used:
        if registry.file is not None:
            what = f"registry.file is given, and registry.credentials is {registry.credentials}"
            raise InputError(what, where=where, fix="write 'credentials: file', or remove the file")
    elif registry.file is None:
        raise InputError("registry.file is missing; source file needs it", where=where, fix="add 'file: PATH'")
    if "keyvault" not in used:
        if registry.keyvault is not None:
            what = f"registry.keyvault is given, and registry.credentials is {registry.credentials}"
            raise InputError(what, where=where, fix="write 'credentials: keyvault', or remove the key vault")
    elif registry.keyvault is None:
        fix = "add 'keyvault: {vault: NAME, name: SECRET, username: …}'"
        raise InputError("registry.keyvault is missing; source keyvault needs it", where=where, fix=fix)
    if registry.keyvault is not None:
        _check_vault(document, registry, registry.keyvault)


def _check_hosts(document: Document, hosts: Iterable[str], *keys: str) -> None:
    for host in hosts:
        if not re.fullmatch(_HOST, host):
            where = document.where(("registry", *keys, host), key=True)
            fix = "write it as images name it, such as acme.azurecr.io, docker.io or localhost:5000"
            raise InputError(f"{host!r} is no host of a registry", where=where, fix=fix)


def _check_vault(document: Document, registry: Registry, vault: KeyVault) -> None:
    _check_hosts(document, vault.secrets, "keyvault", "secrets")
    where = document.where(("registry", "keyvault"), key=True)
    if vault.name is None and not vault.secrets:
        what = "registry.keyvault names no secret"
        raise InputError(what, where=where, fix="add 'name: SECRET', the secret that holds the password")
    if vault.name is not None:
        _check_user(vault, "registry.keyvault", where)
    elif vault.username is not None or vault.username_secret is not None:
        what = "registry.keyvault has a user name and no secret with its password"
        raise InputError(what, where=where, fix="add 'name: SECRET', or put the user name under 'secrets'")
    for host, login in vault.secrets.items():
        place = document.where(("registry", "keyvault", "secrets", host), key=True)
        _check_user(login, f"registry.keyvault.secrets.{host}", place)
        source = source_in(registry, host)
        if source != "keyvault":
            what = f"registry.keyvault.secrets names {host}, whose source is {source}"
            raise InputError(
                what, where=place, fix=f"write '{host}: keyvault' under registry.sources, or remove it here"
            )


def _check_user(login: KeyVault | VaultLogin, name: str, where: str) -> None:
    if (login.username is None) == (login.username_secret is None):
        what = f"{name} {'has no user name' if login.username is None else 'has two user names'}"
        raise InputError(what, where=where, fix="write either 'username: NAME' or 'username_secret: SECRET'")
