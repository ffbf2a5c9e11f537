"""Devices as the target of a password's rotation."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.hub_service import content, module

from manifestgen.credentials.rotation import DeviceOutcome, Login
from manifestgen.device.rotation import Devices
from manifestgen.errors import CloudError, NotFoundError
from manifestgen.secret import Secret
from manifestgen.target import Patience

HOST, NAME = "acme.azurecr.io", "manifestgen-scorer"
NEW = Login(HOST, NAME, Secret("the-new-password"))
QUICK = Patience(timeout=5, grace=1, first=0.001, longest=0.001)


def with_login(password: str) -> dict[str, Any]:
    made = content({"scorer": module(f"{HOST}/scorer:1")})
    credentials = {"acme": {"address": HOST, "username": NAME, "password": password}}
    made["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"] = {
        "registryCredentials": credentials
    }
    return made


@pytest.fixture
def hub() -> FakeHub:
    made = FakeHub("edge-1", "edge-2", obedient=True)
    for device in ("edge-1", "edge-2"):
        made.set_modules(device, with_login("the-old-password"))
    return made


def test_each_outcome_is_reported_and_says_whether_this_run_changed_anything(hub: FakeHub) -> None:
    told: list[DeviceOutcome] = []
    devices = Devices(hub, ("edge-1", "edge-2", "edge-1"), told.append, QUICK)
    assert devices.words == "2 devices"
    outcomes = devices.move(NEW)
    assert list(outcomes) == [DeviceOutcome(one, "rotated", changed=True) for one in ("edge-1", "edge-2")]
    assert sorted(told, key=lambda one: one.device) == list(outcomes)
    # Nothing is left to change, and nothing is sent.
    sent = len(hub.applied)
    assert [one.changed for one in devices.move(NEW)] == [False, False]
    assert len(hub.applied) == sent


def test_the_routes_of_a_device_are_sent_with_its_modules(hub: FakeHub) -> None:
    Devices(hub, ("edge-1",), patience=QUICK).move(NEW)
    _, sent = hub.applied[-1]
    # The hub would take away what it is not sent.
    assert set(sent["modulesContent"]) == {"$edgeAgent", "$edgeHub"}


@pytest.mark.parametrize(("lost", "state"), [(2, "rotated"), (3, "failed")])
def test_a_device_that_others_change_meanwhile_is_tried_three_times(hub: FakeHub, lost: int, state: str) -> None:
    hub.trouble["set_modules"] = [CloudError("busy", fix="again")] * lost
    (outcome,) = Devices(hub, ("edge-1",), patience=QUICK).move(NEW)
    assert (outcome.state, outcome.changed) == (state, state == "rotated")


def test_manifests_are_those_of_the_devices_that_are_there(hub: FakeHub) -> None:
    (found,) = Devices(hub, ("nobody", "edge-1")).contents()
    assert NEW.passwords_in(found) == ["the-old-password"]
    with pytest.raises(NotFoundError):
        list(Devices(hub, ("nobody", "nowhere")).contents())
