from __future__ import annotations

from typing import Any

import pytest
from unit.deployments.deployments import Clock, deployment, fleet, layer, scorer

from manifestgen.cloud import Configuration
from manifestgen.deployments.proposal import propose, verify_meetings
from manifestgen.deployments.replace import replace
from manifestgen.deployments.snapshots import find, snapshots, take
from manifestgen.deployments.status import status
from manifestgen.errors import FoundError, InputError
from manifestgen.report.deployment import bar, proposal_data, proposal_text, status_text


def layered(name: str = "extra", **more: Any) -> Any:
    return deployment(0, name=name, **{"content": layer(name, 1), "priority": 20, "metrics": {}, **more})


def test_a_new_one_shows_all_that_it_brings() -> None:
    text = proposal_text(propose(fleet(3), deployment(1)))
    assert text.startswith("deployment 'scorer' on fake-hub.azure-devices.net: 3 devices match tags.site = 'lab'")
    assert "+ module scorer" in text
    assert text.endswith(f"plan: create {deployment(1).id!r}")


def test_a_replacement_shows_what_differs() -> None:
    hub = fleet(3)
    replace(hub, deployment(1), patience=Clock().patience())
    proposal = propose(hub, deployment(2, priority=12))
    assert [str(change) for change in proposal.changes] == ["module scorer"]
    assert [str(setting) for setting in proposal.settings] == ["priority: 10 -> 12"]
    assert proposal.replaces and not proposal.nothing_to_do
    data = proposal_data(proposal)
    assert (data["replaces"], data["id"]) == (deployment(1).id, deployment(2).id)
    same = propose(hub, deployment(1))
    assert same.nothing_to_do and "no changes" in proposal_text(same)


def test_an_unfinished_one_is_not_nothing_to_do() -> None:
    hub = fleet(3)
    replace(hub, deployment(1), patience=Clock().patience())
    replace(hub, deployment(2), patience=Clock().patience(), wait=False)
    proposal = propose(hub, deployment(2, priority=11))
    assert proposal.unfinished == (deployment(1).id,)
    assert not proposal.nothing_to_do
    assert "resume with" in proposal_text(proposal)


def warnings(hub: Any, wanted: Any) -> str:
    return "\n".join(propose(hub, wanted).warnings)


def test_what_someone_should_know_is_warned_of() -> None:
    hub = fleet(3)
    assert warnings(hub, deployment(1)) == ""
    assert "no edge device matches" in warnings(hub, deployment(1, condition="tags.site = 'nowhere'"))
    hub.create_configuration(Configuration("equal", scorer("x"), "deviceId = 'edge-01'", 10))
    assert "'equal' has the same priority 10 and targets 1 of the same devices" in warnings(hub, deployment(1))
    assert warnings(hub, deployment(1, priority=11)) == ""
    hub.create_configuration(Configuration("stronger", scorer("x"), "tags.site = 'lab'", 90))
    assert "3 of 3 devices keep a deployment with a higher priority: 'stronger'" in warnings(hub, deployment(1))


def test_devices_that_are_left_out_are_counted() -> None:
    hub = fleet(3)
    replace(hub, deployment(1), patience=Clock().patience())
    assert "devices that are no longer targeted: 2" in warnings(hub, deployment(1, condition="deviceId = 'edge-00'"))


def test_the_limit_of_free_hubs_is_said_in_time() -> None:
    hub = fleet(1)
    for number in range(10):
        hub.create_configuration(Configuration(f"c{number}", scorer(1), "", 1))
    assert "the hub has 10 deployments, the limit of the free tier" in warnings(hub, deployment(1, priority=5))


def test_a_layer_is_compared_with_each_base_it_meets_and_the_layers_between() -> None:
    hub = fleet(4, lambda number: {"half": number % 2})
    for half in range(2):
        wanted = deployment(half, name=f"base-{half}", condition=f"tags.half = {half}")
        replace(hub, wanted, patience=Clock().patience())
    hub.create_configuration(Configuration("other", layer("extra", 9), "*", 15))
    proposal = propose(hub, layered())
    assert proposal.layered and not proposal.warnings
    assert [(meeting.devices, [str(each) for each in meeting.changes]) for meeting in proposal.meetings] == [
        (2, ["module extra"]),
        (2, ["module extra"]),
    ]
    assert {change.kind for meeting in proposal.meetings for change in meeting.changes} == {"changed"}
    text = proposal_text(proposal)
    assert "over 'base-0-" in text and "layered deployment 'extra'" in text


def test_a_layer_that_meets_no_base_or_a_higher_one_is_warned_of() -> None:
    hub = fleet(2)
    assert "a layer alone is not applied" in warnings(hub, layered())
    replace(hub, deployment(1, priority=20), patience=Clock().patience())
    assert "a layer alone is not applied" in warnings(hub, layered())


