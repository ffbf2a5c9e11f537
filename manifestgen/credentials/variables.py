"""Names and reads the variables `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from manifestgen.errors import InputError
from manifestgen.manifest.image import DOCKER_HUB
from manifestgen.secret import Secret

USERNAME: Final = "ACR_USERNAME_"
PASSWORD: Final = "ACR_PASSWORD_"  # noqa: S105 - the beginning of a variable's name


def suffixes(hosts: Iterable[str]) -> dict[str, str]:
    """The `<NAME>` of `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>` for each registry host.

    The host's first label: `acme.azurecr.io` is `ACME`, Docker Hub is `DOCKER`, `$upstream:443` is `UPSTREAM`. Hosts
    that would share it are named in full: `ACME_AZURECR_IO` and `ACME_AZURECR_CN`.
    """
    hosts = tuple(dict.fromkeys(hosts))
    short = {host: _variable(_name(host).partition(".")[0].partition(":")[0]) for host in hosts}
    taken = list(short.values())
    return {host: short[host] if taken.count(short[host]) == 1 else _variable(_name(host)) for host in hosts}


def login(host: str, suffix: str, variables: Mapping[str, str], where: str) -> tuple[str, Secret] | None:
    """User name and password for a registry host; None if neither variable is set.

    Args:
        host: for messages.
        suffix: the `<NAME>` of its variables.
        variables: names to values; a blank value counts as none.
        where: their origin, for messages.

    Raises:
        InputError: only one of the two is set.
    """
    username = variables.get(USERNAME + suffix, "").strip()
    password = variables.get(PASSWORD + suffix, "").strip()
    if bool(username) != bool(password):
        missing, present = USERNAME + suffix, PASSWORD + suffix
        if username:
            missing, present = present, missing
        fix = f"set {missing}, for registry {host}"
        raise InputError(f"{present} is set, but {missing} is not", where=where, fix=fix)
    return (username, Secret(password)) if username else None


def lines(logins: Mapping[str, tuple[str, Secret | None]], named: Iterable[str]) -> str:
    """User names and passwords as lines `NAME=VALUE`, which the source `file` reads; none without a password.

    Args:
        logins: registry host to user name and password.
        named: all registry hosts of the manifest, on which the names of the variables depend.
    """
    names = suffixes(named)
    found = []
    for host, (username, password) in logins.items():
        if password is not None:
            found += [f"{USERNAME}{names[host]}={username}", f"{PASSWORD}{names[host]}={password.reveal()}"]
    return "\n".join(found) + "\n"


def _name(host: str) -> str:
    if host == DOCKER_HUB:
        return "docker"
    return host.partition("://")[2] if "://" in host else host.lstrip("$")


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper().strip("/"))
