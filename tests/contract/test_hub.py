"""What every `cloud.Hub` does: the one in memory, and on the sandbox that of the SDK and that of REST."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.hub_service import content, module
from integration.command_line import eventually

from manifestgen.cloud import Configuration, Hub, MethodResult
from manifestgen.errors import CloudError, NotFoundError, OfflineError
from manifestgen.secret import Secret


@pytest.fixture(params=["fake", "sdk", "rest"])
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    if request.param == "fake":
        yield FakeHub("edge-01")
        return
    if request.param == "sdk":
        pytest.importorskip("uamqp", reason="Microsoft's SDK for IoT Hub is not installed")
    sandbox = request.getfixturevalue("sandbox")
    monkeypatch.setenv("MANIFESTGEN_HUB_CLIENT", request.param)
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


def test_a_deleted_device_is_gone(hub: Hub, device: str) -> None:
    hub.delete_device(device)
    for gone in (lambda: hub.device(device), lambda: hub.delete_device(device)):
        with pytest.raises(NotFoundError):
            gone()
    assert hub.register_device(device).id == device


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


@pytest.fixture
def site(hub: Hub) -> str:
    """A tag that three devices have and no other test's."""
    name = f"site-{uuid.uuid4().hex[:8]}"
    for number in range(3):
        hub.register_device(f"{name}-{number}", tags={"site": name, "number": number})
    return name


def configuration(name: str, **more: Any) -> Configuration:
    """An automatic deployment for the devices of a site."""
    return Configuration(
        **{
            "id": f"deployment-{name}",
            "content": content({"scorer": module("acme.azurecr.io/scorer:1")}, twins={"scorer": {"a": [None, {}]}}),
            "condition": f"tags.site = '{name}'",
            "priority": 7,
            "labels": {"team": "edge", "über": "ä"},
            "metrics": {"lab devices": "SELECT deviceId FROM devices WHERE tags.number > 0"},
            **more,
        }
    )


