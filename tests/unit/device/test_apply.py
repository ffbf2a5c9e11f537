from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub

from manifestgen.cloud import Hub, Twin
from manifestgen.device.apply import PATIENCE, apply, carry_out, propose, read_state, status, wait
from manifestgen.device.plan import Plan, plan
from manifestgen.device.rollout import Rollout, State
from manifestgen.device.snapshots import snapshots
from manifestgen.errors import (
    CloudError,
    FoundError,
    InputError,
    Interrupted,
    ManifestgenError,
    NotFoundError,
    ReplacedError,
    UnconfirmedError,
)
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import SENDING, Observer, Outcome, Patience, Wait

DEVICE = "edge-01"
QUICK = Patience(timeout=60, grace=5, first=1, longest=1)


def manifest(*names: str, image: str = "acme.azurecr.io/scorer:1") -> Manifest:
    module = {"type": "docker", "status": "running", "settings": {"image": image, "createOptions": "{}"}}
    hub = {"type": "docker", "status": "running", "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.6"}}
    agent = {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}}
    return Manifest.of(
        {
            "modulesContent": {
                "$edgeAgent": {
                    "properties.desired": {
                        "schemaVersion": "1.1",
                        "runtime": {"type": "docker", "settings": {}},
                        "systemModules": {"edgeAgent": agent, "edgeHub": hub},
                        "modules": {name: module for name in names},
                    }
                },
                "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
            }
        }
    )


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def planned(hub: Hub, *names: str) -> Plan:
    return plan(manifest(*names), read_state(hub, DEVICE))


def waited(hub: Hub, patience: Patience = QUICK) -> tuple[Rollout, list[Rollout], Clock]:
    clock = Clock()
    seen: list[Rollout] = []
    rollout = wait(hub, DEVICE, changed(patience, clock=clock, sleep=clock.sleep), seen.append)
    return rollout, seen, clock


def test_a_plan_is_sent_once_and_then_there_is_nothing_to_change() -> None:
    hub = FakeHub(DEVICE)
    assert apply(planned(hub, "scorer"), hub)
    again = planned(hub, "scorer")
    assert again.changes == ()
    assert not apply(again, hub)
    assert len(hub.applied) == 1


def test_someone_elses_change_since_the_plan_stops_it() -> None:
    hub = FakeHub(DEVICE)
    mine = planned(hub, "scorer")
    apply(planned(hub, "other"), hub)
    with pytest.raises(CloudError, match="its modules have changed since the plan was created"):
        apply(mine, hub)
    assert len(hub.applied) == 1


def test_a_lost_answer_is_verified_by_reading_and_not_sent_again() -> None:
    hub = FakeHub(DEVICE)
    hub.lost_answers = 1
    assert apply(planned(hub, "scorer"), hub)
    assert len(hub.applied) == 1


def test_a_request_that_did_not_arrive_is_sent_again() -> None:
    hub = FakeHub(DEVICE)
    hub.trouble["set_modules"] = [UnconfirmedError("reset", fix="look")]
    assert apply(planned(hub, "scorer"), hub, Patience(first=0.0))
    assert len(hub.applied) == 1


def test_a_request_that_never_arrives_is_given_up_and_not_said_to_be_lost() -> None:
    hub, clock = FakeHub(DEVICE), Clock()
    hub.trouble["set_modules"] = [UnconfirmedError("reset", fix="look")] * 100
    with pytest.raises(CloudError, match="its modules are not set: reset") as caught:
        apply(planned(hub, "scorer"), hub, changed(SENDING, clock=clock, sleep=clock.sleep))
    assert type(caught.value) is CloudError
    assert caught.value.fix == "run the same command again"
    assert hub.applied == []
    assert 90 < clock.now <= 120
    assert 8 <= 100 - len(hub.trouble["set_modules"]) <= 20


def test_modules_that_may_be_set_are_not_said_to_be_not_set() -> None:
    hub = FakeHub(DEVICE)
    plan = planned(hub, "scorer")
    hub.trouble["set_modules"] = [UnconfirmedError("reset", fix="look")]
    hub.trouble["device"] = [CloudError("down", fix="wait")]
    with pytest.raises(UnconfirmedError, match="its modules may or may not be set: down"):
        apply(plan, hub)


