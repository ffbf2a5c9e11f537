"""The part of Microsoft Entra ID that a service principal needs: metadata, and tokens for a secret or an assertion.

Tokens are JSON Web Tokens with the claims that clients and services check. They are signed with one symmetric key
(HS256), where Entra ID uses RSA keys: only the sandbox itself verifies them, so public keys would serve no purpose.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox import json_web_token
from manifestgen.sandbox.error_response import entra_error
from manifestgen.sandbox.federation import refusal
from manifestgen.sandbox.world import World

HOSTS = ("login.microsoftonline.com", "login.windows.net", "sts.windows.net")

ARM = "https://management.azure.com"
HUB = "https://iothubs.azure.net"
REGISTRY = "https://containerregistry.azure.net"
# One host for each cloud; the sandbox serves all of them.
VAULTS = ("https://vault.azure.net", "https://vault.azure.cn", "https://vault.usgovcloudapi.net")

# Resources that tokens are issued for, by the names that clients may use. ARM's old name works too.
_RESOURCES = {
    "https://management.azure.com": ARM,
    "https://management.core.windows.net": "https://management.core.windows.net",
    HUB: HUB,
    REGISTRY: REGISTRY,
    "https://storage.azure.com": "https://storage.azure.com",
    "https://graph.microsoft.com": "https://graph.microsoft.com",
    "https://ml.azure.com": "https://ml.azure.com",
    **{vault: vault for vault in VAULTS},
}

# Token audiences that ARM and Azure ML accept.
ARM_AUDIENCES = (ARM, "https://management.core.windows.net")
REGISTRY_AUDIENCES = (REGISTRY, *ARM_AUDIENCES)

_LIFETIME = 3599.0
# The name of the secret that signs access tokens.
_KEY = "entra:signing"


class TokenError(Exception):
    """A rejected token, with the reason; `code` is ARM's error code for it."""

    def __init__(self, message: str, code: str = "InvalidAuthenticationToken") -> None:
        super().__init__(message)
        self.code = code


def verify_token(world: World, request: web.Request, audiences: Collection[str]) -> Mapping[str, Any]:
    """The claims of the request's bearer token.

    Args:
        world: the world that signed the token.
        request: has the header `Authorization: Bearer …`.
        audiences: the audiences that the service accepts, such as `ARM_AUDIENCES`; a trailing slash is ignored.

    Raises:
        TokenError: the token is missing, malformed, not ours, for another audience, or expired. The service responds
            with 401 and its own body.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        words = "Authentication failed. The 'Authorization' header is missing or has an invalid format."
        raise TokenError(words, "AuthenticationFailed")
    return decode_token(world, token.strip(), audiences)


def decode_token(world: World, token: str, audiences: Collection[str]) -> Mapping[str, Any]:
    """The claims of a token; see `verify_token`."""
    try:
        read = json_web_token.decode(token)
        claims, good = read.claims, read.is_signed_with(world.secret(_KEY))
    except ValueError as error:
        raise TokenError("The access token is invalid.") from error
    if not good or not isinstance(claims, dict):
        raise TokenError("The access token signature is invalid.")
    if str(claims.get("aud")).rstrip("/") not in {audience.rstrip("/") for audience in audiences}:
        allowed = "', '".join(sorted(audiences))
        raise TokenError(
            f"The access token has been obtained for wrong audience or resource '{claims.get('aud')}'. "
            f"It should exactly match with one of the allowed audiences '{allowed}'.",
            "InvalidAuthenticationTokenAudience",
        )
    revoked = world.store.get("entra", "revoked") or 0.0
    if claims["exp"] <= world.now() or claims["issued"] <= revoked:
        words = "The access token expiry UTC time is earlier than current UTC time."
        raise TokenError(words, "ExpiredAuthenticationToken")
    return claims


def challenge(world: World, error: TokenError) -> str:
    """The header `WWW-Authenticate` of the 401, with the reason."""
    return (
        f'Bearer authorization_uri="https://login.windows.net/{world.names.tenant_id}", error="invalid_token", '
        f'error_description="{error}"'
    )


def issue_token(world: World, audience: str, **claims: Any) -> tuple[str, int]:
    """A signed token for an audience, and its lifetime in seconds."""
    names = world.names
    lifetime = int(world.store.get("entra", "lifetime") or _LIFETIME)
    now = world.now()
    payload = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{names.tenant_id}/",
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now) + lifetime,
        "appid": names.client_id,
        "idtyp": "app",
        "oid": object_id(world),
        "sub": object_id(world),
        "tid": names.tenant_id,
        "uti": uuid.uuid4().hex,
        "ver": "1.0",
        # In full precision: a revocation in the same second must distinguish older tokens from newer ones.
        "issued": now,
        **claims,
    }
    return json_web_token.encode(payload, world.secret(_KEY)), lifetime


def expire_tokens(world: World) -> None:
    """Expire every token issued so far."""
    world.store.put("entra", "revoked", world.now())


def set_token_lifetime(world: World, seconds: int) -> None:
    """Set the lifetime of tokens issued from now on."""
    world.store.put("entra", "lifetime", seconds)


def object_id(world: World) -> str:
    """The service principal's object ID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, world.names.client_id))