def test_an_automatic_deployment_is_read_as_it_was_created(hub: Hub, site: str) -> None:
    wanted = configuration(site)
    hub.create_configuration(wanted)
    found = hub.configuration(wanted.id)
    for name in ("id", "content", "condition", "priority", "labels", "metrics"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert found.etag and found.created is not None
    assert found in [replace(each, counts=found.counts, results=found.results) for each in hub.configurations()]


def test_more_deployments_are_listed_than_a_page_has(hub: Hub, site: str) -> None:
    names = [f"deployment-{site}-{number:02}" for number in range(21)]
    for name in names:
        hub.create_configuration(configuration(site, id=name, condition="", metrics={}))
    try:
        listed = [found.id for found in hub.configurations()]
    finally:
        for name in names:
            hub.delete_configuration(hub.configuration(name))
    assert [name for name in listed if name in names] == names


def test_a_layer_keeps_its_dotted_keys(hub: Hub, site: str) -> None:
    layer = {
        "modulesContent": {
            "$edgeAgent": {"properties.desired.modules.extra": module()},
            "$edgeHub": {"properties.desired.routes.up": "FROM /messages/modules/extra/* INTO $upstream"},
        }
    }
    wanted = configuration(site, content=layer)
    hub.create_configuration(wanted)
    assert hub.configuration(wanted.id).content == layer


def test_devices_follow_the_deployment_that_targets_them(hub: Hub, site: str) -> None:
    wanted = configuration(site)
    hub.create_configuration(wanted)
    eventually(lambda: hub.configuration(wanted.id).counts.get("appliedCount") == 3, "three devices follow it")
    twin = hub.module_twin(f"{site}-0", "$edgeAgent")
    assert twin is not None
    assert twin.configurations == {wanted.id: "applied"}
    assert twin.desired["modules"]["scorer"]["settings"]["image"] == "acme.azurecr.io/scorer:1"
    found = hub.configuration(wanted.id)
    assert (found.counts["targetedCount"], found.results["lab devices"] >= 2) == (3, True)


def test_what_may_change_of_a_deployment_changes(hub: Hub, site: str) -> None:
    hub.create_configuration(configuration(site))
    found = hub.configuration(f"deployment-{site}")
    hub.update_configuration(replace(found, priority=9, condition="", labels={"new": "one"}, metrics={}))
    after = hub.configuration(found.id)
    assert (after.priority, after.condition, after.labels, after.metrics) == (9, "", {"new": "one"}, {})
    assert after.content == found.content and after.etag != found.etag and after.created == found.created


def test_no_one_s_change_is_overwritten(hub: Hub, site: str) -> None:
    hub.create_configuration(configuration(site))
    old = hub.configuration(f"deployment-{site}")
    hub.update_configuration(replace(old, priority=9))
    for change in (hub.update_configuration, hub.delete_configuration):
        with pytest.raises(CloudError) as caught:
            change(replace(old, priority=3))
        assert not isinstance(caught.value, NotFoundError)
    assert hub.configuration(old.id).priority == 9


def test_an_id_of_a_deployment_is_taken_once(hub: Hub, site: str) -> None:
    hub.create_configuration(configuration(site))
    with pytest.raises(CloudError) as caught:
        hub.create_configuration(configuration(site))
    assert "choose another name" in caught.value.fix


def test_a_deleted_deployment_is_gone(hub: Hub, site: str) -> None:
    hub.create_configuration(configuration(site))
    found = hub.configuration(f"deployment-{site}")
    hub.delete_configuration(found)
    with pytest.raises(NotFoundError):
        hub.configuration(found.id)
    with pytest.raises(NotFoundError):
        hub.delete_configuration(found)


def test_the_hub_says_what_it_has_against_conditions_and_metrics(hub: Hub) -> None:
    assert hub.test_queries("tags.site = 'lab'", {"all": "SELECT deviceId FROM devices"}) == {}
    errors = hub.test_queries("tags.site = ", {"bad": "SELECT FROM", "good": "SELECT deviceId FROM devices"})
    assert errors.keys() == {"", "bad"}
    assert "expected" in errors[""]


def test_a_query_gives_its_rows(hub: Hub, site: str) -> None:
    where = f"FROM devices WHERE capabilities.iotEdge = true AND tags.site = '{site}'"
    rows = list(hub.query(f"SELECT deviceId, tags.number AS number {where}"))
    assert rows == [{"deviceId": f"{site}-{number}", "number": number} for number in range(3)]
    assert list(hub.query(f"SELECT COUNT() AS matched {where}")) == [{"matched": 3}]
    with pytest.raises(CloudError):
        list(hub.query("SELECT"))


def test_tags_are_merged(hub: Hub, site: str) -> None:
    device = f"{site}-0"
    hub.set_tags(device, {"manifestgen": {"bucket": 7}})
    hub.set_tags(device, {"manifestgen": {"ring": "a"}, "number": None})
    assert hub.device(device).tags == {"site": site, "manifestgen": {"bucket": 7, "ring": "a"}}
    with pytest.raises(NotFoundError):
        hub.set_tags("nobody", {"a": 1})


@pytest.fixture
def connected(hub: Hub, device: str) -> str:
    """A device whose edgeAgent is connected."""
    if isinstance(hub, FakeHub):
        hub.connect(device, connected=True)
    return device


def test_edge_agent_answers_a_ping(hub: Hub, connected: str) -> None:
    for payload in (None, {}, {"schemaVersion": "1.0"}, "text"):
        assert hub.invoke_method(connected, "$edgeAgent", "ping", payload) == MethodResult(200, None)


def test_a_method_that_edge_agent_does_not_have_is_an_answer(hub: Hub, connected: str) -> None:
    answer = hub.invoke_method(connected, "$edgeAgent", "Sing", {"song": "ä"})
    assert answer.status == 400
    assert answer.payload["message"].startswith("Command 'Sing' not found. The supported commands are - ping")


def test_a_method_of_a_device_that_is_not_connected_says_so(
    hub: Hub, device: str, request: pytest.FixtureRequest
) -> None:
    if not isinstance(hub, FakeHub):
        request.getfixturevalue("sandbox").admin("PUT", f"/devices/{device}", {"online": False})
    with pytest.raises(OfflineError, match="the device is not connected") as caught:
        hub.invoke_method(device, "$edgeAgent", "ping")
    assert device in caught.value.where


@pytest.mark.parametrize(("device_id", "module_id"), [("nobody", "$edgeAgent"), ("known", "nothing")])
def test_a_method_of_what_is_not_there_is_not_found(hub: Hub, device: str, device_id: str, module_id: str) -> None:
    with pytest.raises(NotFoundError):
        hub.invoke_method(device if device_id == "known" else device_id, module_id, "ping")
