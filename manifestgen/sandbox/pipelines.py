"""The services that tell a pipeline's job who it is: GitHub's and Azure Pipelines' issuers of OpenID Connect tokens.

A job has the URL and a token to request them in its environment. `variables_of` makes those for a job;
the token holds what the job is, so nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox.error_response import error_response
from manifestgen.sandbox.federation import (
    AUDIENCE,
    AZURE_PIPELINES_ISSUER,
    GITHUB_ISSUER,
    claims_of,
    sign,
)
from manifestgen.sandbox.world import World

_GITHUB: Final = "run.actions.githubusercontent.com"
_AZURE: Final = "dev.azure.com"
HOSTS = (_GITHUB, _AZURE)

#: The service connection that a job of Azure Pipelines may use.
CONNECTION: Final = "5ab5c710-0000-4000-8000-00000000000c"

_OF_REQUESTS: Final = "manifestgen sandbox: request of a job"
# Runners take the requests of a job for as long as it may run.
_JOB_SECONDS: Final = 6 * 3600


def variables_of(world: World, kind: str, subject: str) -> dict[str, str]:
    """The variables of a job that may ask for tokens.

    Args:
        world: signs them.
        kind: `github` or `azure-pipelines`.
        subject: of the tokens, such as `repo:contoso/edge:environment:production` or `sc://contoso/edge/production`.

    Raises:
        ValueError: there is no such kind, or no subject.
    """
    if not subject:
        raise ValueError("give the subject of the job's tokens: ?subject=repo:contoso/edge:environment:production")
    names = world.names
    if kind == "github":
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"https://{_GITHUB}/sandbox/idtoken?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": _request_token(world, GITHUB_ISSUER, subject),
            "AZURE_TENANT_ID": names.tenant_id,
            "AZURE_CLIENT_ID": names.client_id,
        }
    if kind == "azure-pipelines":
        plan = "_apis/distributedtask/hubs/build/plans/1/jobs/1/oidctoken"
        return {
            "TF_BUILD": "True",
            "SYSTEM_OIDCREQUESTURI": f"https://{_AZURE}/contoso/edge/{plan}",
            "SYSTEM_ACCESSTOKEN": _request_token(world, AZURE_PIPELINES_ISSUER, subject),
            "AZURESUBSCRIPTION_TENANT_ID": names.tenant_id,
            "AZURESUBSCRIPTION_CLIENT_ID": names.client_id,
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": CONNECTION,
        }
    raise ValueError(f"no such kind of pipeline: {kind!r}; there are 'github' and 'azure-pipelines'")


def create(world: World) -> web.Application:
    """Create the services' application."""

    async def github(request: web.Request) -> web.Response:
        job = _job(world, request, GITHUB_ISSUER)
        if job is None or request.host != _GITHUB:
            return error_response(request.host, 401, "the request's token is not a job's")
        # Without a wish, it is the address of the repository's owner.
        audience = request.query.get("audience", "https://github.com/contoso")
        return web.json_response({"count": 1, "value": sign(world, GITHUB_ISSUER, job["job"], audience)})

    async def azure(request: web.Request) -> web.Response:
        job = _job(world, request, AZURE_PIPELINES_ISSUER)
        if job is None or request.host != _AZURE:
            return error_response(request.host, 401, "the request's token is not a job's")
        if request.query.get("api-version") != "7.1":
            return error_response(request.host, 400, "the request has no api-version that this service knows")
        if request.query.get("serviceConnectionId") != CONNECTION:
            return error_response(request.host, 404, "the job may not use such a service connection")
        return web.json_response({"oidcToken": sign(world, AZURE_PIPELINES_ISSUER, job["job"], AUDIENCE)})

    app = web.Application()
    app.router.add_get("/sandbox/idtoken", github)
    app.router.add_post("/{organization}/{project}/_apis/{rest:.*}/oidctoken", azure)
    return app


def _request_token(world: World, issuer: str, subject: str) -> str:
    return sign(world, issuer, "job", _OF_REQUESTS, lifetime=_JOB_SECONDS, job=subject)


def _job(world: World, request: web.Request, issuer: str) -> Mapping[str, Any] | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = claims_of(world, token.strip()) if scheme.lower() == "bearer" else None
    if claims is None or (claims["iss"], claims["aud"]) != (issuer, _OF_REQUESTS) or claims["exp"] <= world.now():
        return None
    return claims
