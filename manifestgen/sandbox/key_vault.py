"""The sandbox's Azure Key Vault: secrets only.

Paths, bodies, times and error codes follow the REST reference "Key Vault secrets". The response to a request without a
token says where to get one, because the SDKs discover it that way ("Authentication, requests and responses"). The host
name of a missing vault does not resolve. Times are informational: expired secrets are returned, disabled ones are not.

    kind            key           value
    vault           HOST          {"name", "host", "denies"}
    vault-secret    HOST/NAME     {"name", "versions": [{"version", "value", "type", "tags", "enabled", "nbf", "exp",
                                  "created", "updated"}], "deleted": seconds or null}; NAME in lower case
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox.entra import VAULTS, TokenError, object_id, verify_token
from manifestgen.sandbox.world import World

HOSTS = tuple(f"*.{resource.removeprefix('https://')}" for resource in VAULTS)

#: Reasons for which a vault can reject every caller.
DENIALS = ("", "role", "policy", "firewall", "private")

# The api-versions of the SDKs of recent years.
_API_VERSIONS = ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_VAULT_NAME = re.compile(r"[a-zA-Z](-?[a-zA-Z0-9]){2,23}")
_MAX_VALUE = 25 * 1024
_PAGE = 25
_RECOVERABLE_DAYS = 90
_DAY = 24 * 3600
_TYPES: Mapping[str, tuple[type, ...]] = {"enabled": (bool,), "nbf": (int,), "exp": (int,)}

Document = dict[str, Any]


class VaultError(Exception):
    """A request that the vault rejects."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.inner = inner


def serves(world: World, host: str) -> bool:
    """Whether the vault exists; the name of a missing vault does not resolve."""
    return vault(world, host) is not None


def vault(world: World, host: str) -> Document | None:
    """The vault at a host."""
    known: Document | None = world.store.get("vault", host.lower())
    if known is None and host.lower() == world.names.vault_host:
        return {"name": world.names.vault, "host": world.names.vault_host, "denies": ""}
    return known


def vaults(world: World) -> list[Document]:
    """All vaults, ordered by host."""
    hosts = {world.names.vault_host, *world.store.keys("vault")}
    return [found for host in sorted(hosts) if (found := vault(world, host)) is not None]


def put_vault(world: World, name: str, *, host: str, denies: str) -> Document:
    """Create a vault, or change why it rejects every caller; without a host in the public cloud. Raises ValueError."""
    host = (host or f"{name}.vault.azure.net").lower()
    if not _VAULT_NAME.fullmatch(name) or host.partition(".")[0] != name.lower() or _resource(host) not in VAULTS:
        raise ValueError(f"a vault is NAME at one of NAME{', NAME'.join(mask[1:] for mask in HOSTS)}, not {host!r}")
    if denies not in DENIALS:
        raise ValueError(f"denies must be one of {', '.join(filter(None, DENIALS))} or empty, not {denies!r}")
    value: Document = {"name": name, "host": host, "denies": denies}
    world.store.put("vault", host, value)
    return value


def set_secret(world: World, host: str, name: str, body: Mapping[str, Any]) -> Document:
    """Add a version to a secret, creating the secret if it is missing; returns its bundle. Raises VaultError."""
    if not _NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
    value = body.get("value")
    if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > _MAX_VALUE:
        raise VaultError(400, "BadParameter", "Property value has invalid value")
    known = world.store.get("vault-secret", _key(host, name)) or {"name": name, "versions": [], "deleted": None}
    if known["deleted"] is not None:
        words = (
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this "
            "state, the secret can only be recovered or purged."
        )
        raise VaultError(409, "Conflict", words, "ObjectIsDeletedButRecoverable")
    now = int(world.now())
    version: Document = {
        "version": uuid.uuid4().hex,
        "value": value,
        "type": body.get("contentType"),
        "tags": body.get("tags") or {},
        "enabled": True,
        "created": now,
        "updated": now,
        **_attributes(body),
    }
    known["versions"].append(version)
    world.store.put("vault-secret", _key(host, name), known)
    return _bundle(host, known, version)


