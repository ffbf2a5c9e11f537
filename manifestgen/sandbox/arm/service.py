"""Azure Resource Manager: subscriptions, resource groups and the workspace; registries are in `registries`.

As in ARM, paths ignore case. Each request is checked in ARM's order: token, api-version, subscription, resource group,
resource.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts, key_vault
from manifestgen.sandbox.acr_tasks import routes as acr_tasks
from manifestgen.sandbox.acr_tasks import runs, settings
from manifestgen.sandbox.arm.models import routes as model_routes
from manifestgen.sandbox.arm.registries import routes as registry_routes
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, not_found, page
from manifestgen.sandbox.hub.auth import policy_key
from manifestgen.sandbox.hub.throttle import size
from manifestgen.sandbox.world import World

HOSTS = ("management.azure.com",)

_SUBSCRIPTIONS = frozenset(
    {"2014-04-01", "2015-01-01", "2016-06-01", "2018-06-01", "2019-06-01", "2019-11-01", "2020-01-01", "2021-01-01"}
    | {"2022-12-01", "2024-03-01", "2024-11-01"}
)
_GROUPS = frozenset(
    {"2019-10-01", "2020-06-01", "2020-10-01", "2021-01-01", "2021-04-01", "2022-09-01", "2024-03-01", "2024-11-01"}
    | {"2025-03-01", "2025-04-01"}
)
# az's `resource` commands use 2015-11-01.
_RESOURCES = _GROUPS | {"2015-11-01"}
_WORKSPACES = frozenset(
    {"2019-06-01", "2019-11-01", "2020-01-01", "2020-04-01", "2021-04-01", "2021-07-01", "2022-05-01", "2022-10-01"}
    | {"2023-04-01", "2023-10-01", "2024-04-01", "2024-10-01"}
)
_HUBS = frozenset({"2021-07-02", "2023-06-30", "2023-06-30-preview"})
_VAULTS = "Microsoft.KeyVault/vaults"
_METADATA = frozenset({"2015-01-01", "2019-05-01", "2020-06-01", "2022-09-01", "2023-12-01"})

_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{name}"
)
_HUB = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Devices/IotHubs/{name}"


def create(world: World) -> web.Application:
    """Create the service's application."""
    arm = Arm(world)
    app = web.Application()
    for route in (*_ROUTES, *registry_routes(), *acr_tasks.routes()):
        app.router.add_route(route.method, _any_case(route.path), arm.handler(route))

    async def resume(_: web.Application) -> None:
        runs.resume(world)

    app.on_startup.append(resume)
    return app


def _any_case(path: str) -> str:
    """The path as an aiohttp pattern whose fixed parts ignore case."""
    parts = path.split("/")[1:]
    return "".join(
        f"/{part}" if part.startswith("{") else f"/{{_{number}:(?i:{re.escape(part)})}}"
        for number, part in enumerate(parts)
    )


async def _endpoints(arm: Arm, request: web.Request) -> web.Response:
    cloud = {
        "name": "AzureCloud",
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com/",
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": "https://management.azure.com/",
        "graph": "https://graph.windows.net/",
        "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "portal": "https://portal.azure.com/",
        "gallery": "https://gallery.azure.com/",
        "batch": "https://batch.core.windows.net/",
        "media": "https://rest.media.azure.net",
        "sqlManagement": "https://management.core.windows.net:8443/",
        "vmImageAliasDoc": "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/main/arm-compute/aliases.json",
        "suffixes": {
            "acrLoginServer": "azurecr.io",
            "storage": "core.windows.net",
            "keyVaultDns": "vault.azure.net",
            "sqlServerHostname": "database.windows.net",
        },
    }
    return web.json_response([cloud])


def _subscription(world: World) -> dict[str, Any]:
    names = world.names
    return {
        "id": f"/subscriptions/{names.subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": names.subscription_id,
        "tenantId": names.tenant_id,
        "displayName": "manifestgen sandbox",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            # Free and credit subscriptions are those that may not use ACR Tasks.
            "quotaId": "PayAsYouGo_2014-09-01"
            if settings.get(world, names.registry).allowed
            else "FreeTrial_2014-09-01",
            "spendingLimit": "Off",
        },
    }


async def _list_subscriptions(arm: Arm, request: web.Request) -> web.Response:
    return page([_subscription(arm.world)])


async def _get_subscription(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_subscription(arm.world))


async def _list_tenants(arm: Arm, request: web.Request) -> web.Response:
    tenant = arm.world.names.tenant_id
    return page([{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "manifestgen sandbox"}])


def _group(world: World, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{world.names.subscription_id}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": world.names.location,
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }


async def _list_groups(arm: Arm, request: web.Request) -> web.Response:
    return page([_group(arm.world, name) for name in arm.groups()])


async def _get_group(arm: Arm, request: web.Request) -> web.Response:
    wanted = request.match_info["group"].lower()
    return web.json_response(_group(arm.world, next(name for name in arm.groups() if name.lower() == wanted)))


async def _has_group(arm: Arm, request: web.Request) -> web.Response:
    return web.Response(status=204)


async def _list_resources(arm: Arm, request: web.Request) -> web.Response:
    """All resources of the subscription; `$filter` may select a resource type, a name, or both."""
    names = arm.world.names
    group = _group(arm.world, names.resource_group)["id"]
    resources = [
        _resource(arm.world, names.workspace_arm_id, "Microsoft.MachineLearningServices/workspaces"),
        _resource(arm.world, _hub(arm.world)["id"], "Microsoft.Devices/IotHubs"),
        *(
            _resource(arm.world, arm.registry_id(registry), "Microsoft.ContainerRegistry/registries")
            for registry in accounts.registries(arm.world)
        ),
        *(
            _resource(arm.world, f"{group}/providers/Microsoft.KeyVault/vaults/{found['name']}", _VAULTS)
            for found in key_vault.vaults(arm.world)
        ),
    ]
    condition = request.query.get("$filter", "")
    for key, field in (("resourceType", "type"), ("name", "name")):
        wanted = re.search(rf"(?i)\b{key} eq '([^']*)'", condition)
        if wanted:
            resources = [resource for resource in resources if resource[field].lower() == wanted[1].lower()]
    return page(resources)


def _resource(world: World, arm_id: str, kind: str) -> dict[str, Any]:
    return {"id": arm_id, "name": arm_id.rpartition("/")[2], "type": kind, "location": world.names.location}


def workspace(world: World) -> dict[str, Any]:
    """The workspace. As in Azure, `containerRegistry` is null until the first image was built."""
    names = world.names
    base = f"/subscriptions/{names.subscription_id}/resourceGroups/{names.resource_group}/providers"
    registry = world.store.get("workspace", "registry")
    return {
        "id": names.workspace_arm_id,
        "name": names.workspace,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "location": names.location,
        "tags": {},
        "identity": {"type": "SystemAssigned", "tenantId": names.tenant_id, "principalId": names.workspace_id},
        "sku": {"name": "Basic", "tier": "Basic"},
        "properties": {
            "friendlyName": names.workspace,
            "description": "",
            "workspaceId": names.workspace_id,
            "creationTime": "2024-01-01T00:00:00.0000000Z",
            "provisioningState": "Succeeded",
            "storageAccount": f"{base}/Microsoft.Storage/storageAccounts/{names.storage_account}",
            "keyVault": f"{base}/Microsoft.KeyVault/vaults/{names.workspace}",
            "applicationInsights": f"{base}/Microsoft.Insights/components/{names.workspace}",
            "containerRegistry": registry["id"] if registry else None,
            "discoveryUrl": f"https://{names.location}.api.azureml.ms/discovery",
            "hbiWorkspace": False,
            "imageBuildCompute": None,
            "v1LegacyMode": False,
            "publicNetworkAccess": "Enabled",
        },
    }


def _check_workspace(arm: Arm, request: web.Request) -> None:
    names = arm.world.names
    here = (request.match_info["group"].lower(), request.match_info["name"].lower())
    if here != (names.resource_group.lower(), names.workspace.lower()):
        raise not_found("Microsoft.MachineLearningServices/workspaces", here[1], request.match_info["group"])


async def _list_workspaces(arm: Arm, request: web.Request) -> web.Response:
    wanted = request.match_info.get("group", arm.world.names.resource_group).lower()
    return page([workspace(arm.world)] if wanted == arm.world.names.resource_group.lower() else [])


async def _get_workspace(arm: Arm, request: web.Request) -> web.Response:
    _check_workspace(arm, request)
    return web.json_response(workspace(arm.world))


async def _list_keys(arm: Arm, request: web.Request) -> web.Response:
    _check_workspace(arm, request)
    names = arm.world.names
    keys: dict[str, Any] = {
        "userStorageKey": arm.world.secret("storage:key"),
        "userStorageResourceId": workspace(arm.world)["properties"]["storageAccount"],
        "appInsightsInstrumentationKey": names.workspace_id,
    }
    registry = accounts.registry(arm.world, names.registry)
    if arm.world.store.get("workspace", "registry") and registry and registry["admin_enabled"]:
        keys["containerRegistryCredentials"] = {
            "location": names.location,
            "username": names.registry,
            "passwords": accounts.admin_passwords(arm.world, names.registry),
        }
    return web.json_response(keys)


