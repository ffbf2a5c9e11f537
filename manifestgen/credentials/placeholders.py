"""Fills in the placeholders that `render --secrets placeholder` writes in place of registry credentials."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.manifest.document import Document, with_data
from manifestgen.manifest.manifest import Manifest
from manifestgen.secret import Secret

_PLACEHOLDER: Final = re.compile(r"\$\{(ACR_(?:USERNAME|PASSWORD)_[A-Z0-9_]+)\}")


def fill_placeholders(
    document: Document,
    environ: Mapping[str, str],
    logins: Callable[[Manifest, Sequence[str]], Mapping[str, tuple[str, Secret]]] = lambda manifest, hosts: {},
) -> Document:
    """The document with `${ACR_USERNAME_…}` and `${ACR_PASSWORD_…}` in its registry credentials filled in.

    Args:
        document: places stay those of its text.
        environ: the environment variables, which win.
        logins: finds user name and password for registry hosts elsewhere; called once, with the hosts whose variables
            are not set.

    Raises:
        InputError: one of them is found nowhere, or blank: a device would reject the whole manifest.
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
                    fix=f"set {name}, or render with --secrets inline",
                )
            part.value[key] = value
    return with_data(document, data)


def _unset(entry: Any, environ: Mapping[str, str]) -> bool:
    return any(not environ.get(name, "").strip() for name in _names(entry).values())


def _names(entry: Any) -> dict[str, str]:
    """The fields of a registry credential that are placeholders, and the variables that they name."""
    if not isinstance(entry, dict):
        return {}
    found = {key: _PLACEHOLDER.fullmatch(value) for key, value in entry.items() if isinstance(value, str)}
    return {key: match[1] for key, match in found.items() if match}
