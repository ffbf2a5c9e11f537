from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.hub import FakeHub

from manifestgen.device.apply import read_state
from manifestgen.device.plan import DeviceState, plan
from manifestgen.errors import CloudError
from manifestgen.manifest.manifest import Manifest

DEVICE = "edge-01"


def content(*names: str) -> dict[str, Any]:
    module = {"type": "docker", "status": "running", "settings": {"image": "acme.azurecr.io/x:1", "createOptions": ""}}
    system = {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}}
    return {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "runtime": {"type": "docker", "settings": {}},
                    "systemModules": {"edgeAgent": system},
                    "modules": {name: module for name in names},
                }
            },
            "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
        }
    }


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub(DEVICE)


def test_everything_is_added_to_an_empty_device(hub: FakeHub) -> None:
    planned = plan(Manifest.of(content("scorer")), read_state(hub, DEVICE))
    assert (planned.device, planned.hub) == (DEVICE, hub.host)
    assert {change.kind for change in planned.changes} == {"added"}
    assert ("module", "scorer") in {(change.subject, change.name) for change in planned.changes}
    assert planned.removed_modules == ()
    assert planned.warnings == ()


def test_what_the_device_has_already_is_no_change(hub: FakeHub) -> None:
    hub.set_modules(DEVICE, content("scorer"))
    planned = plan(Manifest.of(content("scorer")), read_state(hub, DEVICE))
    assert planned.changes == ()


def test_modules_that_the_manifest_does_not_name_would_be_removed(hub: FakeHub) -> None:
    hub.set_modules(DEVICE, content("scorer", "filter", "sensor"))
    planned = plan(Manifest.of(content("scorer")), read_state(hub, DEVICE))
    assert set(planned.removed_modules) == {"filter", "sensor"}


def test_the_version_is_that_of_the_agents_desired_properties(hub: FakeHub) -> None:
    hub.set_modules(DEVICE, content("scorer"))
    agent = hub.module_twin(DEVICE, "$edgeAgent")
    assert agent is not None
    assert plan(Manifest.of(content()), read_state(hub, DEVICE)).version == agent.desired_version


def test_a_device_without_an_agent_is_at_version_zero(hub: FakeHub) -> None:
    state = DeviceState(hub.host, hub.device(DEVICE))
    assert state.version == 0
    assert state.content == {"modulesContent": {}}


def test_a_device_that_is_no_edge_device_has_no_plan(hub: FakeHub) -> None:
    hub.add("sensor", edge=False)
    with pytest.raises(CloudError) as caught:
        plan(Manifest.of(content()), read_state(hub, "sensor"))
    assert caught.value.where == "device 'sensor'"
    assert "manifestgen device register" in caught.value.fix


def test_a_disabled_device_is_warned_of(hub: FakeHub) -> None:
    state = read_state(hub, DEVICE)
    state = replace(state, device=replace(state.device, enabled=False))
    (warning,) = plan(Manifest.of(content()), state).warnings
    assert "disabled" in warning


def test_automatic_deployments_that_would_overwrite_it_are_warned_of(hub: FakeHub) -> None:
    hub.target(DEVICE, {"summer": "applied", "lab": "targeted"})
    (warning,) = plan(Manifest.of(content()), read_state(hub, DEVICE)).warnings
    assert "'lab', 'summer'" in warning
    assert "will overwrite" in warning