def _hub(world: World) -> dict[str, Any]:
    names, hub = world.names, size(world)
    return {
        "id": (
            f"/subscriptions/{names.subscription_id}/resourceGroups/{names.resource_group}"
            f"/providers/Microsoft.Devices/IotHubs/{names.hub}"
        ),
        "name": names.hub,
        "type": "Microsoft.Devices/IotHubs",
        "location": names.location,
        "subscriptionid": names.subscription_id,
        "resourcegroup": names.resource_group,
        "sku": {"name": hub.tier, "tier": "Free" if hub.tier == "F1" else "Standard", "capacity": hub.units},
        "properties": {"state": "Active", "provisioningState": "Succeeded", "hostName": names.hub_host},
    }


def _check_hub(arm: Arm, request: web.Request) -> None:
    names = arm.world.names
    group, name = request.match_info["group"], request.match_info["name"]
    if (group.lower(), name.lower()) != (names.resource_group.lower(), names.hub.lower()):
        raise not_found("Microsoft.Devices/IotHubs", name, group)


async def _list_hubs(arm: Arm, request: web.Request) -> web.Response:
    wanted = request.match_info.get("group", arm.world.names.resource_group).lower()
    return page([_hub(arm.world)] if wanted == arm.world.names.resource_group.lower() else [])


async def _get_hub(arm: Arm, request: web.Request) -> web.Response:
    _check_hub(arm, request)
    return web.json_response(_hub(arm.world))


async def _hub_keys(arm: Arm, request: web.Request) -> web.Response:
    _check_hub(arm, request)
    rights = {
        "iothubowner": "RegistryWrite, ServiceConnect, DeviceConnect",
        "service": "ServiceConnect",
        "device": "DeviceConnect",
        "registryRead": "RegistryRead",
        "registryReadWrite": "RegistryWrite",
    }
    policies = [
        {
            "keyName": policy,
            "primaryKey": policy_key(arm.world, policy),
            "secondaryKey": policy_key(arm.world, policy, secondary=True),
            "rights": right,
        }
        for policy, right in rights.items()
    ]
    wanted = request.match_info.get("policy")
    if wanted is None:
        return page(policies)
    for policy in policies:
        if policy["keyName"].lower() == wanted.lower():
            return web.json_response(policy)
    raise ArmError(404, "404006", f"The shared access policy '{wanted}' was not found.")


_ROUTES = (
    Route("GET", "/metadata/endpoints", "metadata", _METADATA, _endpoints, public=True),
    Route("GET", "/subscriptions", "subscriptions", _SUBSCRIPTIONS, _list_subscriptions),
    Route("GET", "/tenants", "tenants", _SUBSCRIPTIONS, _list_tenants),
    Route("GET", "/subscriptions/{subscription}", "subscriptions", _SUBSCRIPTIONS, _get_subscription),
    Route("GET", "/subscriptions/{subscription}/resourceGroups", "resourceGroups", _GROUPS, _list_groups),
    Route("GET", "/subscriptions/{subscription}/resourceGroups/{group}", "resourceGroups", _GROUPS, _get_group),
    Route("HEAD", "/subscriptions/{subscription}/resourceGroups/{group}", "resourceGroups", _GROUPS, _has_group),
    Route("GET", "/subscriptions/{subscription}/resources", "resources", _RESOURCES, _list_resources),
    Route(
        "GET",
        "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/workspaces",
        "workspaces",
        _WORKSPACES,
        _list_workspaces,
    ),
    Route("GET", _WORKSPACE.removesuffix("/{name}"), "workspaces", _WORKSPACES, _list_workspaces),
    Route("GET", _WORKSPACE, "workspaces", _WORKSPACES, _get_workspace),
    Route("POST", _WORKSPACE + "/listKeys", "workspaces", _WORKSPACES, _list_keys),
    *model_routes(_WORKSPACE, _check_workspace),
    Route("GET", "/subscriptions/{subscription}/providers/Microsoft.Devices/IotHubs", "IotHubs", _HUBS, _list_hubs),
    Route("GET", _HUB.removesuffix("/{name}"), "IotHubs", _HUBS, _list_hubs),
    Route("GET", _HUB, "IotHubs", _HUBS, _get_hub),
    Route("POST", _HUB + "/listkeys", "IotHubs", _HUBS, _hub_keys),
    Route("POST", _HUB + "/IotHubKeys/{policy}/listkeys", "IotHubs", _HUBS, _hub_keys),
)
