"""ARM's resource provider Microsoft.ContainerRegistry: registries, their admin user, scope maps and tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, body_of, not_found, page

_KIND = "Microsoft.ContainerRegistry/registries"

# Those of azure-mgmt-containerregistry 14 (2025-04-01), 15 (2025-11-01), their predecessors, and az.
_VERSIONS = frozenset(
    {"2019-05-01", "2022-12-01", "2023-07-01", "2025-04-01", "2025-11-01"}
    | {"2020-11-01-preview", "2021-08-01-preview", "2022-02-01-preview", "2023-01-01-preview", "2023-11-01-preview"}
    | {"2024-11-01-preview", "2025-03-01-preview", "2026-09-01-preview"}
)

_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry"
_LIST = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries"
_ONE = _LIST + "/{registry}"

# In seconds. A client that is told nothing waits 30.
_RETRY_AFTER = "1"


def routes() -> list[Route]:
    """The provider's paths."""
    table = [
        ("GET", f"{_SUBSCRIPTION}/registries", _list),
        ("GET", f"{_SUBSCRIPTION}/locations/{{location}}/operationResults/{{operation}}", _operation_result),
        ("GET", f"{_SUBSCRIPTION}/locations/{{location}}/operations/{{operation}}", _operation_status),
        ("GET", _LIST, _list),
        ("GET", _ONE, _get),
        ("PATCH", _ONE, _update),
        ("POST", f"{_ONE}/listCredentials", _credentials),
        ("POST", f"{_ONE}/regenerateCredential", _regenerate),
        ("POST", f"{_ONE}/generateCredentials", _generate),
        ("GET", f"{_ONE}/scopeMaps", _list_scope_maps),
        ("GET", f"{_ONE}/scopeMaps/{{name}}", _get_scope_map),
        ("PUT", f"{_ONE}/scopeMaps/{{name}}", _put_scope_map),
        ("PATCH", f"{_ONE}/scopeMaps/{{name}}", _put_scope_map),
        ("DELETE", f"{_ONE}/scopeMaps/{{name}}", _delete_scope_map),
        ("GET", f"{_ONE}/tokens", _list_tokens),
        ("GET", f"{_ONE}/tokens/{{name}}", _get_token),
        ("PUT", f"{_ONE}/tokens/{{name}}", _put_token),
        ("PATCH", f"{_ONE}/tokens/{{name}}", _put_token),
        ("DELETE", f"{_ONE}/tokens/{{name}}", _delete_token),
    ]
    return [Route(method, path, "registries", _VERSIONS, handle) for method, path, handle in table]


def _find(arm: Arm, request: web.Request) -> Mapping[str, Any]:
    name, group = request.match_info["registry"], request.match_info["group"]
    found = accounts.registry(arm.world, name)
    if found is None or found["group"].lower() != group.lower():
        raise not_found(_KIND, name, group)
    return found


def _registry(arm: Arm, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": arm.registry_id(found),
        "name": found["name"],
        "type": _KIND,
        "location": arm.world.names.location,
        "tags": {},
        "sku": {"name": "Standard", "tier": "Standard"},
        "properties": {
            "loginServer": found["login_server"],
            "creationDate": found["created"],
            "provisioningState": "Succeeded",
            "adminUserEnabled": found["admin_enabled"],
            "anonymousPullEnabled": False,
            "publicNetworkAccess": "Enabled",
        },
    }


async def _list(arm: Arm, request: web.Request) -> web.Response:
    group = request.match_info.get("group")
    found = accounts.registries(arm.world)
    return page([_registry(arm, one) for one in found if group is None or one["group"].lower() == group.lower()])


async def _get(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_registry(arm, _find(arm, request)))


