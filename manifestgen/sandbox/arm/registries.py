"""ARM's resource provider Microsoft.ContainerRegistry: registries and their admin user; see also `tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.acr_tasks import settings
from manifestgen.sandbox.arm.provider import ALL, KIND, ONE, SUBSCRIPTION, VERSIONS, accepted, find_registry
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, body_of, page
from manifestgen.sandbox.arm.tokens import routes as token_routes

# The versions that tell whether roles are for the whole registry or for repositories.
_WITH_MODE = frozenset({"2025-03-01-preview", "2025-11-01", "2026-09-01-preview"})


def routes() -> list[Route]:
    """The provider's routes."""
    table = [
        ("GET", f"{SUBSCRIPTION}/registries", _list),
        ("GET", f"{SUBSCRIPTION}/locations/{{location}}/operationResults/{{operation}}", _operation_result),
        ("GET", f"{SUBSCRIPTION}/locations/{{location}}/operations/{{operation}}", _operation_status),
        ("GET", ALL, _list),
        ("GET", ONE, _get),
        ("PATCH", ONE, _update),
        ("POST", f"{ONE}/listCredentials", _credentials),
        ("POST", f"{ONE}/regenerateCredential", _regenerate),
    ]
    own = [Route(method, path, "registries", VERSIONS, handle) for method, path, handle in table]
    return [*own, *token_routes()]


def _registry(arm: Arm, found: Mapping[str, Any], version: str = "") -> dict[str, Any]:
    tasks = settings.get(arm.world, found["name"])
    return {
        "id": arm.registry_id(found),
        "name": found["name"],
        "type": KIND,
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
            "networkRuleSet": {"defaultAction": "Deny" if tasks.firewall else "Allow", "ipRules": []},
            **({"roleAssignmentMode": tasks.mode} if version in _WITH_MODE else {}),
        },
    }


async def _list(arm: Arm, request: web.Request) -> web.Response:
    group = request.match_info.get("group")
    found = accounts.registries(arm.world)
    version = request.query["api-version"]
    return page(
        [_registry(arm, one, version) for one in found if group is None or one["group"].lower() == group.lower()]
    )


async def _get(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_registry(arm, find_registry(arm, request), request.query["api-version"]))


async def _update(arm: Arm, request: web.Request) -> web.Response:
    found = find_registry(arm, request)
    properties = (await body_of(request)).get("properties") or {}
    enabled = properties.get("adminUserEnabled", found["admin_enabled"])
    if not isinstance(enabled, bool):
        words = "The request content was invalid and could not be deserialized: 'adminUserEnabled' is not a boolean."
        raise ArmError(400, "InvalidRequestContent", words)
    updated = _registry(arm, accounts.set_admin(arm.world, found["name"], enabled))
    return accepted(arm, request, updated, 200)


async def _credentials(arm: Arm, request: web.Request) -> web.Response:
    found = find_registry(arm, request)
    _check_admin(arm, found)
    return web.json_response(
        {"username": found["name"], "passwords": accounts.admin_passwords(arm.world, found["name"])}
    )


async def _regenerate(arm: Arm, request: web.Request) -> web.Response:
    found = find_registry(arm, request)
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


async def _operation_status(arm: Arm, request: web.Request) -> web.Response:
    _operation(arm, request)
    return web.json_response({"status": "Succeeded"})


async def _operation_result(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_operation(arm, request))


def _operation(arm: Arm, request: web.Request) -> Any:
    operation = request.match_info["operation"]
    result = arm.world.store.get("arm-operation", operation)
    if result is None:
        raise ArmError(404, "OperationNotFound", f"The operation '{operation}' was not found.")
    return result
