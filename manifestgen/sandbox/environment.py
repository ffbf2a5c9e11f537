"""The environment variables that point a client at the sandbox, and keep it away from everything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from manifestgen.sandbox.world import World

# The caller's variables that a client of the sandbox must not see: real credentials, settings that point elsewhere.
_FOREIGN_PREFIXES = ("AZURE_", "AZUREML_", "ARM_", "MSI_", "IDENTITY_", "IOTHUB_", "IOTEDGE_", "ACR_")
_FOREIGN = frozenset({"IMDS_ENDPOINT", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})


def environment(world: World, *, proxy: str, certificate: Path, admin: str) -> dict[str, str]:
    """The variables for a client.

    Microsoft's Python SDKs need `HTTPS_PROXY` and `REQUESTS_CA_BUNDLE`; clients in Go and Python's own `ssl` need
    `SSL_CERT_FILE`; curl needs `CURL_CA_BUNDLE`. `HTTP_PROXY` keeps requests without TLS, such as those for a managed
    identity, on this machine. The rest are a credential and the resources' names.
    """
    names = world.names
    hub_key = world.secret("hub:iothubowner")
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
        "AZURE_TENANT_ID": names.tenant_id,
        "AZURE_CLIENT_ID": names.client_id,
        "AZURE_CLIENT_SECRET": world.secret("entra:client"),
        "AZURE_SUBSCRIPTION_ID": names.subscription_id,
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        "AZUREML_ARM_SUBSCRIPTION": names.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": names.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": names.workspace,
        "IOTHUB_HOST": names.hub_host,
        "IOTHUB_DEVICE_ID": names.device,
        "IOTHUB_CONNECTION_STRING": (
            f"HostName={names.hub_host};SharedAccessKeyName=iothubowner;SharedAccessKey={hub_key}"
        ),
        "MANIFESTGEN_SANDBOX": admin,
    }


def without_azure(variables: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables, except those that point to a real Azure, a credential or another proxy."""
    return {
        name: value
        for name, value in variables.items()
        if name.upper() not in _FOREIGN and not name.upper().startswith(_FOREIGN_PREFIXES)
    }
