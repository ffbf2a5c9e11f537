"""Federated credentials of the sandbox's service principal: the issuers whose tokens replace a secret.

A pipeline's provider signs a token that says which job runs; Entra ID exchanges it for its own token if a federated
credential matches its issuer, subject and audience exactly. Documents in `World.store`:

    kind          key     value
    federated     NAME    {"issuer", "subject", "audience"}

Providers sign with RSA keys that Entra ID fetches from them. Here one symmetric key for each issuer does, because the
sandbox is both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import json_web_token
from manifestgen.sandbox.error_response import entra_error
from manifestgen.sandbox.world import World

#: The audience that Entra ID expects in the public cloud.
AUDIENCE: Final = "api://AzureADTokenExchange"
GITHUB_ISSUER: Final = "https://token.actions.githubusercontent.com"
AZURE_PIPELINES_ISSUER: Final = "https://vstoken.dev.azure.com/5ab5c710-0000-4000-8000-0000000000d0"

#: The assertion type in a token request (RFC 7523).
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}")
_KEYS: Final = ("issuer", "subject", "audience")


def put_credential(world: World, name: str, value: Any) -> dict[str, str]:
    """Create or replace a federated credential. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("a federated credential's name has 3 to 120 letters, digits, '-' and '_'")
    given = {"audience": AUDIENCE, **value} if isinstance(value, dict) else {}
    if set(given) != set(_KEYS) or not all(isinstance(text, str) and text for text in given.values()):
        raise ValueError("give 'issuer' and 'subject', and 'audience' if it is not the usual one")
    world.store.put("federated", name, given)
    return given


def delete_credential(world: World, name: str) -> bool:
    """Delete a federated credential; return whether it existed."""
    return world.store.delete("federated", name)


def credentials(world: World) -> dict[str, dict[str, str]]:
    """All federated credentials, by name."""
    return dict(world.store.items("federated"))


def sign(world: World, issuer: str, subject: str, audience: str, *, lifetime: int = 300, **claims: Any) -> str:
    """A token as a pipeline's provider signs it.

    Args:
        world: has the issuer's key.
        issuer: of the token.
        subject: the job, such as `repo:contoso/edge:environment:production`.
        audience: for whom it is.
        lifetime: in seconds; negative for one that has expired.
        claims: further ones.
    """
    now = int(world.now())
    payload = {"iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + lifetime, **claims}
    return json_web_token.encode(payload, _key(world, issuer))


def claims_of(world: World, token: str) -> Mapping[str, Any] | None:
    """The claims of a token that `sign` made; None for any other text."""
    try:
        read = json_web_token.decode(token)
        claims = read.claims
        genuine = isinstance(claims, dict) and read.is_signed_with(_key(world, str(claims.get("iss"))))
    except ValueError:
        return None
    return claims if genuine else None


def refusal(world: World, form: Mapping[str, Any]) -> web.Response | None:
    """Why Entra ID does not take the request's assertion, in its words; None if it does."""
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        words = "The request body must contain the following parameter: 'client_assertion_type'."
        return entra_error(400, "invalid_request", words, number=900144)
    claims = claims_of(world, str(form.get("client_assertion", "")))
    if claims is None:
        return _invalid("Client assertion failed signature validation.", 700027)
    # In this order, the known ones that are left say what does not match.
    known = list(credentials(world).values())
    for key, claim, number in (("issuer", "iss", 700211), ("subject", "sub", 700213), ("audience", "aud", 700212)):
        known = [credential for credential in known if credential[key] == claims.get(claim)]
        if not known:
            presented = claims.get(claim)
            words = f"No matching federated identity record found for presented assertion {key} '{presented}'."
            return _invalid(words, number)
    if not claims["nbf"] <= world.now() < claims["exp"]:
        expiry = datetime.fromtimestamp(claims["exp"], timezone.utc).isoformat()
        words = f"Client assertion is not within its valid time range, expiry time of assertion {expiry}."
        return _invalid(words, 700024)
    return None


def _invalid(words: str, number: int) -> web.Response:
    return entra_error(401, "invalid_client", words, number=number)


def _key(world: World, issuer: str) -> str:
    return world.secret(f"oidc:{issuer}")