async def _update(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    properties = (await body_of(request)).get("properties") or {}
    enabled = properties.get("adminUserEnabled", found["admin_enabled"])
    if not isinstance(enabled, bool):
        words = "The request content was invalid and could not be deserialized: 'adminUserEnabled' is not a boolean."
        raise ArmError(400, "InvalidRequestContent", words)
    updated = _registry(arm, accounts.set_admin(arm.world, found["name"], enabled))
    return _accepted(arm, request, updated, 200)


async def _credentials(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    _check_admin(arm, found)
    return web.json_response(
        {"username": found["name"], "passwords": accounts.admin_passwords(arm.world, found["name"])}
    )


async def _regenerate(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    which = (await body_of(request)).get("name")
    if which not in accounts.ADMIN_PASSWORDS:
        raise ArmError(400, "InvalidCredentialName", f"The credential name '{which}' is invalid.")
    _check_admin(arm, found)
    accounts.regenerate_admin_password(arm.world, found["name"], which)
    return await _credentials(arm, request)


def _check_admin(arm: Arm, found: Mapping[str, Any]) -> None:
    if not found["admin_enabled"]:
        raise ArmError(
            400,
            "UnAuthorizedForCredentialOperations",
            f"Cannot perform credential operations for {arm.registry_id(found)} as admin user is disabled. "
            "Kindly enable admin user as per docs: "
            "https://docs.microsoft.com/en-us/azure/container-registry/container-registry-authentication#admin-account",
        )


def _child(arm: Arm, found: Mapping[str, Any], kind: str, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{arm.registry_id(found)}/{kind}/{name}",
        "name": name,
        "type": f"{_KIND}/{kind}",
        "properties": {"provisioningState": "Succeeded", **properties},
    }


def _scope_map(arm: Arm, found: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        "description": scope["description"],
        "type": "SystemDefined" if scope.get("system") else "UserDefined",
        "creationDate": scope["created"],
        "actions": scope["actions"],
    }
    return _child(arm, found, "scopeMaps", scope["name"], properties)


def _find_scope_map(arm: Arm, request: web.Request) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    found = _find(arm, request)
    name = request.match_info["name"]
    scope = accounts.scope_map(arm.world, found["name"], name)
    if scope is None:
        raise not_found(f"{_KIND}/{found['name']}/scopeMaps", name, found["group"])
    return found, scope


async def _list_scope_maps(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    return page([_scope_map(arm, found, scope) for scope in accounts.scope_maps(arm.world, found["name"])])


async def _get_scope_map(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_scope_map(arm, *_find_scope_map(arm, request)))


async def _put_scope_map(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    name = request.match_info["name"]
    _check_name(name, "scope map")
    old = accounts.scope_map(arm.world, found["name"], name)
    if request.method == "PATCH":
        _find_scope_map(arm, request)
    properties = (await body_of(request)).get("properties") or {}
    actions = properties.get("actions", old["actions"] if old else None)
    if not isinstance(actions, list) or not actions or not all(isinstance(action, str) for action in actions):
        raise ArmError(400, "InvalidScopeMapActions", "The scope map must have a list of at least one action.")
    description = str(properties.get("description") or (old["description"] if old else ""))
    try:
        scope = accounts.put_scope_map(arm.world, found["name"], name, actions, description)
    except ValueError as error:
        raise ArmError(400, "InvalidScopeMapActions", f"The action '{error}' of the scope map is not valid.") from error
    return _accepted(arm, request, _scope_map(arm, found, scope), 200 if old else 201)


async def _delete_scope_map(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    deleted = arm.world.store.delete("acr-scope-map", f"{found['name']}/{request.match_info['name']}".lower())
    return web.Response(status=200 if deleted else 204)


def _token(arm: Arm, found: Mapping[str, Any], token: Mapping[str, Any]) -> dict[str, Any]:
    passwords = [
        {"name": name, "creationTime": password["created"], "expiry": password["expiry"]}
        for name, password in sorted(token["passwords"].items())
    ]
    properties = {
        "creationDate": token["created"],
        "scopeMapId": f"{arm.registry_id(found)}/scopeMaps/{token['scope_map']}" if token["scope_map"] else None,
        "credentials": {"passwords": passwords},
        "status": token["status"],
    }
    return _child(arm, found, "tokens", token["name"], properties)


def _find_token(arm: Arm, request: web.Request) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    found = _find(arm, request)
    name = request.match_info["name"]
    token = accounts.token(arm.world, found["name"], name)
    if token is None:
        raise not_found(f"{_KIND}/{found['name']}/tokens", name, found["group"])
    return found, token


async def _list_tokens(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    return page([_token(arm, found, token) for token in accounts.tokens(arm.world, found["name"])])


async def _get_token(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_token(arm, *_find_token(arm, request)))


async def _put_token(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    name = request.match_info["name"]
    _check_name(name, "token")
    if request.method == "PATCH":
        _find_token(arm, request)
    is_new = accounts.token(arm.world, found["name"], name) is None
    properties = (await body_of(request)).get("properties") or {}
    changes: dict[str, Any] = {}
    if "scopeMapId" in properties or is_new:
        changes["scope_map"] = _scope_map_of(arm, found, properties.get("scopeMapId"))
    if properties.get("status") is not None:
        if properties["status"] not in ("enabled", "disabled"):
            raise ArmError(400, "InvalidTokenStatus", f"The token status '{properties['status']}' is not valid.")
        changes["status"] = properties["status"]
    token = accounts.put_token(arm.world, found["name"], name, **changes)
    return _accepted(arm, request, _token(arm, found, token), 201 if is_new else 200)


def _scope_map_of(arm: Arm, found: Mapping[str, Any], scope_map_id: object) -> str:
    prefix = f"{arm.registry_id(found)}/scopeMaps/"
    if isinstance(scope_map_id, str) and scope_map_id.lower().startswith(prefix.lower()):
        name = scope_map_id[len(prefix) :]
        if accounts.scope_map(arm.world, found["name"], name) is not None:
            return name
    raise ArmError(400, "ScopeMapNotFound", f"The scope map '{scope_map_id}' was not found.")


async def _delete_token(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    deleted = arm.world.store.delete("acr-token", f"{found['name']}/{request.match_info['name']}".lower())
    return web.Response(status=200 if deleted else 204)


async def _generate(arm: Arm, request: web.Request) -> web.Response:
    found = _find(arm, request)
    body = await body_of(request)
    token_id = str(body.get("tokenId", ""))
    prefix = f"{arm.registry_id(found)}/tokens/"
    name = token_id[len(prefix) :] if token_id.lower().startswith(prefix.lower()) else ""
    if not name or accounts.token(arm.world, found["name"], name) is None:
        raise ArmError(404, "TokenNotFound", f"The token '{token_id}' was not found.")
    which = body.get("name")
    if which is not None and which not in accounts.TOKEN_PASSWORDS:
        raise ArmError(400, "InvalidCredentialName", f"The credential name '{which}' is invalid.")
    wanted = accounts.TOKEN_PASSWORDS if which is None else (which,)
    token = accounts.generate_token_passwords(arm.world, found["name"], name, wanted, _expiry(arm, body.get("expiry")))
    result = {
        "username": token["name"],
        "passwords": [
            {"name": one, "value": password["value"], "creationTime": password["created"], "expiry": password["expiry"]}
            for one, password in sorted(token["passwords"].items())
            if one in wanted
        ],
    }
    operation = arm.operation(result)
    location = _operation_url(arm, request, "operationResults", operation)
    return web.Response(status=202, headers={"Location": location, "Retry-After": _RETRY_AFTER})


def _expiry(arm: Arm, text: object) -> str | None:
    if text is None:
        return None
    try:
        # Python 3.10 does not read a Z at the end.
        expiry = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*|[Zz]$", _six_digits, str(text)))
    except ValueError as error:
        words = f"The expiry '{text}' is not a valid date and time."
        raise ArmError(400, "InvalidExpiry", words) from error
    expiry = expiry if expiry.tzinfo else expiry.replace(tzinfo=timezone.utc)
    if expiry.timestamp() <= arm.world.now():
        raise ArmError(400, "InvalidExpiry", f"The expiry '{text}' is in the past.")
    return accounts.iso(expiry.timestamp())


def _six_digits(match: re.Match[str]) -> str:
    return match[1] or "+00:00"


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9-]{5,50}", name):
        words = f"The {what} name '{name}' is invalid. It must have 5 to 50 alphanumeric characters or hyphens."
        raise ArmError(400, "InvalidResourceName", words)


def _accepted(arm: Arm, request: web.Request, result: Mapping[str, Any], status: int) -> web.Response:
    """The answer to a change: carried out at once here, but reported as the provider does, through an operation."""
    operation = arm.operation(result)
    url = _operation_url(arm, request, "operations", operation)
    return web.json_response(result, status=status, headers={"Azure-AsyncOperation": url, "Retry-After": _RETRY_AFTER})


def _operation_url(arm: Arm, request: web.Request, kind: str, operation: str) -> str:
    names = arm.world.names
    return (
        f"https://management.azure.com/subscriptions/{names.subscription_id}/providers/Microsoft.ContainerRegistry"
        f"/locations/{names.location}/{kind}/{operation}?api-version={request.query['api-version']}"
    )


async def _operation_status(arm: Arm, request: web.Request) -> web.Response:
    operation = request.match_info["operation"]
    if arm.world.store.get("arm-operation", operation) is None:
        raise ArmError(404, "OperationNotFound", f"The operation '{operation}' was not found.")
    return web.json_response({"status": "Succeeded"})


async def _operation_result(arm: Arm, request: web.Request) -> web.Response:
    operation = request.match_info["operation"]
    result = arm.world.store.get("arm-operation", operation)
    if result is None:
        raise ArmError(404, "OperationNotFound", f"The operation '{operation}' was not found.")
    return web.json_response(result)
