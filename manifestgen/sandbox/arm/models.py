"""ARM's Microsoft.MachineLearningServices: models and datastores, the second version of Azure ML's API.

The models are those of the first version, too (`aml.registry`). A model's files are a path in a datastore; clients
upload them to Blob Storage with a datastore's secret. Source: azure-ai-ml 1.35, whose requests these are, and
learn.microsoft.com/rest/api/azureml (Model Versions, Model Containers, Datastores).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import blob_sas
from manifestgen.sandbox.aml import registry
from manifestgen.sandbox.aml.artifacts import CONTAINER
from manifestgen.sandbox.aml.responses import Document, iso
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, body_of, page

_KIND: Final = "Microsoft.MachineLearningServices/workspaces"
# azure-ai-ml 1.35 asks for models with 2023-08-01-preview and for datastores with 2024-10-01-preview.
_VERSIONS: Final = frozenset(
    {"2023-04-01", "2023-08-01-preview", "2023-10-01", "2024-04-01", "2024-07-01-preview", "2024-10-01"}
    | {"2024-10-01-preview", "2025-06-01", "2025-12-01"}
)
_DEFAULT: Final = "workspaceblobstore"
# Both have the same storage container here; in Azure, each has its own.
_DATASTORES: Final = (_DEFAULT, "workspaceartifactstore")
_PATH: Final = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/)?datastores/(?P<store>[^/]+)/paths/(?P<path>.+)",
    re.IGNORECASE,
)
_PAGE: Final = 30
_VIEWS: Final[Mapping[str, Callable[[bool], bool]]] = {
    "ActiveOnly": lambda archived: not archived,
    "ArchivedOnly": lambda archived: archived,
    "All": lambda archived: True,
}


def routes(workspace: str, check: Callable[[Arm, web.Request], None]) -> list[Route]:
    """The routes below a workspace's path; `check` raises ArmError unless the workspace exists."""
    table = [
        ("GET", "/datastores", "datastores", _list_datastores),
        ("GET", "/datastores/{store}", "datastores", _get_datastore),
        ("POST", "/datastores/{store}/listSecrets", "datastores", _list_secrets),
        ("GET", "/models", "models", _list_containers),
        ("GET", "/models/{model}", "models", _get_container),
        ("GET", "/models/{model}/versions", "models/versions", _list_versions),
        ("GET", "/models/{model}/versions/{version}", "models/versions", _get_version),
        ("PUT", "/models/{model}/versions/{version}", "models/versions", _put_version),
    ]

    def checked(handle: Callable[[Arm, web.Request], Any]) -> Callable[[Arm, web.Request], Any]:
        async def handler(arm: Arm, request: web.Request) -> web.Response:
            check(arm, request)
            response: web.Response = await handle(arm, request)
            return response

        return handler

    return [
        Route(method, f"{workspace}{path}", f"workspaces/{kind}", _VERSIONS, checked(handle))
        for method, path, kind, handle in table
    ]


def _system_data(created: str, modified: str) -> dict[str, str]:
    by = {"createdBy": "sandbox", "createdByType": "Application", "lastModifiedBy": "sandbox"}
    return {**by, "createdAt": created, "lastModifiedAt": modified, "lastModifiedByType": "Application"}


def _datastore(arm: Arm, name: str) -> dict[str, Any]:
    names = arm.world.names
    return {
        "id": f"{names.workspace_arm_id}/datastores/{name}",
        "name": name,
        "type": f"{_KIND}/datastores",
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isDefault": name == _DEFAULT,
            "datastoreType": "AzureBlob",
            "accountName": names.storage_account,
            "containerName": CONTAINER,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "subscriptionId": names.subscription_id,
            "resourceGroup": names.resource_group,
            "serviceDataAccessAuthIdentity": "None",
            "credentials": {"credentialsType": "AccountKey"},
        },
        "systemData": _system_data("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
    }


