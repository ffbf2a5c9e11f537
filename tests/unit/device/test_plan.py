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
    assert state.manifest == Manifest.of_twins({})


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


def test_merging_keeps_what_only_the_device_has_and_sends_no_twin_that_the_file_does_not_name(hub: FakeHub) -> None:
    there = content("scorer", "filter")
    there["modulesContent"]["filter"] = {"properties.desired": {"level": 3}}
    there["modulesContent"]["$edgeHub"]["properties.desired"]["routes"] = {"old": "FROM /messages/* INTO $upstream"}
    hub.set_modules(DEVICE, there)
    wanted = content("scorer", "added")
    del wanted["modulesContent"]["$edgeHub"]
    planned = plan(Manifest.of(wanted), read_state(hub, DEVICE), merge=True)
    # The routes of the device stay, though the file says nothing of them: the hub would take them away.
    assert set(planned.manifest.entries) == {"$edgeAgent", "$edgeHub"}
    assert "old" in planned.manifest.entries["$edgeHub"]["properties.desired"]["routes"]
    assert sorted(planned.manifest.entries["$edgeAgent"]["properties.desired"]["modules"]) == [
        "added",
        "filter",
        "scorer",
    ]
    assert planned.removed_modules == ()
    assert {"module filter", "route old"} <= set(planned.kept)
    assert "module scorer" not in planned.kept


def with_image(image: str) -> dict[str, Any]:
    made = content("scorer")
    made["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["scorer"]["settings"]["image"] = image
    return made


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        ("acme.azurecr.io/x:latest", "acme.azurecr.io/x:latest", True),
        ("acme.azurecr.io/x:1.4.2", "acme.azurecr.io/x:1.4.2", False),
        ("acme.azurecr.io/y:latest", "acme.azurecr.io/x:latest", False),
    ],
)
def test_an_unchanged_module_whose_tag_may_have_moved_is_warned_of(
    hub: FakeHub, before: str, after: str, warned: bool
) -> None:
    hub.set_modules(DEVICE, with_image(before))
    warnings = plan(Manifest.of(with_image(after)), read_state(hub, DEVICE)).warnings
    assert any("'scorer' is unchanged, and its tag may have moved" in warning for warning in warnings) == warned


def test_a_twin_that_is_nearly_full_is_warned_of(hub: FakeHub) -> None:
    full = content("scorer")
    full["modulesContent"]["scorer"] = {"properties.desired": {f"k{n}": "x" * 1000 for n in range(31)}}
    (warning,) = plan(Manifest.of(full), read_state(hub, DEVICE)).warnings
    assert warning.startswith("the desired properties of 'scorer' count 31")
    full["modulesContent"]["scorer"]["properties.desired"] = {f"k{n}": "x" * 1000 for n in range(20)}
    assert plan(Manifest.of(full), read_state(hub, DEVICE)).warnings == ()
