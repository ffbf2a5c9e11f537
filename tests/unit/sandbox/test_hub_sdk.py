"""The hub as Microsoft's service SDK, unmodified, sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.hub import IoTHubConfigurationManager
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    Configuration,
    ConfigurationContent,
    ConfigurationMetrics,
    ConfigurationQueriesTestInput,
    QuerySpecification,
    Twin,
)
from azure.iot.hub.protocol.models import Device, DeviceCapabilities, Module, TwinProperties
from fakes.hub_service import content, module
from msrest.exceptions import HttpOperationError

from manifestgen.sandbox import accounts
from manifestgen.sandbox.registry import images


@pytest.fixture
def manager(sandbox: Any) -> Iterator[Any]:
    # IoTHubRegistryManager's methods are one-liners over the same protocol, but it opens an AMQP link as well.
    manager = IoTHubConfigurationManager.from_connection_string(sandbox.environment["IOTHUB_CONNECTION_STRING"])
    manager.protocol.config.keep_alive = True
    yield manager
    manager.protocol.close()


def reported(manager: Any, device: str, want: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = manager.protocol.modules.get_twin(device, "$edgeAgent").properties.reported or {}
        if want(found):
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"never came: {found}")


def is_at(version: int, code: int) -> Any:
    return lambda found: (
        (found.get("lastDesiredVersion"), found.get("lastDesiredStatus", {}).get("code"))
        == (
            version,
            code,
        )
    )


def test_devices_and_modules(manager: Any) -> None:
    devices, modules = manager.protocol.devices, manager.protocol.modules
    made = devices.create_or_update_identity("sdk-1", Device(device_id="sdk-1", status="enabled"))
    assert made.authentication.symmetric_key.primary_key
    made.status = "disabled"
    assert devices.create_or_update_identity("sdk-1", made, f'"{made.etag}"').status == "disabled"
    with pytest.raises(HttpOperationError) as caught:
        devices.create_or_update_identity("sdk-1", made, f'"{made.etag}"')
    assert caught.value.response.status_code == 412
    assert "sdk-1" in [device.device_id for device in devices.get_devices(10)]
    modules.create_or_update_identity("sdk-1", "m1", Module(device_id="sdk-1", module_id="m1", managed_by="me"))
    assert [each.module_id for each in modules.get_modules_on_device("sdk-1")] == ["m1"]
    modules.delete_identity("sdk-1", "m1", "*")
    devices.delete_identity("sdk-1", "*")
    with pytest.raises(HttpOperationError):
        devices.get_identity("sdk-1")


def test_twins(manager: Any) -> None:
    devices = manager.protocol.devices
    devices.create_or_update_identity("sdk-2", Device(device_id="sdk-2"))
    twin = devices.update_twin("sdk-2", Twin(tags={"site": "lab"}), '"*"')
    assert twin.tags == {"site": "lab"}
    change = Twin(properties=TwinProperties(desired={"a": {"b": 1}}))
    twin = devices.update_twin("sdk-2", change, f'"{twin.etag}"')
    assert twin.properties.desired["a"] == {"b": 1}
    assert twin.properties.desired["$metadata"]["a"]["b"]["$lastUpdatedVersion"] == 2
    replaced = devices.replace_twin("sdk-2", Twin(tags={"only": 1}), '"*"')
    assert replaced.tags == {"only": 1}
    with pytest.raises(HttpOperationError):
        devices.update_twin("sdk-2", change, f'"{twin.etag}"')


def test_queries_and_statistics(manager: Any) -> None:
    for number in range(3):
        name = f"sdk-query-{number}"
        manager.protocol.devices.create_or_update_identity(name, Device(device_id=name))
    asked = QuerySpecification(query="SELECT * FROM devices WHERE STARTSWITH(deviceId, 'sdk-query-')")
    found, token = [], None
    while True:
        page = manager.protocol.query.get_twins(asked, token, "2", raw=True)
        found += [twin.device_id for twin in page.output]
        token = page.headers["x-ms-continuation"]
        if not token:
            break
    assert found == ["sdk-query-0", "sdk-query-1", "sdk-query-2"]
    assert manager.protocol.statistics.get_device_statistics().total_device_count >= 4
    assert manager.protocol.statistics.get_service_statistics().connected_device_count >= 1


def test_a_model_image_runs_on_a_device_that_may_pull_it(sandbox: Any, manager: Any) -> None:
    world = sandbox.world

    async def push() -> None:
        images.make_image(world, world.names.login_server, "scorer", "1")

    sandbox.call(push())
    image = f"{world.names.login_server}/scorer:1"
    credential = {"address": world.names.login_server, "username": "someone", "password": "wrong-password"}
    manifest = content({"scorer": module(image)}, credentials={"acr": credential})
    body = ConfigurationContent(modules_content=manifest["modulesContent"])
    edge = Device(device_id="sdk-edge", capabilities=DeviceCapabilities(iot_edge=True))
    manager.protocol.devices.create_or_update_identity("sdk-edge", edge)
    manager.apply_configuration_on_edge_device("sdk-edge", body)
    found = reported(manager, "sdk-edge", is_at(2, 500))
    assert "unauthorized: authentication required" in found["lastDesiredStatus"]["description"]
    found = reported(manager, "sdk-edge", lambda found: "edgeHub" in found["systemModules"])
    assert found["systemModules"]["edgeHub"]["runtimeStatus"] == "running"
    assert "scorer" not in found["modules"]

    (password, _) = accounts.admin_passwords(world, world.names.registry)
    credential.update(username=world.names.registry, password=password["value"])
    manager.apply_configuration_on_edge_device("sdk-edge", body)
    found = reported(manager, "sdk-edge", lambda found: "scorer" in found["modules"])
    assert found["lastDesiredStatus"] == {"code": 200, "description": ""}
    assert found["modules"]["scorer"]["runtimeStatus"] == "running"


def test_automatic_deployments(manager: Any) -> None:
    edge = Device(device_id="sdk-auto", capabilities=DeviceCapabilities(iot_edge=True))
    manager.protocol.devices.create_or_update_identity("sdk-auto", edge)
    manager.protocol.devices.update_twin("sdk-auto", Twin(tags={"auto": True}), '"*"')
    made = manager.create_configuration(
        Configuration(
            id="sdk-deployment",
            schema_version="2.0",
            content=ConfigurationContent(modules_content=content()["modulesContent"]),
            target_condition="tags.auto = true",
            priority=10,
            metrics=ConfigurationMetrics(queries={"mine": "SELECT deviceId FROM devices WHERE tags.auto = true"}),
        )
    )
    assert made.content.modules_content == content()["modulesContent"]
    reported(manager, "sdk-auto", is_at(2, 200))
    found = manager.get_configuration("sdk-deployment")
    assert found.system_metrics.results == {
        "targetedCount": 1,
        "appliedCount": 1,
        "reportedSuccessfulCount": 1,
        "reportedFailedCount": 0,
    }
    assert found.metrics.results == {"mine": 1}
    twin = manager.protocol.modules.get_twin("sdk-auto", "$edgeAgent")
    assert twin.additional_properties["configurations"] == {"sdk-deployment": {"status": "Applied"}}
    found.priority = 11
    assert manager.update_configuration(found, f'"{found.etag}"').priority == 11
    assert [each.id for each in manager.get_configurations(20)] == ["sdk-deployment"]
    answer = manager.test_configuration_queries(ConfigurationQueriesTestInput(target_condition="tags.a =="))
    assert "expected a value" in answer.target_condition_error
    manager.delete_configuration("sdk-deployment")
    assert manager.get_configurations(20) == []


def test_direct_methods_of_edge_agent(manager: Any, sandbox: Any) -> None:
    """What `IoTHubRegistryManager.invoke_device_module_method` does, which is one line over this protocol."""
    sandbox.admin("PUT", "/images/acme.azurecr.io/scorer:1", {})
    device = sandbox.world.names.device

    def invoke(name: str, payload: Any = None) -> Any:
        method = CloudToDeviceMethod(method_name=name, payload=payload, response_timeout_in_seconds=30)
        return manager.protocol.modules.invoke_method(device, "$edgeAgent", method)

    assert (invoke("ping").status, invoke("ping").payload) == (200, None)
    items = {"id": "^edgeAgent$", "filter": {"tail": 10}}
    logs = invoke("GetModuleLogs", {"schemaVersion": "1.0", "items": items, "encoding": "none", "contentType": "json"})
    assert (logs.status, [entry["id"] for entry in logs.payload]) == (200, ["edgeAgent"])
    assert isinstance(json.loads(logs.payload[0]["payload"]), list)
    refused = invoke("RestartModule", {"schemaVersion": "1.0", "id": "nothing"})
    assert (refused.status, refused.payload) == (
        500,
        {"message": "Module nothing not found in the current environment"},
    )
    assert "not found. The supported commands are - ping" in invoke("sing").payload["message"]
    found = invoke("GetTaskStatus", {"schemaVersion": "1.0", "correlationId": "none"}).payload
    assert found["status"] == "Unknown"
    sandbox.admin("POST", f"/devices/{device}/agent", {"kind": "timeout", "seconds": 0})
    with pytest.raises(HttpOperationError) as caught:
        invoke("ping")
    assert caught.value.response.status_code == 504 and "504101" in caught.value.response.text