def create(world: World) -> web.Application:
    """Create the service's application."""
    vaults = _Vaults(world)
    app = web.Application()

    def add(method: str, path: str, handle: Callable[[web.Request, str], Awaitable[Any]]) -> None:
        app.router.add_route(method, path, vaults.handler(handle))

    add("GET", "/secrets", vaults.list_all)
    add("GET", "/secrets/{name}/versions", vaults.versions)
    add("GET", "/deletedsecrets", vaults.list_deleted)
    add("GET", "/deletedsecrets/{name}", vaults.get_deleted)
    add("POST", "/deletedsecrets/{name}/recover", vaults.recover)
    add("DELETE", "/deletedsecrets/{name}", vaults.purge)
    for path in ("/secrets/{name}", "/secrets/{name}/"):
        add("PUT", path, vaults.put)
        add("DELETE", path, vaults.delete)
        add("GET", path, vaults.get)
        add("PATCH", path, vaults.update)
    add("GET", "/secrets/{name}/{version}", vaults.get)
    add("PATCH", "/secrets/{name}/{version}", vaults.update)
    return app


class _Vaults:
    """The operations on vaults: each method returns the JSON of its response, or raises VaultError."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handler(
        self, handle: Callable[[web.Request, str], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def respond(request: web.Request) -> web.Response:
            host = self._host(request)
            headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-keyvault-region": self._world.names.location}
            if client_id := request.headers.get("x-ms-client-request-id"):
                headers["x-ms-client-request-id"] = client_id
            try:
                self._authorize(request, host)
                data = await handle(request, host)
                if data is None:
                    return web.Response(status=204, headers=headers)
                return web.json_response(data, headers=headers)
            except TokenError as error:
                headers["WWW-Authenticate"] = (
                    f'Bearer authorization="https://login.microsoftonline.com/{self._world.names.tenant_id}", '
                    f'resource="{_resource(host)}"'
                )
                return _error_response(VaultError(401, "Unauthorized", _token_words(error, host)), headers)
            except VaultError as error:
                return _error_response(error, headers)

        return respond

    async def put(self, request: web.Request, host: str) -> Document:
        return set_secret(self._world, host, request.match_info["name"], await _body(request))

    async def get(self, request: web.Request, host: str) -> Document:
        secret = self._secret(request, host)
        version = _version(request, secret)
        if not version["enabled"]:
            words = "Operation get is not allowed on a disabled secret."
            raise VaultError(403, "Forbidden", words, "SecretDisabled")
        return _bundle(host, secret, version)

    async def update(self, request: web.Request, host: str) -> Document:
        secret, body = self._secret(request, host), await _body(request)
        version = _version(request, secret)
        version.update(_attributes(body), updated=int(self._world.now()))
        if body.get("tags") is not None:
            version["tags"] = body["tags"]
        if body.get("contentType") is not None:
            version["type"] = body["contentType"]
        self._world.store.put("vault-secret", _key(host, secret["name"]), secret)
        return _bundle(host, secret, version, value=False)

    async def list_all(self, request: web.Request, host: str) -> Document:
        items = [_item(host, secret, secret["versions"][-1], "") for secret in self._secrets(host, deleted=False)]
        return _page(request, host, items)

    async def versions(self, request: web.Request, host: str) -> Document:
        secret = self._world.store.get("vault-secret", _key(host, request.match_info["name"]))
        if secret is None or secret["deleted"] is not None:
            return _page(request, host, [])
        items = [_item(host, secret, version, version["version"]) for version in secret["versions"]]
        return _page(request, host, sorted(items, key=lambda item: str(item["id"])))

    async def delete(self, request: web.Request, host: str) -> Document:
        secret = self._secret(request, host)
        secret["deleted"] = int(self._world.now())
        self._world.store.put("vault-secret", _key(host, secret["name"]), secret)
        return _deleted(host, secret)

    async def list_deleted(self, request: web.Request, host: str) -> Document:
        return _page(request, host, [_deleted(host, secret) for secret in self._secrets(host, deleted=True)])

    async def get_deleted(self, request: web.Request, host: str) -> Document:
        return _deleted(host, self._secret(request, host, deleted=True))

    async def recover(self, request: web.Request, host: str) -> Document:
        secret = self._secret(request, host, deleted=True)
        secret["deleted"] = None
        self._world.store.put("vault-secret", _key(host, secret["name"]), secret)
        return _bundle(host, secret, secret["versions"][-1], value=False)

    async def purge(self, request: web.Request, host: str) -> None:
        secret = self._secret(request, host, deleted=True)
        self._world.store.delete("vault-secret", _key(host, secret["name"]))

    def _host(self, request: web.Request) -> str:
        """The requested vault; on the localhost port, the vault of every new sandbox."""
        host = request.host.partition(":")[0].lower()
        return host if serves(self._world, host) else self._world.names.vault_host

    def _authorize(self, request: web.Request, host: str) -> None:
        """Check a request in the same order as the service: token, network, permission, api-version."""
        verify_token(self._world, request, (_resource(host),))
        known = vault(self._world, host) or {}
        if denies := known.get("denies"):
            raise self._denied(request, denies, known["name"])
        asked = request.query.get("api-version", "")
        if asked not in _API_VERSIONS:
            words = (
                f"The specified version ({asked}) is not recognized. Consider using the latest supported version "
                f"({_API_VERSIONS[-1]})."
            )
            raise VaultError(400, "BadParameter", words)

    def _denied(self, request: web.Request, why: str, name: str) -> VaultError:
        names = self._world.names
        caller = f"appid={names.client_id};oid={object_id(self._world)};iss=https://sts.windows.net/{names.tenant_id}/"
        place = f"{name};location={names.location}"
        if why == "private":
            words = (
                "Public network access is disabled and request is not from a trusted service nor via an approved "
                f"private link.\r\nCaller: {caller}\r\nVault: {place}"
            )
            return VaultError(403, "Forbidden", words, "ForbiddenByConnection")
        if why == "firewall":
            words = (
                "Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7"
                f"\r\nCaller: {caller}\r\nVault: {place}"
            )
            return VaultError(403, "Forbidden", words, "ForbiddenByFirewall")
        write = request.method not in ("GET", "HEAD")
        if why == "policy":
            words = (
                f"The user, group or application '{caller}' does not have secrets {'set' if write else 'get'} "
                f"permission on key vault '{place}'. For help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125287"
            )
            return VaultError(403, "Forbidden", words, "AccessDenied")
        secret = request.match_info.get("name", "")
        resource = (
            f"/subscriptions/{names.subscription_id}/resourcegroups/{names.resource_group}"
            f"/providers/microsoft.keyvault/vaults/{name}{f'/secrets/{secret}' if secret else ''}"
        )
        words = (
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            f"definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\nAction: "
            f"'Microsoft.KeyVault/vaults/secrets/{'setSecret' if write else 'getSecret'}/action'\r\nResource: "
            f"'{resource}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: "
            f"'DeniedWithNoValidRBAC' \r\nVault: {place}\r\n"
        )
        return VaultError(403, "Forbidden", words, "ForbiddenByRbac")

    def _secrets(self, host: str, *, deleted: bool) -> list[Document]:
        items = (secret for _, secret in self._world.store.items("vault-secret", prefix=f"{host}/"))
        return [secret for secret in items if (secret["deleted"] is not None) == deleted]

    def _secret(self, request: web.Request, host: str, *, deleted: bool = False) -> Document:
        name = request.match_info["name"]
        found: Document | None = self._world.store.get("vault-secret", _key(host, name))
        if found is None or (found["deleted"] is not None) != deleted:
            raise _not_found(name, deleted=deleted)
        return found


def _not_found(name: str, *, deleted: bool = False) -> VaultError:
    if deleted:
        return VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    words = (
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182"
    )
    return VaultError(404, "SecretNotFound", words)


def _version(request: web.Request, secret: Document) -> Document:
    """The version that a request names; without one, the latest."""
    wanted = request.match_info.get("version", "")
    versions: list[Document] = secret["versions"]
    found = next((one for one in versions if one["version"] == wanted.lower()), None) if wanted else versions[-1]
    if found is None:
        raise _not_found(f"{secret['name']}/{wanted}")
    return found


def _attributes(body: Mapping[str, Any]) -> Document:
    attributes = body.get("attributes") or {}
    found = {name: attributes[name] for name in _TYPES if attributes.get(name) is not None}
    for name, value in found.items():
        if type(value) not in _TYPES[name]:
            raise VaultError(400, "BadParameter", f"Property {name} has invalid value")
    return found


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        data = json.loads(await request.read())
    except ValueError as error:
        raise VaultError(400, "BadParameter", "The request body is not valid JSON") from error
    if not isinstance(data, dict):
        raise VaultError(400, "BadParameter", "The request body is not a JSON object")
    return data


def _bundle(host: str, secret: Document, version: Document, *, value: bool = True) -> Document:
    bundle = _item(host, secret, version, version["version"])
    return {"value": version["value"], **bundle} if value else bundle


def _item(host: str, secret: Document, version: Document, version_id: str) -> Document:
    attributes = {name: version[name] for name in ("enabled", "nbf", "exp", "created", "updated") if name in version}
    attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": _RECOVERABLE_DAYS}
    end = f"/{version_id}" if version_id else ""
    item: Document = {"id": f"https://{host}/secrets/{secret['name']}{end}", "attributes": attributes}
    item["tags"] = version["tags"]
    return item | ({"contentType": version["type"]} if version["type"] is not None else {})


def _deleted(host: str, secret: Document) -> Document:
    version = secret["versions"][-1]
    return {
        **_item(host, secret, version, version["version"]),
        "recoveryId": f"https://{host}/deletedsecrets/{secret['name']}",
        "deletedDate": secret["deleted"],
        "scheduledPurgeDate": secret["deleted"] + _RECOVERABLE_DAYS * _DAY,
    }


def _page(request: web.Request, host: str, items: list[Document]) -> Document:
    asked = request.query.get("maxresults", str(_PAGE))
    if not asked.isdecimal() or not 1 <= int(asked) <= _PAGE:
        raise VaultError(400, "BadParameter", f"maxresults must be between 1 and {_PAGE}")
    begin = request.query.get("$skiptoken", "0")
    start, count = int(begin) if begin.isdecimal() else 0, int(asked)
    more = start + count < len(items)
    # With the port, as the service writes it.
    link = (
        f"https://{host}:443{request.path}?api-version={request.query['api-version']}&$skiptoken={start + count}"
        f"&maxresults={count}"
    )
    return {"value": items[start : start + count], "nextLink": link if more else None}


def _key(host: str, name: str) -> str:
    return f"{host.lower()}/{name.lower()}"


def _resource(host: str) -> str:
    """The audience of a token for a vault: `https://vault.azure.net` in the public cloud."""
    return f"https://{host.partition('.')[2]}"


def _token_words(error: TokenError, host: str) -> str:
    if error.code == "AuthenticationFailed":
        return "AKV10000: Request is missing a Bearer or PoP token."
    if error.code == "InvalidAuthenticationTokenAudience":
        found = re.search(r"'([^']*)'", str(error))
        return f"AKV10022: Invalid audience. Expected {_resource(host)}, found: {found[1] if found else ''}."
    return f"[TokenExpired] Error validating token: {error}"


def _error_response(error: VaultError, headers: Mapping[str, str]) -> web.Response:
    body: Document = {"code": error.code, "message": str(error)}
    if error.inner:
        body["innererror"] = {"code": error.inner}
    return web.json_response({"error": body}, status=error.status, headers=headers)
