"""Adds registry credentials to a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from manifestgen.manifest.credentials import key_for
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import named_hosts
from manifestgen.secret import Secret


class Login(Protocol):
    """The user name and password with which a device logs in to a registry."""

    @property
    def username(self) -> str:
        """User name."""
        ...

    @property
    def password(self) -> Secret | str:
        """Password; a plain string only for a placeholder."""
        ...


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
    """Add missing entries to the `registryCredentials` of a manifest, in place.

    A layered manifest is not changed: its base deployment has the credentials, unless the template writes them.

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