async def _list_datastores(arm: Arm, request: web.Request) -> web.Response:
    only_default = request.query.get("isDefault", "").lower() == "true"
    return page([_datastore(arm, name) for name in _DATASTORES if name == _DEFAULT or not only_default])


def _store_of(arm: Arm, request: web.Request) -> str:
    name = request.match_info["store"]
    if name not in _DATASTORES:
        raise ArmError(404, "UserError", f"Could not find datastore: {name}.")
    return name


async def _get_datastore(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_datastore(arm, _store_of(arm, request)))


async def _list_secrets(arm: Arm, request: web.Request) -> web.Response:
    """The account's key, or for `expirableSecret` a signature for the container, which is what azure-ai-ml asks for."""
    _store_of(arm, request)
    if (await body_of(request)).get("expirableSecret") is True:
        token = blob_sas.container_sas(arm.world, CONTAINER, "rcwl")
        return web.json_response({"secretsType": "Sas", "sasToken": token})
    return web.json_response({"secretsType": "AccountKey", "key": arm.world.secret("storage:key")})


def _container(arm: Arm, models: Sequence[Document]) -> dict[str, Any]:
    newest = models[-1]
    return {
        "id": f"{arm.world.names.workspace_arm_id}/models/{newest['name']}",
        "name": newest["name"],
        "type": f"{_KIND}/models",
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": all(model.get("archived", False) for model in models),
            "latestVersion": str(newest["version"]),
            "nextVersion": str(registry.next_version(arm.world, newest["name"])),
        },
        "systemData": _system_data(models[0]["createdTime"], newest["modifiedTime"]),
    }


async def _list_containers(arm: Arm, request: web.Request) -> web.Response:
    by_name: dict[str, list[Document]] = {}
    for model in registry.versions(arm.world):
        by_name.setdefault(model["name"], []).append(model)
    shown = _view(request)
    found = [_container(arm, models) for models in by_name.values()]
    return _paged(request, [one for one in found if shown(one["properties"]["isArchived"])])


async def _get_container(arm: Arm, request: web.Request) -> web.Response:
    name = request.match_info["model"]
    models = registry.versions(arm.world, name)
    if not models:
        raise ArmError(404, "UserError", f"Model container with name: {name} not found.")
    return web.json_response(_container(arm, models))


def _version(arm: Arm, model: Document) -> dict[str, Any]:
    names = arm.world.names
    return {
        "id": f"{names.workspace_arm_id}/models/{model['name']}/versions/{model['version']}",
        "name": str(model["version"]),
        "type": f"{_KIND}/models/versions",
        "properties": {
            "description": model["description"],
            "tags": model["kvTags"],
            "properties": model["properties"],
            "isArchived": model.get("archived", False),
            "isAnonymous": False,
            "flavors": model.get("flavors") or {},
            "modelType": model.get("modelType", "custom_model"),
            "modelUri": _uri(arm, model),
            "stage": model.get("stage"),
            "jobName": model["runId"],
        },
        "systemData": _system_data(model["createdTime"], model["modifiedTime"]),
    }


def _uri(arm: Arm, model: Document) -> str:
    """Where the model's files are; azureml-core's are in the datastore of artifacts."""
    if "datastore" in model:
        store, path = model["datastore"], model["path"]
    else:
        asset = registry.asset_of(arm.world, model["url"]) or {"artifacts": []}
        store, path = "workspaceartifactstore", next(map(registry.prefix_of, asset["artifacts"]), "")
    names = arm.world.names
    return (
        f"azureml://subscriptions/{names.subscription_id}/resourceGroups/{names.resource_group}"
        f"/workspaces/{names.workspace}/datastores/{store}/paths/{path}"
    )


