"""Runs Microsoft's Python SDKs against the sandbox; `table` runs this file with a Python that has them.

Prints one JSON line for each operation: what was called, and `works` or the error. An SDK that is not installed is
left out.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SUBSCRIPTION = os.environ["AZURE_SUBSCRIPTION_ID"]


def credential() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def identity(attempt: Callable[..., None]) -> None:
    attempt(
        "DefaultAzureCredential().get_token", lambda: credential().get_token("https://management.azure.com/.default")
    )


def containerregistry(attempt: Callable[..., None]) -> None:
    from azure.containerregistry import ContainerRegistryClient

    client = ContainerRegistryClient("https://sandboxmodels.azurecr.io", credential())
    attempt("list_repository_names", lambda: list(client.list_repository_names()), "sdk/app")
    attempt("get_repository_properties", lambda: client.get_repository_properties("sdk/app").tag_count, 1)
    attempt("list_tag_properties", lambda: [tag.name for tag in client.list_tag_properties("sdk/app")], "v1")
    attempt("get_tag_properties", lambda: client.get_tag_properties("sdk/app", "v1").name, "v1")
    attempt(
        "list_manifest_properties",
        lambda: [m.architecture for m in client.list_manifest_properties("sdk/app")],
        "amd64",
    )
    attempt("get_manifest_properties", lambda: client.get_manifest_properties("sdk/app", "v1").tags, "v1")
    attempt("get_manifest", lambda: client.get_manifest("sdk/app", "v1").digest, "sha256:")
    attempt("upload_blob", lambda: client.upload_blob("sdk/app", io.BytesIO(b"layer"))[0], "sha256:")
    attempt("delete_tag", lambda: client.delete_tag("sdk/app", "v1"))
    attempt("delete_repository", lambda: client.delete_repository("sdk/app"))


def keyvault(attempt: Callable[..., None]) -> None:
    from azure.keyvault.secrets import SecretClient

    client = SecretClient("https://sandbox-vault.vault.azure.net", credential())
    attempt("set_secret", lambda: client.set_secret("sdk", "hidden").name, "sdk")
    attempt("get_secret", lambda: client.get_secret("sdk").value, "hidden")
    attempt("list_properties_of_secrets", lambda: [one.name for one in client.list_properties_of_secrets()], "sdk")
    attempt("begin_delete_secret", lambda: client.begin_delete_secret("sdk").result().name, "sdk")
    attempt("begin_recover_deleted_secret", lambda: client.begin_recover_deleted_secret("sdk").result().name, "sdk")


def mgmt_containerregistry(attempt: Callable[..., None]) -> None:
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient

    client = ContainerRegistryManagementClient(credential(), SUBSCRIPTION)
    place = ("sandbox-shared", "sandboxmodels")
    attempt("registries.list", lambda: [one.name for one in client.registries.list()], "sandboxmodels")
    attempt("registries.get", lambda: client.registries.get(*place).login_server, "sandboxmodels.azurecr.io")
    attempt("registries.list_credentials", lambda: client.registries.list_credentials(*place).username, "sandboxmodels")
    actions = {"properties": {"actions": ["repositories/a/content/read"]}}
    scope = lambda: client.scope_maps.begin_create(*place, "sdk-scope", actions).result().name  # noqa: E731
    attempt("scope_maps.begin_create", scope, "sdk-scope")
    token = {"properties": {"scopeMapId": f"{client.registries.get(*place).id}/scopeMaps/sdk-scope"}}
    attempt(
        "tokens.begin_create", lambda: client.tokens.begin_create(*place, "sdk-token", token).result().name, "sdk-token"
    )


def mgmt_iothub(attempt: Callable[..., None]) -> None:
    from azure.mgmt.iothub import IotHubClient

    resources = IotHubClient(credential(), SUBSCRIPTION).iot_hub_resource
    attempt(
        "iot_hub_resource.list_by_subscription",
        lambda: [hub.name for hub in resources.list_by_subscription()],
        "sandbox-hub",
    )
    attempt("iot_hub_resource.get", lambda: resources.get("sandbox", "sandbox-hub").name, "sandbox-hub")
    keys = lambda: [key.key_name for key in resources.list_keys("sandbox", "sandbox-hub")]  # noqa: E731
    attempt("iot_hub_resource.list_keys", keys, "iothubowner")


def mgmt_resource(attempt: Callable[..., None]) -> None:
    from azure.mgmt.resource.resources import ResourceManagementClient

    client = ResourceManagementClient(credential(), SUBSCRIPTION)
    attempt("resource_groups.list", lambda: [group.name for group in client.resource_groups.list()], "sandbox")
    attempt("resources.list", lambda: [one.type for one in client.resources.list()], "Microsoft.Devices/IotHubs")


def iot_hub(attempt: Callable[..., None]) -> None:
    from azure.iot.hub import IoTHubRegistryManager, models

    twin: Any = models.Twin
    hub: Any = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_CONNECTION_STRING"])
    attempt("get_device", lambda: hub.get_device("edge-01").device_id, "edge-01")
    device = ("sdk-device", "", "", "enabled")
    attempt("create_device_with_sas", lambda: hub.create_device_with_sas(*device).device_id, "sdk-device")
    attempt("get_devices", lambda: [device.device_id for device in hub.get_devices()], "edge-01")
    attempt("get_modules", lambda: [module.module_id for module in hub.get_modules("edge-01")], "$edgeAgent")
    attempt("update_twin", lambda: hub.update_twin("sdk-device", twin(tags={"site": "lab"}), "*").tags, "lab")
    attempt("get_statistics", lambda: hub.get_device_registry_statistics().total_device_count, 2)
    attempt("delete_device", lambda: hub.delete_device("sdk-device", "*"))
    _direct_methods(attempt, hub, models)


def _direct_methods(attempt: Callable[..., None], hub: Any, models: Any) -> None:
    """What edgeAgent of a device with a module answers."""
    from az import FILES  # type: ignore[import-not-found, unused-ignore] # beside this file
    from azure.iot.hub import IoTHubConfigurationManager

    kind: Any = IoTHubConfigurationManager
    manager = kind.from_connection_string(os.environ["IOTHUB_CONNECTION_STRING"])
    content = models.ConfigurationContent(modules_content=FILES["manifest.json"]["modulesContent"])
    apply = lambda: manager.apply_configuration_on_edge_device("edge-01", content)  # noqa: E731
    attempt("apply_configuration_on_edge_device", apply)
    deadline = time.monotonic() + 10
    while "edgeHub" not in str(hub.get_module_twin("edge-01", "$edgeAgent").properties.reported):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)

    def invoke(name: str, expected: Any, **payload: Any) -> None:
        def call() -> list[Any]:
            method = models.CloudToDeviceMethod(method_name=name, payload={"schemaVersion": "1.0", **payload})
            answer = hub.invoke_device_module_method("edge-01", "$edgeAgent", method)
            return [answer.status, answer.payload]

        attempt(f"invoke_device_module_method: {', '.join([name, *map(str, payload.values())])}", call, expected)

    invoke("ping", 200)
    invoke("GetModuleLogs", 200, items={"id": "^edgeHub$", "filter": {"tail": 10}})
    invoke("RestartModule", 200, id="edgeHub")
    invoke("RestartModule", {"message": "Module nothing not found in the current environment"}, id="nothing")


GROUPS: dict[str, tuple[str, Callable[[Callable[..., None]], None]]] = {
    "azure-identity": ("azure.identity", identity),
    "azure-containerregistry": ("azure.containerregistry", containerregistry),
    "azure-keyvault-secrets": ("azure.keyvault.secrets", keyvault),
    "azure-mgmt-containerregistry": ("azure.mgmt.containerregistry", mgmt_containerregistry),
    "azure-mgmt-iothub": ("azure.mgmt.iothub", mgmt_iothub),
    "azure-mgmt-resource": ("azure.mgmt.resource", mgmt_resource),
    "azure-iot-hub": ("azure.iot.hub", iot_hub),
}


def main() -> None:
    """Run the operations of each SDK that is installed; only those named in the arguments, if there are any."""
    for package, (module, run) in GROUPS.items():
        if sys.argv[1:] and package not in sys.argv[1:]:
            continue
        try:
            importlib.import_module(module)
        except ImportError:
            continue

        run(_attempt)


def _attempt(what: str, call: Callable[[], Any], expected: Any = None) -> None:
    try:
        found = call()
        result = "works" if expected is None or _holds(found, expected) else f"returned {found!r}"
    except Exception as error:  # whatever the SDK makes of the sandbox's answer
        result = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    print(json.dumps({"what": what, "result": result}), flush=True)


def _holds(found: Any, expected: Any) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        return expected in found
    if isinstance(found, (list, tuple, dict)):
        return expected in found or (isinstance(found, dict) and expected in found.values())
    return bool(found == expected)


if __name__ == "__main__":
    main()
