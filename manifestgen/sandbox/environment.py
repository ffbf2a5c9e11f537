"""The environment variables that point a client at the sandbox, and keep it away from everything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from manifestgen.sandbox.hub.auth import connection_string
from manifestgen.sandbox.world import World

# The caller's variables that a client of the sandbox must not see: real credentials, settings that point elsewhere.
_FOREIGN_PREFIXES = (
    "AZURE_",
    "AZUREML_",
    "AZURESUBSCRIPTION_",
    "ACTIONS_ID_TOKEN_",
    "ARM_",
    "MSI_",
    "IDENTITY_",
    "IOTHUB_",
    "IOTEDGE_",
    "ACR_",
)
_FOREIGN = frozenset(
    {
        *("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "IMDS_ENDPOINT"),
        *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    }
)


def environment(world: World, *, proxy: str, certificate: Path, admin: str, home: Path) -> dict[str, str]:
    """The variables for a client.

    Microsoft's Python SDKs need `HTTPS_PROXY` and `REQUESTS_CA_BUNDLE`; clients in Go and Python's own `ssl` need
    `SSL_CERT_FILE`; curl needs `CURL_CA_BUNDLE`; Node needs `NODE_EXTRA_CA_CERTS`. `HTTP_PROXY` keeps requests without
    TLS, such as those for a managed identity, on this machine. The credential has two sets of names: azure-identity's,
    and azureml-core's, which `Workspace.from_config()` without arguments reads. `MANIFESTGEN_STATE` and
    `AZURE_CONFIG_DIR` keep snapshots and az's login out of the user's own folders. The rest are the resources' names.

    Args:
        world: the sandbox's names and secrets.
        proxy: address of the proxy.
        certificate: file with the certificate authority.
        admin: address of the admin API.
        home: folder for what clients keep between their runs.
    """
    names = world.names
    here = "localhost,127.0.0.1"
    return {
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "NO_PROXY": here,
        "no_proxy": here,
        "REQUESTS_CA_BUNDLE": str(certificate),
        "CURL_CA_BUNDLE": str(certificate),
        "SSL_CERT_FILE": str(certificate),
        "NODE_EXTRA_CA_CERTS": str(certificate),
        "AZURE_TENANT_ID": names.tenant_id,
        "AZURE_CLIENT_ID": names.client_id,
        "AZURE_CLIENT_SECRET": world.secret("entra:client"),
        "AZURE_SUBSCRIPTION_ID": names.subscription_id,
        "AZURE_CONFIG_DIR": str(home / ".azure"),
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        "AZUREML_SERVICE_PRINCIPAL_TENANT_ID": names.tenant_id,
        "AZUREML_SERVICE_PRINCIPAL_ID": names.client_id,
        "AZUREML_SERVICE_PRINCIPAL_PASSWORD": world.secret("entra:client"),
        "AZUREML_ARM_SUBSCRIPTION": names.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": names.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": names.workspace,
        "IOTHUB_HOST": names.hub_host,
        "IOTHUB_DEVICE_ID": names.device,
        "IOTHUB_CONNECTION_STRING": connection_string(world, "iothubowner"),
        "MANIFESTGEN_SANDBOX": admin,
        "MANIFESTGEN_SANDBOX_HOME": str(home),
        "MANIFESTGEN_SANDBOX_PROXY": proxy,
        "MANIFESTGEN_STATE": str(home / "manifestgen"),
    }


def without_azure(variables: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables, except those that point to a real Azure, a credential or another proxy."""
    return {
        name: value
        for name, value in variables.items()
        if name.upper() not in _FOREIGN and not name.upper().startswith(_FOREIGN_PREFIXES)
    }
