"""Authorization at the simulated hub: shared access signatures of its policies, and Entra tokens.

Source: learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas. A signature covers the resource exactly as
written in the token (percent-encoded), a line feed, and the expiry in seconds since the epoch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from enum import Flag, auto
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from manifestgen.sandbox import entra
from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.world import World

AUDIENCE: Final = "https://iothubs.azure.net"


class Right(Flag):
    """A permission of a policy."""

    REGISTRY_READ = auto()
    REGISTRY_WRITE = auto()
    SERVICE_CONNECT = auto()
    DEVICE_CONNECT = auto()


# The five policies of a new hub.
POLICIES: Final = {
    "iothubowner": Right.REGISTRY_READ | Right.REGISTRY_WRITE | Right.SERVICE_CONNECT | Right.DEVICE_CONNECT,
    "service": Right.SERVICE_CONNECT,
    "device": Right.DEVICE_CONNECT,
    "registryRead": Right.REGISTRY_READ,
    "registryReadWrite": Right.REGISTRY_READ | Right.REGISTRY_WRITE,
}


def policy_key(world: World, policy: str, *, secondary: bool = False) -> str:
    """One of the policy's two keys, in base64 as the service returns it; `World.secret` keeps it."""
    return world.secret(f"hub:{policy}:secondary" if secondary else f"hub:{policy}", new_key)


def new_key() -> str:
    """A random symmetric key, in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def connection_string(world: World, policy: str, *, host: str | None = None) -> str:
    """The policy's connection string; `host` replaces the public host name for a direct connection."""
    return (
        f"HostName={host or world.names.hub_host};SharedAccessKeyName={policy};"
        f"SharedAccessKey={policy_key(world, policy)}"
    )


def unauthorized(message: str) -> HubError:
    """The hub's 401 for any invalid token."""
    return HubError(
        401,
        "IotHubUnauthorizedAccess",
        message,
        headers={
            "WWW-Authenticate": f'Bearer authorization_uri="https://login.microsoftonline.com", resource="{AUDIENCE}"'
        },
    )


def authorize(world: World, request: web.Request, needed: Right) -> None:
    """Raise HubError unless the request's token grants the needed permissions."""
    header = request.headers.get("Authorization", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "sharedaccesssignature":
        _authorize_signature(world, request, rest, needed)
    elif scheme.lower() == "bearer":
        _authorize_bearer(world, request)
    else:
        raise unauthorized("Unauthorized")


def _authorize_signature(world: World, request: web.Request, token: str, needed: Right) -> None:
    fields = dict(part.partition("=")[::2] for part in token.split("&"))
    missing = [name for name in ("sr", "sig", "se", "skn") if not fields.get(name)]
    if missing:
        raise unauthorized(f"Unauthorized: the shared access signature lacks {', '.join(missing)}")
    policy = unquote_plus(fields["skn"])
    if policy not in POLICIES:
        raise unauthorized("Unauthorized")
    try:
        expiry = int(fields["se"])
        given = base64.b64decode(unquote_plus(fields["sig"]), validate=True)
    except (ValueError, binascii.Error):
        raise unauthorized("Unauthorized: the shared access signature is malformed") from None
    keys = [base64.b64decode(policy_key(world, policy, secondary=second)) for second in (False, True)]
    made = [hmac.digest(key, f"{fields['sr']}\n{fields['se']}".encode(), hashlib.sha256) for key in keys]
    if not any(hmac.compare_digest(signature, given) for signature in made):
        raise unauthorized("Unauthorized")
    if expiry < world.now():
        raise unauthorized("Unauthorized: the shared access signature has expired")
    audience = unquote_plus(fields["sr"]).lower()
    resource = f"{request.host}{request.path}".lower()
    if resource != audience and not resource.startswith(audience.rstrip("/") + "/"):
        raise unauthorized(f"Unauthorized: the signature is for {audience}")
    if needed not in POLICIES[policy]:
        raise unauthorized(f"Unauthorized: policy {policy} does not grant {_words(needed)}")


def _words(rights: Right) -> str:
    return ", ".join(
        "".join(word.capitalize() for word in str(right.name).split("_")) for right in Right if right in rights
    )


def _authorize_bearer(world: World, request: web.Request) -> None:
    try:
        entra.verify_token(world, request, (AUDIENCE,))
    except entra.TokenError as error:
        raise unauthorized(str(error)) from error