def create(world: World) -> web.Application:
    """Create the service's application."""
    app = web.Application()

    async def instances(request: web.Request) -> web.Response:
        tenant = f"https://login.microsoftonline.com/{world.names.tenant_id}"
        return web.json_response(
            {
                "tenant_discovery_endpoint": f"{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {
                        "preferred_network": "login.microsoftonline.com",
                        "preferred_cache": "login.windows.net",
                        "aliases": list(HOSTS),
                    }
                ],
            }
        )

    async def metadata(request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        if tenant not in ("common", "organizations", world.names.tenant_id):
            return _unknown_tenant(tenant)
        version = "/v2.0" if "/v2.0/" in request.path else ""
        return web.json_response(_openid(tenant, version))

    async def token(request: web.Request) -> web.Response:
        return await _token(world, request)

    for version in ("", "/v2.0"):
        app.router.add_get(f"/{{tenant}}{version}/.well-known/openid-configuration", metadata)
        app.router.add_post(f"/{{tenant}}/oauth2{version}/token", token)
    app.router.add_get("/common/discovery/instance", instances)
    return app


def _openid(tenant: str, version: str) -> dict[str, Any]:
    base = f"https://login.microsoftonline.com/{tenant}"
    return {
        "token_endpoint": f"{base}/oauth2{version}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{base}/discovery{version}/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "token id_token"],
        "scopes_supported": ["openid"],
        "issuer": f"{base}{version}" if version else f"https://sts.windows.net/{tenant}/",
        "authorization_endpoint": f"{base}/oauth2{version}/authorize",
        "device_authorization_endpoint": f"{base}/oauth2{version}/devicecode",
        "end_session_endpoint": f"{base}/oauth2{version}/logout",
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    }


async def _token(world: World, request: web.Request) -> web.Response:
    form = await request.post()
    tenant = request.match_info["tenant"]
    if tenant != world.names.tenant_id:
        return _unknown_tenant(tenant)
    grant = str(form.get("grant_type", ""))
    if grant != "client_credentials":
        return entra_error(
            400, "unsupported_grant_type", f"The app requested an unsupported grant type '{grant}'.", number=70003
        )
    client_id, secret = _client(request, form)
    if client_id != world.names.client_id:
        words = (
            f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if "
            "the application has not been installed by the administrator of the tenant."
        )
        return entra_error(400, "unauthorized_client", words, number=700016)
    if "client_assertion" in form:
        refused = refusal(world, form)
        if refused is not None:
            return refused
    elif not hmac.compare_digest(secret.encode(), world.secret("entra:client").encode()):
        words = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{client_id}'."
        )
        return entra_error(401, "invalid_client", words, number=7000215)
    version2 = "/v2.0/" in request.path
    asked = str(form.get("scope" if version2 else "resource", ""))
    if version2 and not asked.endswith("/.default"):
        words = (
            f"The provided value for scope {asked} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier (application ID URI)."
        )
        return entra_error(400, "invalid_scope", words, number=1002012)
    # A resource with a trailing slash keeps it: https://management.core.windows.net//.default
    resource = asked.removesuffix("/.default") if version2 else asked
    if resource.rstrip("/") not in _RESOURCES:
        words = f"The resource principal named {resource} was not found in the tenant named {tenant}."
        return entra_error(400, "invalid_resource", words, number=500011)
    token, lifetime = issue_token(world, resource)
    result: dict[str, Any] = {"token_type": "Bearer", "access_token": token}
    if version2:
        result |= {"expires_in": lifetime, "ext_expires_in": lifetime}
    else:
        now = int(world.now())
        result |= {
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(now + lifetime),
            "not_before": str(now),
            "resource": resource,
        }
    return web.json_response(result, headers={"Cache-Control": "no-store, no-cache"})


def _client(request: web.Request, form: Mapping[str, Any]) -> tuple[str, str]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return "", ""
        return name, secret
    return str(form.get("client_id", "")), str(form.get("client_secret", ""))


def _unknown_tenant(tenant: str) -> web.Response:
    words = (
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant."
    )
    return entra_error(400, "invalid_request", words, number=90002)