async def _list_versions(arm: Arm, request: web.Request) -> web.Response:
    order = request.query.get("$orderBy", "createdtime desc").lower()
    if order not in ("createdtime desc", "createdtime asc"):
        raise ArmError(400, "UserError", f"The value '{order}' of $orderBy is not valid.")
    name, shown = request.match_info["model"], _view(request)
    found = [model for model in registry.versions(arm.world, name) if shown(model.get("archived", False))]
    found.sort(key=lambda model: (model["createdTime"], model["version"]), reverse=order.endswith("desc"))
    return _paged(request, [_version(arm, model) for model in found])


def _view(request: web.Request) -> Callable[[bool], bool]:
    view = request.query.get("listViewType", "ActiveOnly")
    if view not in _VIEWS:
        raise ArmError(400, "UserError", f"The value '{view}' of listViewType is not valid.")
    return _VIEWS[view]


def _paged(request: web.Request, items: Sequence[Any]) -> web.Response:
    numbers = [request.query.get("$skip", "0"), request.query.get("$top", str(_PAGE))]
    if not all(number.isdecimal() for number in numbers):
        raise ArmError(400, "UserError", "$skip and $top must be whole numbers.")
    skip, top = map(int, numbers)
    body: dict[str, Any] = {"value": list(items[skip : skip + top])}
    if skip + top < len(items):
        body["nextLink"] = str(request.url.with_scheme("https").update_query({"$skip": str(skip + top)}))
    return web.json_response(body)


def _found(arm: Arm, request: web.Request) -> Document:
    name, version = request.match_info["model"], request.match_info["version"]
    model = registry.find(arm.world, name, version)
    if model is None:
        raise ArmError(404, "UserError", f"Model {name} with version {version} not found.")
    return model


async def _get_version(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_version(arm, _found(arm, request)))


async def _put_version(arm: Arm, request: web.Request) -> web.Response:
    """Create a model, or change what may change of one: description, tags, stage, whether it is archived."""
    name, version = request.match_info["model"], request.match_info["version"]
    given = (await body_of(request)).get("properties")
    if not isinstance(given, dict):
        raise ArmError(400, "UserError", "The properties field is required.")
    if not registry.NAME.fullmatch(name):
        raise ArmError(400, "UserError", f"Model name '{name}' is invalid.")
    if not version.isdecimal() or not 0 < int(version) < 10**9:
        raise ArmError(400, "UserError", f"Version '{version}': the sandbox supports whole numbers only.")
    store, path = _place(given.get("modelUri"))
    model = registry.find(arm.world, name, version)
    status = 201 if model is None else 200
    if model is None:
        if not registry.register_uploads(arm.world, path):
            raise ArmError(400, "UserError", f"The path '{path}' of datastore {store} does not exist.")
        asset = registry.put_asset(arm.world, path.rpartition("/")[2], [{"prefix": path}], {})
        model = registry.new_model(arm.world, name, int(version), registry.asset_url(asset), {})
        model |= {"datastore": store, "path": path, "modelType": str(given.get("modelType") or "custom_model")}
        model |= {"properties": _strings(given, "properties"), "flavors": given.get("flavors") or {}}
    elif _uri(arm, model).rpartition("/paths/")[2] != path:
        raise ArmError(400, "UserError", "Asset paths cannot be updated.")
    model |= {"description": given.get("description"), "kvTags": _strings(given, "tags"), "stage": given.get("stage")}
    model |= {"archived": bool(given.get("isArchived")), "modifiedTime": iso(arm.world.now())}
    registry.put(arm.world, model)
    return web.json_response(_version(arm, model), status=status)


def _place(uri: Any) -> tuple[str, str]:
    """Datastore and path of a model's files. Raises ArmError 400."""
    match = _PATH.fullmatch(uri) if isinstance(uri, str) else None
    if match is None or match["store"] not in _DATASTORES:
        raise ArmError(400, "UserError", f"The model path '{uri}' is not a path in a datastore of this workspace.")
    return match["store"], match["path"].rstrip("/")


def _strings(given: Mapping[str, Any], key: str) -> dict[str, str]:
    value = given.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ArmError(400, "UserError", f"The {key} field must map strings to strings.")
    return dict(value)
