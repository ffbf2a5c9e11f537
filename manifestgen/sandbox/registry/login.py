"""Authentication at a container registry: Basic, its own bearer tokens, and the exchange of Entra ID tokens.

This follows the distribution specification's token authentication and Azure Container Registry's "AAD-OAuth": the
response to a request without a valid credential is a challenge that names the token service (`/oauth2/token`). `/v2/`
also accepts user name and password directly.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.accounts import Access
from manifestgen.sandbox.entra import REGISTRY_AUDIENCES, TokenError, decode_token, issue_token
from manifestgen.sandbox.error_response import registry_error
from manifestgen.sandbox.registry.images import is_public
from manifestgen.sandbox.world import World

# The user name that means "the password is a refresh token".
_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - as Azure documents it

_SCOPE_WORDS = {accounts.READ: "pull", accounts.WRITE: "push", accounts.METADATA: "metadata_read"}
#: The permission to delete images.
DELETE = "content/delete"
_ACTIONS = {
    "pull": accounts.READ,
    "push": accounts.WRITE,
    "metadata_read": accounts.METADATA,
    "delete": DELETE,
}
_CATALOG = "registry:catalog:*"
_WORDS = "authentication required, visit https://aka.ms/acr/authorization for more information."


class Unauthorized(Exception):
    """A request that gets a challenge."""

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


def check(world: World, request: web.Request, repository: str, action: str) -> None:
    """Raise Unauthorized unless the request may do `action` on a repository; if that is empty, any login will do."""
    host = host_of(request)
    if is_public(host) and action == accounts.READ:
        return
    access = _access(world, request)
    if access is None:
        raise _challenge(host, repository, action)
    if repository and not access.allows(repository, action):
        raise _challenge(host, repository, action, error="insufficient_scope")


def check_catalog(world: World, request: web.Request) -> None:
    """Raise Unauthorized unless the request has a login; the challenge asks for the list of repositories."""
    host = host_of(request)
    if not is_public(host) and _access(world, request) is None:
        raise _challenge(host, "", accounts.READ, scope=_CATALOG)


def host_of(request: web.Request) -> str:
    """The host of the requested registry, in lower case and without a port."""
    return request.host.partition(":")[0].lower()


async def token(world: World, request: web.Request) -> web.Response:
    """The token service, `GET` or `POST /oauth2/token`."""
    form: Mapping[str, Any] = await request.post() if request.method == "POST" else {}
    host = host_of(request)
    grant = str(form.get("grant_type", ""))
    if grant == "refresh_token":
        access = _access_of_refresh(world, host, str(form.get("refresh_token", "")))
    elif grant == "password":
        access = accounts.log_in(world, host, str(form.get("username", "")), str(form.get("password", "")))
    else:
        access = _access(world, request)
    if access is None:
        raise _challenge(host, "", accounts.READ)
    scopes = [str(form["scope"])] if form.get("scope") else request.query.getall("scope", [])
    granted = [entry for scope in " ".join(scopes).split() if (entry := _grant(access, scope))]
    access_token, lifetime = issue_token(world, host, sub=access.account, access=granted, grant="access")
    return web.json_response({"access_token": access_token, "expires_in": lifetime})


async def exchange(world: World, request: web.Request) -> web.Response:
    """Exchange an Entra ID token for the registry's refresh token, `POST /oauth2/exchange`."""
    form = await request.post()
    try:
        decode_token(world, str(form.get("access_token", "")), REGISTRY_AUDIENCES)
    except TokenError as error:
        return registry_error(401, "UNAUTHORIZED", str(error))
    refresh_token, _ = issue_token(world, host_of(request), grant="refresh")
    return web.json_response({"refresh_token": refresh_token})


def _access(world: World, request: web.Request) -> Access | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    host = host_of(request)
    if scheme.lower() == "basic":
        try:
            username, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return None
        if username == _TOKEN_USER:
            return _access_of_refresh(world, host, password)
        return accounts.log_in(world, host, username, password)
    if scheme.lower() == "bearer":
        try:
            claims = decode_token(world, value.strip(), [host])
        except TokenError:
            return None
        if claims.get("grant") != "access":
            return None
        return Access(claims["sub"], _actions(claims["access"]))
    return None


def _access_of_refresh(world: World, host: str, text: str) -> Access | None:
    """Entra ID logins may do everything: the sandbox's one principal owns the registry."""
    try:
        claims = decode_token(world, text, [host])
    except TokenError:
        return None
    return Access(str(claims["sub"])) if claims.get("grant") == "refresh" else None


def _grant(access: Access, scope: str) -> dict[str, Any] | None:
    """The actions that a token allows out of a scope such as `repository:a/b:pull,push`."""
    kind, _, rest = scope.partition(":")
    name, _, words = rest.rpartition(":")
    if kind == "registry" and name == "catalog":
        return {"type": kind, "name": name, "actions": ["*"]} if access.actions is None else None
    wanted = list(_ACTIONS) if words == "*" else words.split(",")
    allowed = [word for word in wanted if word in _ACTIONS and access.allows(name, _ACTIONS[word])]
    return {"type": kind, "name": name, "actions": allowed} if allowed else None


def _actions(granted: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"repositories/{entry['name']}/{_ACTIONS[word]}"
        for entry in granted
        if entry["type"] == "repository"
        for word in entry["actions"]
    ]


def _challenge(host: str, repository: str, action: str, *, scope: str = "", error: str = "") -> Unauthorized:
    word = _SCOPE_WORDS.get(action, "delete")
    detail = [{"Type": "repository", "Name": repository, "Action": word}] if repository else None
    response = registry_error(401, "UNAUTHORIZED", _WORDS, detail=detail)
    parts = [f'realm="https://{host}/oauth2/token"', f'service="{host}"']
    if repository:
        words = "pull,push" if action == accounts.WRITE else word
        scope = f"repository:{repository}:{words}"
    if scope:
        parts.append(f'scope="{scope}"')
    if error:
        parts.append(f'error="{error}"')
    response.headers["WWW-Authenticate"] = f"Bearer {','.join(parts)}"
    return Unauthorized(response)
