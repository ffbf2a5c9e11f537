"""Placeholders for logins in a manifest that is committed or printed: written by `render`, filled in by `apply`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from manifestgen.credentials.variables import PASSWORD, USERNAME, suffixes
from manifestgen.errors import InputError
from manifestgen.manifest.document import Document, with_data
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import OURS
from manifestgen.manifest.registries import address_of
from manifestgen.secret import Secret


class Placeholder(Struct, frozen=True):
    """The placeholder for a login: `${…}` with the names of its variables."""

    username: str
    password: str


def placeholders(hosts: Iterable[str], named: Iterable[str]) -> dict[str, Placeholder]:
    """`${ACR_USERNAME_<NAME>}` and `${ACR_PASSWORD_<NAME>}` for each of these hosts.

    Args:
        hosts: registry hosts.
        named: all registry hosts of the manifest, on which the names of the variables depend.
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


def fill_placeholders(
    document: Document,
    environ: Mapping[str, str],
    logins: Callable[[Manifest, Sequence[str]], Mapping[str, tuple[str, Secret]]] = lambda manifest, hosts: {},
) -> Document:
    """The document with `${ACR_USERNAME_…}` and `${ACR_PASSWORD_…}` in its registry credentials filled in.

    Args:
        document: its places in the text are kept.
        environ: the environment variables, which take precedence.
        logins: finds other logins for registry hosts; called once, with the hosts whose variables are not set.

    Raises:
        InputError: one is missing or blank: a device would reject the whole manifest.
    """
    if document.manifest is None or not any(_names(part.value) for part in document.manifest.credential_entries()):
        return document
    data = copy.deepcopy(document.data)
    entries = Manifest.of(data).credential_entries()
    hosts = [str(part.value.get("address", "")) for part in entries if _unset(part.value, environ)]
    found = logins(document.manifest, hosts) if hosts else {}
    for part in entries:
        login = found.get(str(part.value.get("address", ""))) if isinstance(part.value, dict) else None
        for key, name in _names(part.value).items():
            value = environ.get(name, "")
            if not value.strip() and login is not None:
                value = login[1].reveal() if name.startswith("ACR_PASSWORD_") else login[0]
            if not value.strip():
                raise InputError(
                    f"{name} is not set, and registry credential {part.name!r} needs it",
                    where=document.name,
                    fix=f"set {name}, or render it again with 'manifestgen render --secrets inline'",
                )
            part.value[key] = value
    return with_data(document, data)


def _unset(entry: Any, environ: Mapping[str, str]) -> bool:
    return any(not environ.get(name, "").strip() for name in _names(entry).values())


def _names(entry: Any) -> dict[str, str]:
    """The fields of a registry credential that are placeholders, and the variables that they name."""
    if not isinstance(entry, dict):
        return {}
    found = {key: re.fullmatch(OURS, value) for key, value in entry.items() if isinstance(value, str)}
    return {key: match[1] for key, match in found.items() if match}
