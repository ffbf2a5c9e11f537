"""Finds and replaces a token's login in the registry credentials of a manifest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import get, key_of
from manifestgen.manifest.section import DESIRED
from manifestgen.secret import Secret


@dataclass(frozen=True)
class Login:
    """The login that manifests should have.

    Attributes:
        registry: the login server.
        username: the token's name.
        password: the new one.
    """

    registry: str
    username: str
    password: Secret

    def passwords_in(self, content: Mapping[str, Any]) -> list[str]:
        """The passwords for this user and registry in a manifest; more than one only if it has two entries.

        Args:
            content: `{"modulesContent": …}`.
        """
        return [str(entry[key]) for entry, key in _places(content, self)]

    def is_in(self, content: Mapping[str, Any]) -> bool:
        """Whether a manifest uses this user, and only with the new password."""
        found = self.passwords_in(content)
        return bool(found) and all(password == self.password.reveal() for password in found)

    def put_into(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """A manifest's content with only the password for this user and registry changed."""
        result = copy.deepcopy(dict(content))
        for entry, key in _places(result, self):
            entry[key] = self.password.reveal()
        return result


def agent_content(runtime: Any) -> dict[str, Any]:
    """The content of a manifest with only `$edgeAgent`'s `runtime`, as returned by a query."""
    return {"modulesContent": {"$edgeAgent": {DESIRED: {"runtime": runtime}}}}


def images_of(content: Mapping[str, Any], registry: str) -> list[str]:
    """The images of a manifest that come from a registry."""
    modules = Manifest.of(content).modules()
    return [one.image.text for one in modules if one.image is not None and (one.image.host or "").lower() == registry]


def _places(content: Mapping[str, Any], login: Login) -> list[tuple[dict[str, Any], str]]:
    """The entries for this user and registry, with the key of each password, whose case edgeAgent ignores."""
    found: list[tuple[dict[str, Any], str]] = []
    for part in Manifest.of(content).credential_entries():
        entry = part.value
        if not isinstance(entry, dict):
            continue
        address, username, key = get(entry, "address"), get(entry, "username"), key_of(entry, "password")
        same = (str(address).lower(), str(username).lower()) == (login.registry.lower(), login.username.lower())
        if same and key is not None:
            Secret(str(entry[key]))  # hidden in all output from here on
            found.append((entry, key))
    return found
