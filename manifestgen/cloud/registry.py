"""Azure Container Registry: registries, their admin users and their tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from manifestgen.secret import Secret


@dataclass(frozen=True)
class RegistryInfo:
    """A container registry as ARM describes it.

    Attributes:
        id: full ARM id.
        login_server: the host that images are named by, such as `acme.azurecr.io`.
    """

    id: str
    login_server: str
    admin_enabled: bool


class Login(Protocol):
    """A user name and a password; `Credential` is one."""

    @property
    def username(self) -> str:
        """User name."""
        ...

    @property
    def password(self) -> Secret:
        """Password."""
        ...


@dataclass(frozen=True)
class Credential:
    """The user name and password with which a device logs in to a registry."""

    address: str
    username: str
    password: Secret


@dataclass(frozen=True)
class TokenPassword:
    """One of the two passwords that a token may have; its value is shown only once, at its creation.

    Attributes:
        name: `password1` or `password2`.
        expiry: None if it never expires.
    """

    name: str
    created: datetime | None = None
    expiry: datetime | None = None


@dataclass(frozen=True)
class Token:
    """A repository-scoped token of a registry: a user name with the permissions of its scope map.

    Attributes:
        scope_map: name of its scope map.
        passwords: those that exist, including expired ones.
    """

    registry: RegistryInfo
    name: str
    scope_map: str
    enabled: bool = True
    passwords: tuple[TokenPassword, ...] = ()


@dataclass(frozen=True)
class NewPassword:
    """A newly created password of a token.

    Attributes:
        name: `password1` or `password2`.
        expiry: None if it never expires.
    """

    name: str
    value: Secret
    expiry: datetime | None = None


class Registry(Protocol):
    """The container registries that the caller can read."""

    def by_id(self, arm_id: str) -> RegistryInfo:
        """The registry with this full ARM id, in any resource group or subscription. Raises NotFoundError."""
        ...

    def nearby(self, login_server: str) -> RegistryInfo | None:
        """The registry with this login server, if it is already known or in the project's own subscription."""
        ...

    def by_host(self, login_server: str) -> RegistryInfo:
        """The registry with this login server, in any subscription. Raises NotFoundError."""
        ...

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        """User name and first password of the admin user. Raises DeniedError if the admin user is disabled."""
        ...

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        """Enable the admin user."""
        ...

    def scope_map(self, registry: RegistryInfo, name: str) -> frozenset[str] | None:
        """The actions of a scope map, such as `repositories/scorer/content/read`; None if it does not exist."""
        ...

    def put_scope_map(self, registry: RegistryInfo, name: str, actions: Collection[str]) -> None:
        """Create a scope map, or replace the actions of an existing one."""
        ...

    def token(self, registry: RegistryInfo, name: str) -> Token | None:
        """A token; None if it does not exist."""
        ...

    def create_token(self, registry: RegistryInfo, name: str, scope_map: str) -> Token:
        """Create a token without passwords for a scope map. An existing token is not changed."""
        ...

    def generate_password(self, token: Token, name: str, expiry: datetime | None) -> NewPassword:
        """Replace `password1` or `password2` of a token; its previous value no longer works."""
        ...

    def drop_password(self, token: Token, name: str) -> None:
        """Delete `password1` or `password2` of a token, if it exists."""
        ...

    def digest(self, image: str, credential: Credential | None) -> str | None:
        """`sha256:…` of an image, read from its registry with this credential; None if there is no such image."""
        ...