def test_an_unknown_device_is_said_to_be_unknown() -> None:
    with pytest.raises(NotFoundError):
        read_state(FakeHub(), DEVICE)


def test_a_device_that_is_not_an_edge_device_is_refused_before_anything_is_sent() -> None:
    hub = FakeHub()
    hub.add(DEVICE, edge=False)
    with pytest.raises(CloudError, match="not an IoT Edge device"):
        planned(hub, "scorer")


def test_an_automatic_deployment_on_the_device_is_warned_of() -> None:
    hub = FakeHub(DEVICE)
    hub.target(DEVICE, {"fleet-1": "applied"})
    (warning,) = planned(hub, "scorer").warnings
    assert "'fleet-1'" in warning


def test_waiting_ends_when_the_device_runs_it_in_two_reads() -> None:
    hub = FakeHub(DEVICE, obedient=True)
    apply(planned(hub, "scorer"), hub)
    rollout, seen, _ = waited(hub)
    assert rollout.state is State.HEALTHY
    assert len(seen) == 2


def test_a_refusal_ends_the_waiting_at_once() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    hub.report(
        DEVICE, "$edgeAgent", {"lastDesiredVersion": 1, "lastDesiredStatus": {"code": 400, "description": "bad"}}
    )
    with pytest.raises(FoundError, match="rejected it: 400 bad"):
        waited(hub)


def test_a_failure_that_the_agent_tries_again_gets_its_grace() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    version = read_state(hub, DEVICE).version
    trouble = {"code": 500, "description": "Could not pull image: dial tcp: i/o timeout"}
    hub.report(DEVICE, "$edgeAgent", {"lastDesiredVersion": version, "lastDesiredStatus": trouble})
    clock = Clock()
    with pytest.raises(FoundError, match="cannot reach the registry"):
        wait(hub, DEVICE, changed(QUICK, clock=clock, sleep=clock.sleep))
    assert QUICK.grace <= clock.now < QUICK.timeout


def test_a_module_that_crashes_again_and_again_fails_though_it_runs_in_between() -> None:
    hub = FakeHub(DEVICE, obedient=True)
    apply(planned(hub, "scorer"), hub)
    reported = hub.module_twin(DEVICE, "$edgeAgent")
    assert reported is not None
    clock = Clock()

    class Crashing(FakeHub):
        """Restarted every four seconds, and seen running for three of them."""

        def module_twin(self, device_id: str, module: str) -> Twin | None:
            if module == "$edgeAgent" and reported is not None:
                found = copy.deepcopy(dict(reported.reported))
                restarts, at = divmod(int(clock.now), 4)
                found["modules"]["scorer"] |= {
                    "runtimeStatus": "running" if at else "backoff",
                    "restartCount": restarts,
                    "exitCode": 3,
                }
                self.report(device_id, module, found)
            return super().module_twin(device_id, module)

    crashing = Crashing(DEVICE, obedient=True)
    apply(planned(crashing, "scorer"), crashing)
    with pytest.raises(FoundError, match="module 'scorer' is in backoff, exit code 3, restarted 2 times"):
        wait(crashing, DEVICE, changed(QUICK, clock=clock, sleep=clock.sleep))
    assert clock.now == 8  # the grace is over at five, and then it fails again


def test_an_offline_device_is_waited_for_until_time_is_up_and_the_reason_is_said() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    hub.connect(DEVICE, connected=False)
    clock = Clock()
    with pytest.raises(FoundError, match="not running after 60 s: the device is offline") as caught:
        wait(hub, DEVICE, changed(QUICK, clock=clock, sleep=clock.sleep))
    assert "--timeout" in caught.value.fix


def test_pauses_between_reads_grow_to_spare_the_hub() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    clock = Clock()
    with pytest.raises(FoundError):
        wait(hub, DEVICE, Patience(timeout=100, first=0.5, longest=10, clock=clock, sleep=clock.sleep))
    assert clock.pauses[0] == 0.5
    assert max(clock.pauses) == 10
    assert clock.pauses[:8] == sorted(clock.pauses[:8])


def test_modules_that_the_manifest_does_not_name_are_not_removed_without_prune() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "a", "b"), hub)
    wiping = planned(hub, "b", "c")
    with pytest.raises(InputError, match="would remove 'a'"):
        carry_out(hub, wiping, state=None)
    assert carry_out(hub, wiping, state=None, prune=True) == Outcome(applied=True, finished=True)
    assert {"b", "c"} <= set(hub.modules(DEVICE))
    assert "a" not in hub.modules(DEVICE)


