"""Azure Machine Learning, the first version of its API, in the sandbox.

The services of a workspace that azureml-core uses: discovery, artifacts (`artifacts`), assets and registered models
(`models`), images, packages and operations (`images`), builds (`build`). Files are transferred with SAS URLs of
`blob`. No published contract describes these services; paths, bodies and responses are those that azureml-core
1.57 to 1.61 sends and reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from manifestgen.sandbox.aml import artifacts as aml_artifacts
from manifestgen.sandbox.aml import build
from manifestgen.sandbox.aml import images as aml_images
from manifestgen.sandbox.aml import models as aml_models
from manifestgen.sandbox.aml.responses import Rejected, service_error
from manifestgen.sandbox.entra import ARM_AUDIENCES, TokenError, verify_token
from manifestgen.sandbox.world import World

HOSTS = ("*.api.azureml.ms", "*.experiments.azureml.net", "*.modelmanagement.azureml.net")

# The services accept a token for Azure Resource Manager, which azureml-core sends, or one for themselves.
_AUDIENCES = (*ARM_AUDIENCES, "https://ml.azure.com")

_MAX_BODY = 4 << 20
_WORKSPACE = (
    "/subscriptions/{subscription}/resource{_groups:[gG]roups}/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
_ROLE = "The user does not have access to the workspace, or it does not exist."

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create(world: World) -> web.Application:
    """Create the services' application."""
    app = web.Application(middlewares=[_guard(world)], client_max_size=_MAX_BODY)
    app.router.add_get("/discovery", _discovery(world))
    app.router.add_get("/discovery/workspaces/{id}", _discovery(world))
    for service in (aml_artifacts, aml_models, aml_images):
        app.add_routes(service.routes(world, _WORKSPACE))

    async def resume(_: web.Application) -> None:
        build.resume(world)

    app.on_startup.append(resume)
    return app


def _discovery(world: World) -> _Handler:
    base = f"https://{world.names.location}.api.azureml.ms"
    services = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "pipelines", "rlservice")

    async def discovery(request: web.Request) -> web.Response:
        wanted = request.match_info.get("id", world.names.workspace_id)
        if wanted != world.names.workspace_id:
            return service_error(world, 404, "UserError", f"Workspace {wanted} was not found.")
        return web.json_response({name: base for name in services} | {"studio": "https://ml.azure.com"})

    return discovery


def _guard(world: World) -> Any:
    expected = {
        "subscription": world.names.subscription_id.lower(),
        "group": world.names.resource_group.lower(),
        "workspace": world.names.workspace.lower(),
    }

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        named = {key: request.match_info[key].lower() for key in expected if key in request.match_info}
        if not named:
            return await handler(request)
        try:
            verify_token(world, request, _AUDIENCES)
        except TokenError as error:
            return service_error(
                world, 401, error.code, str(error), headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
            )
        if named != expected:
            return service_error(world, 403, "AuthorizationFailed", _ROLE)
        try:
            return await handler(request)
        except Rejected as rejected:
            return rejected.response()

    return guard
