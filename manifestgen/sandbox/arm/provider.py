"""Shared by all requests to ARM's resource provider Microsoft.ContainerRegistry: paths, versions, responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.arm.request import Arm, not_found

KIND: Final = "Microsoft.ContainerRegistry/registries"

#: The api-versions of azure-mgmt-containerregistry 14 (2025-04-01), 15 (2025-11-01), their predecessors, and az.
VERSIONS: Final = frozenset(
    {"2019-05-01", "2022-12-01", "2023-07-01", "2025-04-01", "2025-11-01"}
    | {"2020-11-01-preview", "2021-08-01-preview", "2022-02-01-preview", "2023-01-01-preview", "2023-11-01-preview"}
    | {"2024-11-01-preview", "2025-03-01-preview", "2026-09-01-preview"}
)

SUBSCRIPTION: Final = "/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry"
ALL: Final = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries"
ONE: Final = ALL + "/{registry}"

# In seconds. Without this header, a client waits 30.
_RETRY_AFTER: Final = "1"


def find_registry(arm: Arm, request: web.Request) -> Mapping[str, Any]:
    """The registry in a path. Raises ArmError 404."""
    name, group = request.match_info["registry"], request.match_info["group"]
    found = accounts.registry(arm.world, name)
    if found is None or found["group"].lower() != group.lower():
        raise not_found(KIND, name, group)
    return found


def accepted(arm: Arm, request: web.Request, result: Mapping[str, Any], status: int) -> web.Response:
    """The response to a change. It takes effect at once here but, as in Azure, is reported through an operation."""
    url = _operation_url(arm, request, "operations", arm.operation(result))
    return web.json_response(result, status=status, headers={"Azure-AsyncOperation": url, "Retry-After": _RETRY_AFTER})


def fetched_later(arm: Arm, request: web.Request, result: Mapping[str, Any]) -> web.Response:
    """The response to an action whose result is at another address."""
    url = _operation_url(arm, request, "operationResults", arm.operation(result))
    return web.Response(status=202, headers={"Location": url, "Retry-After": _RETRY_AFTER})


def _operation_url(arm: Arm, request: web.Request, kind: str, operation: str) -> str:
    names = arm.world.names
    return (
        f"https://management.azure.com/subscriptions/{names.subscription_id}/providers/Microsoft.ContainerRegistry"
        f"/locations/{names.location}/{kind}/{operation}?api-version={request.query['api-version']}"
    )