def test_anyone_who_is_asked_can_stop_it() -> None:
    def refuse(plan: Plan) -> None:
        raise Interrupted("nothing was changed", fix="run it again")

    hub = FakeHub(DEVICE)
    with pytest.raises(Interrupted):
        carry_out(hub, planned(hub, "scorer"), state=None, observer=Observer(permit=refuse))
    assert hub.applied == []


def test_no_one_is_asked_when_there_is_nothing_to_change(tmp_path: Path) -> None:
    hub = FakeHub(DEVICE, obedient=True)
    apply(planned(hub, "scorer"), hub)
    asked: list[Any] = []
    observer: Observer[Any, Any] = Observer(permit=asked.append)
    outcome = carry_out(hub, planned(hub, "scorer"), state=tmp_path, patience=Patience(first=0.001), observer=observer)
    assert not outcome.applied
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_interrupted_while_waiting_says_that_the_modules_are_set() -> None:
    def interrupt(title: str, rollout: Rollout) -> None:
        raise KeyboardInterrupt

    hub = FakeHub(DEVICE)
    with pytest.raises(Interrupted, match="are set, but the rollout was not waited for"):
        carry_out(hub, planned(hub, "scorer"), state=None, patience=QUICK, observer=Observer(progress=interrupt))


def test_what_the_device_had_is_kept_before_it_is_changed(tmp_path: Path) -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "a"), hub)
    carry_out(hub, planned(hub, "a", "b"), state=tmp_path)
    (kept,) = snapshots(hub.host, DEVICE, tmp_path)
    assert kept.modules == ("a",)


def test_a_snapshot_that_cannot_be_kept_keeps_the_device_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("a file where the folder belongs")
    hub = FakeHub(DEVICE)
    apply(planned(hub, "a"), hub)
    with pytest.raises(InputError, match="could not write the snapshot"):
        carry_out(hub, planned(hub, "a", "b"), state=tmp_path)
    assert len(hub.applied) == 1


class RefusingHub(FakeHub):
    """Its devices refuse manifests with a module of this name."""

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        bad = "bad" in content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
        self.obedient = not bad
        super().set_modules(device_id, content)
        if bad:
            refusal = {"code": 400, "description": "Agent configuration format is invalid."}
            # It reports the version that it still runs.
            self.report(device_id, "$edgeAgent", {"lastDesiredVersion": -1, "lastDesiredStatus": refusal})


def test_rollback_on_failure_goes_back_and_reports_both() -> None:
    hub = RefusingHub(DEVICE)
    apply(planned(hub, "good"), hub)
    quick = Patience(timeout=5, first=0.001, longest=0.001)
    with pytest.raises(FoundError, match=r"rejected it: 400 .*; rolled back, and it runs what it had before"):
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=quick, rollback=True)
    agent = hub.module_twin(DEVICE, "$edgeAgent")
    assert agent is not None
    assert sorted(agent.desired["modules"]) == ["good"]


def test_two_failures_show_what_to_do_about_each() -> None:
    class NeverWell(RefusingHub):
        def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
            super().set_modules(device_id, content)
            if len(self.applied) == 3:
                self.report(DEVICE, "$edgeAgent", {"lastDesiredStatus": {"code": 412, "description": "schema"}})

    hub = NeverWell(DEVICE)
    apply(planned(hub, "good"), hub)
    with pytest.raises(FoundError, match="the rollback was sent, but failed too") as caught:
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=QUICK, rollback=True)
    first, _, second = caught.value.fix.partition("; for the rollback: ")
    assert first.startswith("run 'manifestgen check' on the manifest")
    assert second.startswith("use schemaVersion 1.1")


def test_rollback_on_failure_of_a_first_apply_says_that_there_is_nothing_to_go_back_to() -> None:
    hub = RefusingHub(DEVICE)
    with pytest.raises(FoundError, match="nothing to roll back to"):
        carry_out(hub, planned(hub, "bad"), state=None, patience=QUICK, rollback=True)


