"""The fields that we use in Azure Resource Manager's responses about container registries, validated."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from manifestgen.azure import arm
from manifestgen.azure.answer import decoded, not_understood
from manifestgen.cloud import RegistryInfo, Token, TokenPassword
from manifestgen.errors import InputError

_ARM_ID: Final = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.ContainerRegistry/registries/(?P<name>[^/]+)",
    re.IGNORECASE,
)


class _Registry(msgspec.Struct):
    """The fields that we use of an SDK's `Registry`."""

    id: str
    login_server: str
    admin_user_enabled: bool | None = None


class _Password(msgspec.Struct):
    """The fields that we use of an SDK's passwords, of the admin user and of tokens."""

    name: str | None = None  # in later versions of the SDK an enum, whose str() differs
    value: str | None = None
    creation_time: datetime | None = None
    expiry: datetime | None = None

    def __repr__(self) -> str:
        return f"_Password({self.name!r})"


class Passwords(msgspec.Struct):
    """The fields that we use of `list_credentials` and `generate_credentials`, and of a token's credentials."""

    username: str | None = None
    passwords: list[_Password] | None = None


class _Token(msgspec.Struct):
    """The fields that we use of an SDK's `Token`."""

    name: str
    scope_map_id: str | None = None
    status: str | None = None
    credentials: Passwords | None = None


class ScopeMap(msgspec.Struct):
    """The fields that we use of an SDK's `ScopeMap`."""

    actions: list[str] | None = None


class _Subscription(msgspec.Struct, rename="camel"):
    subscription_id: str


class Subscriptions(msgspec.Struct, rename="camel"):
    """A page of the caller's subscriptions."""

    value: list[_Subscription]
    next_link: str | None = None


def registry_info(found: Any, where: str) -> RegistryInfo:
    """The registry that an SDK's `Registry` describes. Raises CloudError if it is not understood."""
    registry = decoded(found, _Registry, service=arm.NAME, where=where)
    if not _ARM_ID.fullmatch(registry.id):
        raise not_understood(arm.NAME, where, "expected the ID of a container registry at $.id")
    return RegistryInfo(registry.id, registry.login_server, bool(registry.admin_user_enabled))


def token_of(registry: RegistryInfo, found: Any, where: str) -> Token:
    """The token that an SDK's `Token` describes. Raises CloudError if it is not understood."""
    token = decoded(found, _Token, service=arm.NAME, where=where)
    passwords = token.credentials.passwords if token.credentials else None
    return Token(
        registry,
        token.name,
        (token.scope_map_id or "").rpartition("/")[2],
        token.status != "disabled",
        tuple(
            TokenPassword(getattr(one.name, "value", one.name) or "", one.creation_time, one.expiry)
            for one in passwords or ()
        ),
    )


def place_of(arm_id: str) -> dict[str, str]:
    """The `subscription`, `group` and `name` in a registry's ID. Raises InputError if it is not one."""
    match = _ARM_ID.fullmatch(arm_id.strip())
    if match is None:
        raise InputError(
            f"{arm_id!r} is not the ID of a container registry",
            fix="give it as /subscriptions/…/resourceGroups/…/providers/Microsoft.ContainerRegistry/registries/NAME",
        )
    return match.groupdict()
