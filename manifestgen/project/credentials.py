"""Registry credentials that are on this machine: in the environment, or in a mounted file.

Pure functions of what they are given; Azure is asked elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.project.files import read_text
from manifestgen.project.load import Project
from manifestgen.secret import Secret

USERNAME: Final = "ACR_USERNAME_"
PASSWORD: Final = "ACR_PASSWORD_"  # noqa: S105 - the beginning of a variable's name
_MAX_BYTES: Final = 1024 * 1024
_DOCKER_HUB: Final = "https://index.docker.io/v1/"


class Login(Struct, frozen=True):
    """What a device logs in to a registry with."""

    username: str
    password: Secret


def variable_suffixes(hosts: Iterable[str]) -> dict[str, str]:
    """The `<NAME>` of `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>` for each registry host.

    The host's first label: `acme.azurecr.io` is `ACME`, Docker Hub is `DOCKER`. Hosts that would share it have all of
    their name in it: `ACME_AZURECR_IO` and `ACME_AZURECR_CN`.
    """
    hosts = tuple(dict.fromkeys(hosts))
    short = {host: _variable(_name(host).partition(".")[0].partition(":")[0]) for host in hosts}
    taken = list(short.values())
    return {host: short[host] if taken.count(short[host]) == 1 else _variable(_name(host)) for host in hosts}


def on_this_machine(project: Project, hosts: Iterable[str], environ: Mapping[str, str]) -> dict[str, Login] | None:
    """The logins for registry hosts from the source that the project file names; hosts without one are left out.

    Args:
        project: whose `registry` section names the source.
        hosts: registry hosts that images name.
        environ: the environment variables.

    Returns:
        None if the source is Azure.

    Raises:
        InputError: a user name without its password or the reverse, or the file is missing or cannot be understood.
    """
    registry = project.registry
    if registry is None or registry.credentials == "admin":
        return None
    if registry.credentials == "env":
        return from_variables(hosts, environ, "the environment")
    if registry.file is None:
        raise ValueError("credentials file without a file")
    return from_file(registry.file, hosts)


def from_variables(hosts: Iterable[str], variables: Mapping[str, str], where: str) -> dict[str, Login]:
    """The logins for registry hosts from `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>`.

    Args:
        hosts: registry hosts that images name.
        variables: names to values; a blank value counts as none.
        where: they come from, for messages.

    Raises:
        InputError: a user name without its password, or the reverse.
    """
    logins: dict[str, Login] = {}
    for host, suffix in variable_suffixes(hosts).items():
        username = variables.get(USERNAME + suffix, "").strip()
        password = variables.get(PASSWORD + suffix, "").strip()
        if bool(username) != bool(password):
            missing = (USERNAME if not username else PASSWORD) + suffix
            what = f"{missing} is not set, and its counterpart is"
            raise InputError(what, where=where, fix=f"set {missing}, for registry {host}")
        if username:
            logins[host] = Login(username, Secret(password))
    return logins


def from_file(path: Path, hosts: Iterable[str]) -> dict[str, Login]:
    """The logins for registry hosts from a mounted file.

    Args:
        path: of a Docker `config.json`, or of a file with lines `ACR_USERNAME_<NAME>=…` and `ACR_PASSWORD_<NAME>=…`.
        hosts: registry hosts that images name.

    Raises:
        InputError: it is missing, or neither of the two; its content is never shown.
    """
    text = read_text(path, "registry credentials file", fix="mount it, or correct registry.file", limit=_MAX_BYTES)
    if text.lstrip().startswith("{"):
        return _from_docker(text, hosts, path)
    return from_variables(hosts, _lines(text, path), str(path))


def _name(host: str) -> str:
    if host == _DOCKER_HUB:
        return "docker"
    return host.partition("://")[2] if "://" in host else host


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
    entries = config.get("auths")
    if not isinstance(entries, dict):
        raise InputError("this JSON has no 'auths'", where=where, fix="give a Docker config.json") from None
    by_host = {_docker_host(name): entry for name, entry in entries.items() if isinstance(entry, dict)}
    helpers = config.get("credHelpers")
    logins: dict[str, Login] = {}
    for host in hosts:
        entry = by_host.get(_docker_host(host))
        helped = "credsStore" in config or (isinstance(helpers, dict) and host in helpers)
        if entry is None and not helped:
            continue
        login = _docker_login(entry or {}, host, where)
        if login is None:
            what = (
                f"the password of {host} is in a credential helper, not in the file"
                if helped
                else (f"the entry of {host} has no user name and password")
            )
            fix = f"log in with 'docker --config FOLDER login {host}' where no credential helper is set up"
            raise InputError(what, where=where, fix=fix)
        logins[host] = login
    return logins


def _docker_login(entry: Mapping[str, Any], host: str, where: str) -> Login | None:
    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            what = f"the 'auth' of {host} is not base64 of USER:PASSWORD"
            raise InputError(what, where=where, fix=f"log in again with 'docker login {host}'") from None
    if isinstance(username, str) and isinstance(password, str) and username.strip() and password:
        return Login(username, Secret(password))
    return None


def _docker_host(name: str) -> str:
    """A name of `auths` as a host: Docker also writes `https://acme.azurecr.io/v2/`."""
    return name.lower() if name == _DOCKER_HUB else _name(name).partition("/")[0].lower()
