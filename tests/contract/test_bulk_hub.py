"""What every `cloud.BulkHub` does: the one in memory, and on the sandbox that of the SDK and that of REST."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from fakes.hub import FakeHub
from fakes.hub_service import content, module

from manifestgen.cloud import BulkHub, Hub
from manifestgen.errors import NotFoundError
from manifestgen.secret import Secret


@pytest.fixture(params=["fake", "sdk", "rest"])
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    if request.param == "fake":
        yield FakeHub()
        return
    if request.param == "sdk":
        pytest.importorskip("uamqp", reason="Microsoft's SDK for IoT Hub is not installed")
    sandbox = request.getfixturevalue("sandbox")
    monkeypatch.setenv("MANIFESTGEN_HUB_CLIENT", request.param)
    from manifestgen.azure.iot_hub import connect

    yield connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]))


@pytest.fixture
def bulk(hub: Hub) -> BulkHub:
    return hub.bulk()


@pytest.fixture
def device(hub: Hub) -> str:
    device_id = f"edge-{uuid.uuid4().hex[:8]}"
    hub.register_device(device_id)
    return device_id


def test_it_is_the_same_hub(hub: Hub, bulk: BulkHub) -> None:
    assert bulk.host == hub.host


def test_what_is_set_is_read(bulk: BulkHub, device: str) -> None:
    sent = content({"scorer": module()}, twins={"scorer": {"limit": 5, "names": ["ä", {"x": True}]}})
    bulk.set_modules(device, json.dumps(sent).encode())
    for name, entry in sent["modulesContent"].items():
        assert bulk.desired(device, name) == entry["properties.desired"]


def test_a_new_device_has_nothing_and_an_unknown_module_is_none(bulk: BulkHub, device: str) -> None:
    assert bulk.desired(device, "$edgeAgent") == {}
    assert bulk.desired(device, "nothing") is None


def test_an_unknown_device_is_not_found(bulk: BulkHub) -> None:
    with pytest.raises(NotFoundError):
        bulk.set_modules("nobody", json.dumps(content()).encode())
    with pytest.raises(NotFoundError):
        bulk.desired("nobody", "$edgeAgent")