@pytest.mark.parametrize(
    ("trouble", "error", "words"),
    [
        (CloudError("503", where="the hub", fix="try later"), CloudError, "did not succeed: the hub: 503"),
        (KeyboardInterrupt(), Interrupted, "may or may not have been sent"),
    ],
)
def test_what_stops_the_way_back_does_not_hide_that_the_device_failed(
    trouble: BaseException, error: type[ManifestgenError], words: str
) -> None:
    class Stopped(RefusingHub):
        def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
            if len(self.applied) == 2:
                raise trouble
            super().set_modules(device_id, content)

    hub = Stopped(DEVICE)
    apply(planned(hub, "good"), hub)
    quick = Patience(timeout=5, first=0.001, longest=0.001)
    with pytest.raises(error, match=f"rejected it: 400 .*; the rollback {words}") as caught:
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=quick, rollback=True)
    advice = "roll back with 'manifestgen rollback --device edge-01'"
    assert caught.value.fix.startswith(advice)
    assert ("; then run 'manifestgen check'" in caught.value.fix) == (error is CloudError)


@pytest.mark.parametrize("rollback", [False, True])
@pytest.mark.parametrize("when", ["before the first read", "while it is waited for"])
def test_modules_that_someone_else_set_meanwhile_are_said_and_left_alone(when: str, rollback: bool) -> None:
    class Crowded(FakeHub):
        def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
            super().set_modules(device_id, content)
            if when == "before the first read" and len(self.applied) == 2:
                super().set_modules(device_id, manifest("theirs").content)

    hub = Crowded(DEVICE)
    apply(planned(hub, "before"), hub)

    def interfere(title: str, rollout: Rollout) -> None:
        if len(hub.applied) == 2:
            hub.set_modules(DEVICE, manifest("theirs").content)

    quick = Patience(timeout=5, first=0.001, longest=0.001)
    mine = planned(hub, "before", "mine")
    with pytest.raises(ReplacedError, match="other modules were set in the meantime"):
        carry_out(hub, mine, state=None, patience=quick, rollback=rollback, observer=Observer(progress=interfere))
    agent = hub.module_twin(DEVICE, "$edgeAgent")
    assert agent is not None
    assert sorted(agent.desired["modules"]) == ["theirs"]
    assert len(hub.applied) == 3


def test_without_rollback_a_failure_leaves_the_device_as_asked() -> None:
    hub = RefusingHub(DEVICE)
    apply(planned(hub, "good"), hub)
    with pytest.raises(FoundError):
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=QUICK)
    agent = hub.module_twin(DEVICE, "$edgeAgent")
    assert agent is not None
    assert "bad" in agent.desired["modules"]


def test_trouble_after_the_modules_were_set_says_that_they_are() -> None:
    class Deaf(FakeHub):
        def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
            super().set_modules(device_id, content)
            self.trouble["module_twin"] = [
                CloudError("503 Service Unavailable", where="the hub", fix="try again later")
            ]

    hub = Deaf(DEVICE)
    with pytest.raises(
        CloudError, match="its modules are set; could not check whether they run: the hub: 503"
    ) as caught:
        carry_out(hub, planned(hub, "scorer"), state=None, patience=QUICK)
    assert caught.value.fix == "try again later"


def test_steps_say_what_was_sent_before_anything_is_waited_for() -> None:
    hub = FakeHub(DEVICE, obedient=True)
    said: list[str] = []
    observer: Observer[Plan, Rollout] = Observer(
        step=said.append, progress=lambda title, rollout: said.append(f"{title}: {rollout.state.value}")
    )
    quick = Patience(timeout=5, first=0.001, longest=0.001)
    outcome = carry_out(hub, propose(hub, manifest("scorer"), DEVICE), state=None, patience=quick, observer=observer)
    assert said == ["modules set", f"device {DEVICE!r}: healthy", f"device {DEVICE!r}: healthy"]
    assert outcome.progress is not None and outcome.progress.state is State.HEALTHY


def test_a_look_is_one_read_and_watching_continues_until_it_is_decided() -> None:
    hub, seen = FakeHub(DEVICE), []
    apply(planned(hub, "scorer"), hub)
    clock = Clock()
    assert status(hub, DEVICE, progress=lambda title, rollout: seen.append(rollout)).state is State.WAITING
    assert seen == [] and clock.pauses == []
    patience = changed(QUICK, clock=clock, sleep=clock.sleep)
    found = status(hub, DEVICE, patience=patience, progress=lambda title, rollout: seen.append(rollout))
    assert found.state is State.WAITING and seen[-1] == found
    assert clock.now >= patience.timeout


