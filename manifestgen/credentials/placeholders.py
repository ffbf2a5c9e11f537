"""Placeholders for logins in a manifest that is to be committed or shown."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from manifestgen.credentials.variables import PASSWORD, USERNAME, suffixes
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import address_of


class Placeholder(Struct, frozen=True):
    """Stands for a login: `${…}` with the names of the variables that hold it."""

    username: str
    password: str


def placeholders(hosts: Iterable[str], named: Iterable[str]) -> dict[str, Placeholder]:
    """`${ACR_USERNAME_<NAME>}` and `${ACR_PASSWORD_<NAME>}` for each of these hosts.

    Args:
        hosts: registry hosts.
        named: all registry hosts of the manifest, which the names of the variables depend on.
    """
    names = suffixes(named)
    return {host: Placeholder(f"${{{USERNAME}{names[host]}}}", f"${{{PASSWORD}{names[host]}}}") for host in hosts}


def with_placeholders(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's content with placeholders for the user name and password of each registry credential."""
    result = copy.deepcopy(dict(content))
    credentials = [part.value for part in Manifest.of(result).credential_entries() if isinstance(part.value, dict)]
    addresses = [address_of(entry) for entry in credentials]
    names = placeholders(addresses, addresses)
    for entry in credentials:
        login = names[address_of(entry)]
        entry.update(username=login.username, password=login.password)
    return result
