"""Logins of a pipeline's job without a secret: Entra ID exchanges the job's own token for one of Azure.

GitHub and Azure Pipelines sign a short-lived token that says which job runs. An identity in Azure that has a federated
credential for this job takes it in place of a secret, so there is none to store, leak or renew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from manifestgen.errors import CloudError, DeniedError, InputError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import AzureError
    from azure.core.pipeline.transport import RequestsTransport

#: Variables that decide about a login and do not begin with AZURE.
VARIABLES: Final = (
    "GITHUB_ACTIONS",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "TF_BUILD",
    "SYSTEM_OIDCREQUESTURI",
    "SYSTEM_ACCESSTOKEN",
)

_GITHUB: Final = "GitHub Actions"
# By the host of AZURE_AUTHORITY_HOST; every other one is the public cloud's.
_AUDIENCES: Final = {
    "login.microsoftonline.us": "api://AzureADTokenExchangeUSGov",
    "login.chinacloudapi.cn": "api://AzureADTokenExchangeChina",
}
_AUDIENCE: Final = "api://AzureADTokenExchange"
# Each is an explicit login, which the user set on purpose.
_OTHER_LOGINS: Final = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE")

Create = Callable[["RequestsTransport"], "TokenCredential"]


def of_pipeline(environ: Mapping[str, str]) -> Create | None:
    """A function that creates the credential of the current pipeline job; None without one.

    A client secret, a certificate or a workload's token file in the environment wins, and so does an
    `AZURE_TOKEN_CREDENTIALS` that asks for anything but credentials of services.
    """
    if environ.get("AZURE_TOKEN_CREDENTIALS", "").strip().lower() not in ("", "prod"):
        return None
    if any(environ.get(name) for name in _OTHER_LOGINS):
        return None
    return _of_github(environ) or _of_azure_pipelines(environ)


def advice(environ: Mapping[str, str]) -> str:
    """The advice on a missing or rejected login for where this process runs."""
    if environ.get("GITHUB_ACTIONS") == "true":
        if not environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
            return (
                "give the job 'permissions: id-token: write', and set AZURE_TENANT_ID and AZURE_CLIENT_ID; a pull "
                "request from a fork gets no token, so run only 'check' there"
            )
        return (
            "set AZURE_TENANT_ID and AZURE_CLIENT_ID to an identity that has a federated credential for this "
            "repository's branch or environment"
        )
    if environ.get("TF_BUILD"):
        return (
            "run the step with a service connection for workload identity federation, and pass SYSTEM_ACCESSTOKEN and "
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID to it; or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
            "AZURE_CLIENT_SECRET"
        )
    return (
        "run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; a pipeline needs no secret: "
        "see its guide"
    )


def _of_github(environ: Mapping[str, str]) -> Create | None:
    url, request_token = environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"), _secret(environ, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    tenant, client = environ.get("AZURE_TENANT_ID"), environ.get("AZURE_CLIENT_ID")
    if not url or not request_token or not tenant or not client:
        return None
    _require_https(url, "ACTIONS_ID_TOKEN_REQUEST_URL")
    audience = _AUDIENCES.get(_host(environ.get("AZURE_AUTHORITY_HOST", "")), _AUDIENCE)
    address = f"{url}{'&' if urlsplit(url).query else '?'}audience={quote(audience, safe='')}"

    def create(transport: RequestsTransport) -> TokenCredential:
        from azure.identity import ClientAssertionCredential

        # azure-identity calls this for each token of Azure: the job's own is gone after minutes.
        def assertion() -> str:
            return _job_token(transport, address, request_token)

        return ClientAssertionCredential(tenant, client, assertion, transport=transport, retry_total=0)

    return create


def _job_token(transport: RequestsTransport, address: str, request_token: Secret) -> str:
    """The token that says which job of GitHub Actions runs. Raises DeniedError, CloudError."""
    from azure.core.pipeline.transport import HttpRequest

    headers = {"Authorization": f"Bearer {request_token.reveal()}", "Accept": "application/json"}
    response = transport.send(HttpRequest("GET", address, headers))
    if response.status_code in (401, 403):
        raise DeniedError(
            f"{_GITHUB} issued no token for this job: status {response.status_code}",
            where=_host(address),
            fix="give the job 'permissions: id-token: write', and run it again: a job's right to tokens ends with it",
        )
    try:
        token: Any = json.loads(response.body())["value"] if response.status_code == 200 else None
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        raise CloudError(
            f"{_GITHUB} did not answer with a token: status {response.status_code}",
            where=_host(address),
            fix="run the job again; see githubstatus.com for an outage",
        )
    return Secret(token).reveal()  # from here on, it is hidden wherever it comes up


def _of_azure_pipelines(environ: Mapping[str, str]) -> Create | None:
    uri, access_token = environ.get("SYSTEM_OIDCREQUESTURI"), _secret(environ, "SYSTEM_ACCESSTOKEN")
    tenant = environ.get("AZURESUBSCRIPTION_TENANT_ID") or environ.get("AZURE_TENANT_ID")
    client = environ.get("AZURESUBSCRIPTION_CLIENT_ID") or environ.get("AZURE_CLIENT_ID")
    connection = environ.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")
    if not uri or not access_token or not tenant or not client or not connection:
        return None
    _require_https(uri, "SYSTEM_OIDCREQUESTURI")

    def create(transport: RequestsTransport) -> TokenCredential:
        from azure.identity import AzurePipelinesCredential

        return AzurePipelinesCredential(
            tenant_id=tenant,
            client_id=client,
            service_connection_id=connection,
            system_access_token=access_token.reveal(),
            transport=transport,
            retry_total=0,
        )

    return create


def refused_connection(error: AzureError) -> DeniedError | None:
    """The error for a job to which Azure Pipelines gives no token for its service connection; None for another one."""
    response = getattr(error, "response", None)
    if response is None or not urlsplit(str(response.request.url)).path.endswith("/oidctoken"):
        return None
    return DeniedError(
        f"Azure Pipelines issued no token for the service connection: status {response.status_code}",
        where=_host(str(response.request.url)),
        fix="let the pipeline use the connection that AZURESUBSCRIPTION_SERVICE_CONNECTION_ID names, and set "
        "SYSTEM_ACCESSTOKEN to $(System.AccessToken) of this job",
    )


def _secret(environ: Mapping[str, str], variable: str) -> Secret:
    """The value of a variable as a secret; false if it is not set."""
    return Secret(environ.get(variable, ""))


def _require_https(address: str, variable: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(
            "not the address of a pipeline's token service",
            where=variable,
            fix="unset it: only the runner of a pipeline sets it, to an https address",
        )


def _host(address: str) -> str:
    return urlsplit(address if "://" in address else f"//{address}").hostname or ""