def test_the_status_of_an_unknown_device_is_that_it_is_unknown() -> None:
    with pytest.raises(NotFoundError):
        status(FakeHub(DEVICE), "nobody")


@pytest.mark.parametrize("rollback", [False, True], ids=["stays", "is rolled back"])
def test_the_end_of_a_log_is_read_before_anything_is_restored(rollback: bool) -> None:
    hub = RefusingHub(DEVICE)
    apply(planned(hub, "good"), hub)
    seen: list[tuple[str, State, list[str]]] = []

    def failed(device: str, rollout: Rollout) -> tuple[str, ...]:
        agent = hub.module_twin(DEVICE, "$edgeAgent")
        assert agent is not None
        seen.append((device, rollout.state, sorted(agent.desired["modules"])))
        return ("bad | ValueError",)

    quick = Patience(timeout=5, first=0.001, longest=0.001)
    with pytest.raises(FoundError) as caught:
        carry_out(
            hub,
            planned(hub, "good", "bad"),
            state=None,
            prune=True,
            patience=quick,
            rollback=rollback,
            observer=Observer(failed=failed),
        )
    assert seen == [(DEVICE, State.REFUSED, ["bad", "good"])]
    assert caught.value.detail == ("bad | ValueError",)


@pytest.mark.parametrize("rollback", [False, True], ids=["stays", "is rolled back"])
def test_what_runs_and_does_not_pass_a_test_has_failed(rollback: bool) -> None:
    hub = FakeHub(DEVICE, obedient=True)
    apply(planned(hub, "good"), hub)

    def verify(rollout: Rollout) -> None:
        assert rollout.state is State.HEALTHY
        raise FoundError("the answer differs", where="module 'bad'", fix="correct it")

    quick = Patience(timeout=5, first=0.001, longest=0.001)
    words = "the answer differs; rolled back" if rollback else "the answer differs$"
    with pytest.raises(FoundError, match=words):
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=quick, rollback=rollback, verify=verify)
    agent = hub.module_twin(DEVICE, "$edgeAgent")
    assert agent is not None
    assert sorted(agent.desired["modules"]) == (["good"] if rollback else ["bad", "good"])


def test_a_device_is_waited_for_ten_minutes_with_a_minute_of_grace() -> None:
    assert (PATIENCE.timeout, PATIENCE.grace) == (600.0, 60.0)


def test_the_last_pause_ends_with_the_time_that_there_is() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    clock = Clock()
    with pytest.raises(FoundError, match="not running after 13 s"):
        wait(hub, DEVICE, Patience(timeout=13, first=10, longest=10, clock=clock, sleep=clock.sleep))
    assert clock.pauses == [10, 3]


def test_a_wait_says_when_a_failure_will_end_it() -> None:
    hub = FakeHub(DEVICE)
    apply(planned(hub, "scorer"), hub)
    trouble = {"code": 500, "description": "Could not pull image: dial tcp: i/o timeout"}
    version = read_state(hub, DEVICE).version
    hub.report(DEVICE, "$edgeAgent", {"lastDesiredVersion": version, "lastDesiredStatus": trouble})
    clock, waits = Clock(), list[Wait]()
    with pytest.raises(FoundError):
        wait(hub, DEVICE, changed(QUICK, clock=clock, sleep=clock.sleep), waiting=waits.append)
    assert {(one.begun, one.ends, one.aborts) for one in waits} == {(0.0, QUICK.timeout, QUICK.grace)}


def test_a_rollback_that_was_sent_and_cannot_be_checked_is_said_to_be_sent() -> None:
    class Deaf(RefusingHub):
        def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
            super().set_modules(device_id, content)
            if len(self.applied) == 3:
                self.trouble["module_twin"] = [CloudError("503", where="the hub", fix="try again later")]

    hub = Deaf(DEVICE)
    apply(planned(hub, "good"), hub)
    with pytest.raises(CloudError, match="the rollback was sent, but could not check whether it runs: the hub: 503"):
        carry_out(hub, planned(hub, "good", "bad"), state=None, patience=QUICK, rollback=True)
