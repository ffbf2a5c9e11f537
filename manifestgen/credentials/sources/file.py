"""The source `file`: a mounted file of variables, or a Docker `config.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from manifestgen.credentials import variables
from manifestgen.credentials.hosts import comparable
from manifestgen.credentials.source import Inputs, Login, Registry, Settings, Source, Wanted, Where
from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.secret import Secret

_MAX_BYTES: Final = 1024 * 1024
# The user name of `az acr login`, whose password is a token that expires after a few hours.
_ENTRA_USER: Final = "00000000-0000-0000-0000-000000000000"


class File(Source):
    """A file that is mounted beside the project or beside the pipeline."""

    name = "file"
    summary = "a mounted file"
    place = "the file"
    found = "file"
    settings = {  # noqa: RUF012 - annotated in the base class
        "file": (
            Annotated[
                Path | None,
                Meta(
                    description="For the source file: a Docker config.json, or lines ACR_USERNAME_<NAME>=… and "
                    "ACR_PASSWORD_<NAME>=…"
                ),
            ],
            None,
        )
    }

    def check(self, registry: Registry, where: Where) -> None:
        """Require the key `file` if, and only if, a registry uses the source."""
        given = registry.setting("file") is not None
        if given and not registry.uses(self.name):
            what = f"registry.file is given, but registry.credentials is {registry.credentials}"
            raise InputError(what, where=where(), fix="write 'credentials: file', or remove the file")
        if registry.uses(self.name) and not given:
            raise InputError("registry.file is missing; source file needs it", where=where(), fix="add 'file: PATH'")

    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """The logins in the file.

        Raises:
            InputError: the file is missing or cannot be understood; its content is never shown.
        """
        path: Path = inputs.settings.registry.setting("file")
        return read(path, wanted)

    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """The path of the file."""
        path = settings.registry.setting("file")
        return f"add {wanted.host} with its user name and password to {path}; credential helpers are not run"


def read(path: Path, wanted: Sequence[Wanted]) -> dict[str, Login]:
    """The logins for registry hosts from a mounted file.

    Args:
        path: of a Docker `config.json`, or of a file with lines `ACR_USERNAME_<NAME>=…` and `ACR_PASSWORD_<NAME>=…`.
        wanted: the hosts.

    Raises:
        InputError: it is missing, or is neither of the two; its content is never shown.
    """
    text = read_text(path, "registry credentials file", fix="mount it, or correct registry.file", limit=_MAX_BYTES)
    if text.lstrip().startswith("{"):
        return _from_docker(text, [one.host for one in wanted], path)
    lines = _lines(text, path)
    found = {one.host: variables.login(one.host, one.suffix, lines, str(path)) for one in wanted}
    return {host: Login(*login) for host, login in found.items() if login is not None}


def _lines(text: str, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
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
        found[name.strip()] = value
    return found


def _from_docker(text: str, hosts: Iterable[str], path: Path) -> dict[str, Login]:
    where = str(path)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's message may quote the file.
        raise InputError("not JSON, though it begins with '{'", where=where, fix="give a Docker config.json") from None
    stored = bool(config.get("credsStore"))
    # Docker leaves 'auths' out if it has never stored a password itself.
    entries = config.get("auths", {} if stored or config.get("credHelpers") else None)
    if not isinstance(entries, dict):
        raise InputError("this JSON has no 'auths'", where=where, fix="give a Docker config.json") from None
    by_host = {_docker_host(name): entry for name, entry in entries.items() if isinstance(entry, dict)}
    logins: dict[str, Login] = {}
    for host in hosts:
        entry = by_host.get(_docker_host(host))
        # For a login in the credential store, Docker writes an empty entry in 'auths'.
        helped = _has_helper(config, host) or (stored and entry is not None)
        if entry is None and not helped:
            continue
        login = _docker_login(entry or {}, host, where)
        if login is None:
            raise _no_login(entry or {}, host, where, helped=helped)
        if login.username == _ENTRA_USER:
            what = f"the login of {host} comes from 'az acr login' and expires after three hours"
            raise InputError(what, where=where, fix="use source token, or log in with a token's name and password")
        logins[host] = login
    return logins


def _has_helper(config: Mapping[str, Any], host: str) -> bool:
    """Whether Docker gets this host's password from a credential helper."""
    helpers = config.get("credHelpers")
    return isinstance(helpers, dict) and any(_docker_host(str(name)) == _docker_host(host) for name in helpers)


def _no_login(entry: Mapping[str, Any], host: str, where: str, *, helped: bool) -> InputError:
    """Why an entry of a Docker config.json has no user name and password."""
    if entry.get("identitytoken"):
        what = f"the entry of {host} is an identity token, which only Docker itself can log in with"
        return InputError(what, where=where, fix="use source token, or log in with a user name and a password")
    if helped:
        what = f"the password of {host} is in a credential helper, not in the file; credential helpers are not run"
        fix = f"log in with 'docker --config FOLDER login {host}' in a FOLDER that has no config.json yet"
        return InputError(what, where=where, fix=fix)
    what = f"the entry of {host} has no user name and password"
    return InputError(what, where=where, fix=f"log in again with 'docker --config FOLDER login {host}'")


def _docker_login(entry: Mapping[str, Any], host: str, where: str) -> Login | None:
    import base64

    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        Secret(encoded)  # base64 of user name and password is not among the forms that the password alone registers
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
    if comparable(name) == "docker.io":
        return "docker.io"
    name = name.partition("://")[2] if "://" in name else name.lstrip("$")
    return name.partition("/")[0].lower()