def test_what_a_layer_breaks_together_with_its_base_stops_it() -> None:
    hub = fleet(2)
    route = 'FROM /messages/modules/extra/* INTO BrokeredEndpoint("/modules/nobody/inputs/a")'
    broken = layer("extra", 1, **{"$edgeHub": {"properties.desired.routes.lost": route}})
    proposal = propose(hub, layered(content=broken), base=("base.json", scorer(1)))
    with pytest.raises(FoundError) as caught:
        verify_meetings(proposal, "layer.json")
    assert caught.value.where == "layer.json over base.json"
    fine = propose(hub, layered(), base=("base.json", scorer(1)))
    verify_meetings(fine, "layer.json")
    assert proposal_data(fine)["over"][0]["base"] == "base.json"


def test_snapshots_are_for_their_owner_and_the_latest_others_come_first(tmp_path: Any) -> None:
    first, second = deployment(1), deployment(2)
    for each in (first, first, second):
        take("hub", each, tmp_path)
    assert [snapshot.deployment for snapshot in snapshots("hub", "scorer", tmp_path)] == [second, first]
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert find("hub", "scorer", tmp_path, None, second.configuration()).deployment == first
    assert find("hub", "scorer", tmp_path, 1, None).deployment == second
    for number in (3, 0):
        with pytest.raises(InputError, match="no snapshot"):
            find("hub", "scorer", tmp_path, number, None)
    with pytest.raises(InputError, match="there is no snapshot of it in"):
        find("hub", "unknown", tmp_path, None, None)


def test_only_so_many_snapshots_are_kept_and_damaged_ones_passed_over(tmp_path: Any) -> None:
    for number in range(25):
        take("hub", deployment(number), tmp_path)
    known = snapshots("hub", "scorer", tmp_path)
    assert len(known) == 20
    known[0].path.write_text("{")
    assert len(snapshots("hub", "scorer", tmp_path)) == 19


def test_how_it_stands_tells_models_and_trouble() -> None:
    hub = fleet(3)
    replace(hub, deployment(1, labels={"manifestgen-model": "best:3"}), patience=Clock().patience())
    found = status(hub, "scorer")
    assert found.healthy and found.models == {"best:3": 3}
    assert "model best:3: 3 devices" in status_text(found)
    hub.bad_images = {"acme.azurecr.io/scorer:2": "Could not pull image"}
    hub.broken = {"edge-01"}
    replace(hub, deployment(2, labels={"manifestgen-model": "best:4"}), patience=Clock().patience(), wait=False)
    found = status(hub, "scorer")
    assert not found.healthy
    assert [trouble.device for trouble in found.troubles] == ["edge-01"]
    assert "Could not pull image" in found.troubles[0].reason
    assert found.models == {"best:4": 3, "best:3": 0}
    assert "below: deleted when the one above is finished" in status_text(found)
    with pytest.raises(InputError, match="no such deployment"):
        status(hub, "unknown")


def test_someone_else_s_deployment_can_be_looked_at_by_its_id() -> None:
    hub = fleet(2)
    hub.create_configuration(Configuration("Theirs:1", scorer(1), "tags.site = 'lab'", 5))
    assert status(hub, "Theirs:1").healthy


def test_a_bar_is_as_full_as_devices_run_it() -> None:
    hub = fleet(4)
    replace(hub, deployment(1), patience=Clock().patience())
    progress = status(hub, "scorer").generations[0][1]
    assert bar("rollout", progress) == f"rollout [{'#' * 30}] 4/4"


def test_watching_looks_again_until_all_devices_run_it() -> None:
    hub, clock, looks = fleet(2), Clock(), []
    hub.connect("edge-01", connected=False)
    replace(hub, deployment(1), patience=Clock().patience(), wait=False)

    def back_online(now: float) -> None:
        if now > 10:
            hub.connect("edge-01", connected=True)
            hub._obey(hub._find("edge-01"))

    clock.waited = back_online
    found = status(hub, "scorer", patience=clock.patience(), progress=lambda title, each: looks.append((title, each)))
    assert found.healthy
    assert len(looks) > 2 and {title for title, _ in looks} == {"rollout"}
    assert clock.now > 10


def test_watching_ends_when_the_time_is_up() -> None:
    hub, clock = fleet(1), Clock()
    hub.connect("edge-00", connected=False)
    replace(hub, deployment(1), patience=Clock().patience(), wait=False)
    assert not status(hub, "scorer", patience=clock.patience(timeout=30.0)).healthy
    assert clock.now == 30.0
