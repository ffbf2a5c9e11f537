"""Which registry credentials a manifest needs, and filling them in.

A device pulls an image with the credential whose address is the image's registry host, so that one entry per host that
an image names is exactly enough.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from manifestgen.manifest.credentials import key_for
from manifestgen.manifest.image import DOCKER_HUB, is_private
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.credentials import variable_suffixes
from manifestgen.secret import Secret


class Login(Protocol):
    """What a device logs in to a registry with; `cloud.Credential` is one."""

    @property
    def username(self) -> str:
        """User name."""
        ...

    @property
    def password(self) -> Secret | str:
        """Password; a plain text only if it is no secret but a placeholder for one."""
        ...


class Placeholder(Struct, frozen=True):
    """Stands for a login in a manifest that is to be kept or shown: the names of the variables that hold it."""

    username: str
    password: str


def image_hosts(manifest: Manifest) -> dict[str, str]:
    """The registry hosts that the manifest's images name, in their order: in lower case, and as first written."""
    hosts: dict[str, str] = {}
    for module in manifest.modules():
        host = module.image.host if module.image is not None else None
        if host is not None:
            hosts.setdefault(host.lower(), host)
    return hosts


def named_hosts(manifest: Manifest) -> tuple[str, ...]:
    """The registry hosts that the manifest's images name and that it has no credential for yet, in their order."""
    have = {_address(part.value).lower() for part in manifest.credential_entries()}
    return tuple(host for key, host in image_hosts(manifest).items() if key not in have)


def private_hosts(manifest: Manifest) -> tuple[str, ...]:
    """Those of `named_hosts` whose images cannot be pulled without logging in."""
    return tuple(host for host in named_hosts(manifest) if is_private(host))


def repositories(manifest: Manifest) -> dict[str, frozenset[str]]:
    """For each registry host that images name, in lower case, the repositories that they name there.

    What a device must be allowed to pull: `acme.azurecr.io/team/scorer:1` is `team/scorer` of `acme.azurecr.io`.
    """
    found: dict[str, set[str]] = {}
    for module in manifest.modules():
        host = module.image.host if module.image is not None else None
        if module.image is not None and host is not None:
            name = module.image.repository
            found.setdefault(host.lower(), set()).add(name if host == DOCKER_HUB else name.partition("/")[2])
    return {host: frozenset(names) for host, names in found.items()}


def placeholders(hosts: Iterable[str], suffixes: Mapping[str, str]) -> dict[str, Placeholder]:
    """For each host `${ACR_USERNAME_<NAME>}` and `${ACR_PASSWORD_<NAME>}`.

    Args:
        hosts: registry hosts.
        suffixes: host to NAME, see `project.credentials.variable_suffixes`.
    """
    return {
        host: Placeholder(f"${{ACR_USERNAME_{suffixes[host]}}}", f"${{ACR_PASSWORD_{suffixes[host]}}}")
        for host in hosts
    }


def entries(logins: Mapping[str, Login], taken: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """`registryCredentials` for these hosts, beside entries whose keys are `taken`."""
    found: dict[str, dict[str, str]] = {}
    keys = set(taken)
    for host, login in logins.items():
        password = login.password
        key = key_for(host, keys)
        keys.add(key)
        found[key] = {
            "address": host,
            "username": login.username,
            "password": password.reveal() if isinstance(password, Secret) else password,
        }
    return found


def fill(manifest: Manifest, logins: Mapping[str, Login]) -> bool:
    """Add what is missing to the `registryCredentials` of a manifest, in place.

    A layered manifest stays as it is: its base deployment has the credentials, unless its template puts them in.

    Returns:
        Whether anything was added.
    """
    by_host = {host.lower(): login for host, login in logins.items()}
    wanted = {host: by_host[host.lower()] for host in named_hosts(manifest) if host.lower() in by_host}
    runtime = manifest.agent.find("runtime")
    if not wanted or manifest.layered or runtime is None or not isinstance(runtime.value, dict):
        return False
    settings = runtime.value.setdefault("settings", {})
    credentials = settings.setdefault("registryCredentials", {}) if isinstance(settings, dict) else None
    if not isinstance(credentials, dict):
        return False
    credentials.update(entries(wanted, credentials))
    return True


def with_placeholders(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's content with placeholders for the user name and password of each registry credential."""
    result = copy.deepcopy(dict(content))
    credentials = [part.value for part in Manifest.of(result).credential_entries() if isinstance(part.value, dict)]
    suffixes = variable_suffixes(_address(entry) for entry in credentials)
    for entry in credentials:
        login = placeholders([_address(entry)], suffixes)[_address(entry)]
        entry.update(username=login.username, password=login.password)
    return result


def _address(entry: Any) -> str:
    return str(entry.get("address", "")) if isinstance(entry, dict) else ""
