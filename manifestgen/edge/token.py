"""Shared access signatures of modules, as edgeHub checks them.

Source: Azure/iotedge, DeviceScopeTokenAuthenticator.cs, MqttUsernameParser.cs, DeviceIdentityProvider.cs.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from manifestgen.edge.identity import Identity

_PREFIX: Final = "SharedAccessSignature "


class Refused(Exception):
    """A login that edgeHub does not accept; the words are for its log and hold no secret."""


@dataclass(frozen=True)
class Login:
    """A module that has proved who it is, and when its token ends, in seconds since 1970."""

    module: str
    expires: int


def check_login(identity: Identity, client: str, user: str, password: str, now: float) -> Login:
    """Who logs in with a client ID, a user name and a token.

    Raises:
        Refused: there is no identity, or the token does not prove it.
    """
    module = _module(identity, client, user)
    if identity.key(module) is None:
        raise Refused(f"the module {module!r} is not known")
    fields = _fields(password)
    audience, signature, end = fields.get("sr", ""), fields.get("sig", ""), fields.get("se", "")
    if not (audience and signature and end.isascii() and end.isdigit() and len(end) < 18):
        raise Refused(f"the token of {module!r} has no usable sr, sig or se")
    signed = identity.sign(module, f"{audience}\n{end}".encode())
    try:
        given = base64.b64decode(unquote(signature), validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if signed is None or not hmac.compare_digest(signed, given):
        raise Refused(f"the token of {module!r} is not signed with its key")
    parts = unquote(audience).lower().split("/")
    hosts = (identity.hub.lower(), identity.gateway.lower())
    if parts[0] not in hosts or parts[1:] != _path(identity.device, module):
        raise Refused(f"the token of {module!r} is for another resource")
    if int(end) <= now:
        raise Refused(f"the token of {module!r} has expired")
    return Login(module, int(end))


def _path(device: str, module: str) -> list[str]:
    return ["devices", device.lower(), "modules", module.lower()]


def _module(identity: Identity, client: str, user: str) -> str:
    """The module that client ID and user name give."""
    words = user.split("/")
    if len(words) != 4 or "api-version=" not in words[3]:
        raise Refused(f"the user name {user[:200]!r} is not HOST/DEVICE/MODULE/?api-version=…")
    device, module = words[1].strip(), words[2].strip()
    if device != identity.device:
        raise Refused(f"the device {device!r} is not this one")
    if client != f"{device}/{module}":
        raise Refused(f"the client ID {client[:200]!r} is not the user name's {device}/{module}")
    return module


def _fields(password: str) -> dict[str, str]:
    if not password.startswith(_PREFIX):
        raise Refused("the password is not a shared access signature")
    return {name: value for name, _, value in (p.partition("=") for p in password[len(_PREFIX) :].split("&"))}
