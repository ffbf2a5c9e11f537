"""What every `cloud.Hub` does: the one in memory, and the SDK's on the sandbox."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.hub_service import content, module

from manifestgen.cloud import Hub
from manifestgen.errors import CloudError, NotFoundError
from manifestgen.secret import Secret


@pytest.fixture(params=["fake", "sandbox"])
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    if request.param == "fake":
        yield FakeHub("edge-01")
        return
    sandbox = request.getfixturevalue("sandbox")
    from manifestgen.azure.iot_hub import connect

    yield connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]))


@pytest.fixture
def device(hub: Hub) -> str:
    """An edge device that no other test has touched."""
    device_id = f"edge-{uuid.uuid4().hex[:8]}"
    hub.register_device(device_id)
    return device_id


def test_a_registered_device_is_found(hub: Hub) -> None:
    device_id = f"edge-{uuid.uuid4().hex[:8]}"
    made = hub.register_device(device_id, tags={"site": "lab"})
    assert (made.id, made.edge, made.enabled, made.tags) == (device_id, True, True, {"site": "lab"})
    found = hub.device(device_id)
    assert (found.id, found.edge, found.tags, found.parent) == (device_id, True, {"site": "lab"}, None)


def test_a_child_knows_its_parent(hub: Hub, device: str) -> None:
    child = hub.register_device(f"{device}-child", parent=device)
    assert child.parent == device
    assert hub.device(child.id).parent == device


def test_an_id_is_taken_once(hub: Hub, device: str) -> None:
    with pytest.raises(CloudError):
        hub.register_device(device)


def test_an_unknown_parent_is_not_found(hub: Hub) -> None:
    with pytest.raises(NotFoundError):
        hub.register_device("orphan", parent="nobody")
    with pytest.raises(NotFoundError):
        hub.device("orphan")


@pytest.mark.parametrize("ask", ["device", "connection_string", "modules", "module_twin", "set_modules"])
def test_an_unknown_device_is_not_found(hub: Hub, ask: str) -> None:
    calls: dict[str, Any] = {
        "module_twin": lambda: hub.module_twin("nobody", "$edgeAgent"),
        "set_modules": lambda: hub.set_modules("nobody", content()),
    }
    with pytest.raises(NotFoundError) as caught:
        calls.get(ask, lambda: getattr(hub, ask)("nobody"))()
    assert "nobody" in str(caught.value)


def test_all_edge_devices_are_listed(hub: Hub) -> None:
    prefix = f"many-{uuid.uuid4().hex[:8]}"
    names = {f"{prefix}-{number}" for number in range(5)}
    for name in names:
        hub.register_device(name)
    listed = [device.id for device in hub.devices()]
    assert names <= set(listed)
    assert listed == sorted(listed)


def test_the_connection_string_is_a_secret_for_the_device(hub: Hub, device: str) -> None:
    secret = hub.connection_string(device)
    assert str(secret) == "***"
    parts = dict(part.partition("=")[::2] for part in secret.reveal().split(";"))
    assert (parts["HostName"], parts["DeviceId"]) == (hub.host, device)
    assert parts["SharedAccessKey"]


def test_a_new_edge_device_has_its_system_modules(hub: Hub, device: str) -> None:
    assert sorted(hub.modules(device)) == ["$edgeAgent", "$edgeHub"]
    twin = hub.module_twin(device, "$edgeAgent")
    assert twin is not None
    assert twin.module == "$edgeAgent"
    assert twin.desired == {}


def test_a_module_that_is_not_there_has_no_twin(hub: Hub, device: str) -> None:
    assert hub.module_twin(device, "scorer") is None


def test_set_modules_writes_the_twins(hub: Hub, device: str) -> None:
    before = hub.module_twin(device, "$edgeAgent")
    sent = content(
        {"scorer": module("acme.azurecr.io/scorer:1")}, twins={"scorer": {"limit": 5, "names": ["ä", {"x": True}]}}
    )
    hub.set_modules(device, sent)
    assert sorted(hub.modules(device)) == ["$edgeAgent", "$edgeHub", "scorer"]
    for name, entry in sent["modulesContent"].items():
        twin = hub.module_twin(device, name)
        assert twin is not None
        assert twin.desired == entry["properties.desired"]
    after = hub.module_twin(device, "$edgeAgent")
    assert before is not None and after is not None
    assert after.desired_version > before.desired_version
    assert after.desired_at is not None


def test_setting_the_same_modules_again_makes_a_new_version(hub: Hub, device: str) -> None:
    versions = []
    for _ in range(2):
        hub.set_modules(device, content())
        twin = hub.module_twin(device, "$edgeAgent")
        assert twin is not None
        versions.append(twin.desired_version)
    assert versions[1] > versions[0]


def test_modules_that_are_no_longer_named_are_removed(hub: Hub, device: str) -> None:
    hub.set_modules(device, content({"old": module(), "kept": module()}))
    hub.set_modules(device, content({"kept": module(), "new": module()}))
    assert sorted(hub.modules(device)) == ["$edgeAgent", "$edgeHub", "kept", "new"]


def test_the_twin_of_a_module_that_the_content_leaves_out_stays(hub: Hub, device: str) -> None:
    hub.set_modules(device, content({"scorer": module()}, twins={"scorer": {"limit": 5}}))
    hub.set_modules(device, content({"scorer": module()}))
    twin = hub.module_twin(device, "scorer")
    assert twin is not None
    assert twin.desired == {"limit": 5}


def test_the_caller_s_content_is_left_as_it_was(hub: Hub, device: str) -> None:
    sent, same = content({"scorer": module()}), content({"scorer": module()})
    hub.set_modules(device, sent)
    assert sent == same
