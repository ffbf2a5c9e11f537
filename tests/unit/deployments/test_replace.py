from __future__ import annotations

from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub
from unit.deployments.deployments import Clock, deployment, fleet, layer, scorer

from manifestgen.cloud import Configuration
from manifestgen.deployments.counts import Progress, all_failing
from manifestgen.deployments.deployment import HIGHEST_PRIORITY, NAME_LABEL, Deployment, current, survey
from manifestgen.deployments.failure import RolloutError
from manifestgen.deployments.proposal import Proposal, propose
from manifestgen.deployments.replace import PATIENCE, Goal, carry_out, replace
from manifestgen.deployments.snapshots import snapshots
from manifestgen.deployments.stages import parse
from manifestgen.errors import CloudError, FoundError, InputError, Interrupted
from manifestgen.target import Observer, Outcome, Wait

ROOT = Path(__file__).parents[3]


class Killed(BaseException):
    """SIGKILL: nothing of the run gets to do anything more."""


def images(hub: FakeHub, count: int) -> set[str]:
    """What the devices at the lab run."""
    return {hub.running(f"edge-{number:02}").get("scorer", "nothing") for number in range(count)}


def apply(hub: FakeHub, wanted: Deployment, **more: Any) -> Outcome[Progress]:
    return replace(hub, wanted, patience=more.pop("patience", Clock().patience()), **more)


def kept(hub: FakeHub, state: Path) -> list[Deployment]:
    """What the snapshots hold, newest first."""
    return [snapshot.deployment for snapshot in snapshots(hub.host, "scorer", state)]


def foreign(name: str, priority: int, condition: str = "tags.site = 'lab'", **more: Any) -> Configuration:
    """Somebody else's deployment."""
    return Configuration(name, scorer("foreign"), condition, priority, **more)


def test_a_new_deployment_reaches_the_devices_that_its_condition_matches() -> None:
    hub = fleet(3)
    outcome = apply(hub, deployment(1))
    assert images(hub, 3) == {"acme.azurecr.io/scorer:1"}
    assert hub.running("elsewhere") == {}
    assert outcome.finished and outcome.applied
    assert outcome.progress is not None and (outcome.progress.due, outcome.progress.healthy) == (3, 3)


def test_the_same_content_again_writes_nothing() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.writes.clear()
    assert not apply(hub, deployment(1)).applied
    assert hub.writes == []


def test_another_content_is_created_above_and_the_old_one_deleted_last() -> None:
    hub = fleet(2)
    old, new = deployment(1), deployment(2)
    apply(hub, old)
    hub.writes.clear()
    steps: list[str] = []
    apply(hub, new, observer=Observer(step=steps.append))
    assert hub.writes == [f"create {new.id}", f"delete {old.id}", f"update {new.id}"]
    assert steps[0] == f"created {new.id!r} with priority 11"
    assert steps[-1] == f"changed {new.id!r}: priority 11 to 10"
    assert [found.id for found in hub.configurations()] == [new.id]
    assert images(hub, 2) == {"acme.azurecr.io/scorer:2"}


def test_condition_priority_labels_and_metrics_change_in_place() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.writes.clear()
    wanted = deployment(1, condition="*", priority=20, labels={"ring": "all"}, metrics={})
    apply(hub, wanted)
    assert hub.writes == [f"update {wanted.id}"]
    assert hub.running("elsewhere") == {"scorer": "acme.azurecr.io/scorer:1"}
    assert current(hub, "scorer") == wanted


def test_a_higher_priority_is_taken_at_once() -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    hub.writes.clear()
    new = deployment(2, priority=50)
    apply(hub, new)
    assert hub.writes == [f"create {new.id}", f"delete {deployment(1).id}"]


@pytest.mark.parametrize(("priority", "neighbour"), [(10, 11), (HIGHEST_PRIORITY, None)])
def test_without_room_above_it_has_the_same_priority_and_wins_as_the_newer_one(
    priority: int, neighbour: int | None
) -> None:
    hub = fleet(2)
    apply(hub, deployment(1, priority=priority))
    if neighbour is not None:
        # A layer needs a priority above its base's: going to 11 would take it from the devices for a while.
        extra = Configuration("extra", layer("extra", 1), "*", neighbour)
        hub.create_configuration(extra)
    hub.changed = lambda: check_extra(hub, neighbour)
    apply(hub, deployment(2, priority=priority))
    assert images(hub, 2) == {"acme.azurecr.io/scorer:2"}
    assert {found.priority for found in hub.configurations()} == {priority} | ({neighbour} if neighbour else set())


def check_extra(hub: FakeHub, neighbour: int | None) -> None:
    assert neighbour is None or hub.running("edge-00").get("extra"), "the layer was gone for a while"


def test_the_old_one_stays_until_enough_devices_report_success() -> None:
    hub = fleet(4)
    apply(hub, deployment(1))
    hub.connect("edge-03", connected=False)
    clock = Clock()
    with pytest.raises(FoundError) as caught:
        apply(hub, deployment(2), patience=clock.patience())
    assert "3 of 4 devices run it after 10 min" in caught.value.what
    assert f"{deployment(1).id!r} stays below it" in caught.value.what
    assert caught.value.options == ("accept fewer devices with --wait-for 95%",)
    assert clock.now == pytest.approx(600)
    assert len(hub.configurations()) == 2
    assert apply(hub, deployment(2), goal=Goal(wait_for=0.75)).finished
    assert [found.id for found in hub.configurations()] == [deployment(2).id]


def test_devices_that_come_late_are_waited_for() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.connect("edge-01", connected=False)
    clock = Clock()

    def after_a_minute(now: float) -> None:
        if now > 60 and not hub.device("edge-01").connected:
            hub.connect("edge-01", connected=True)
            hub._obey(hub._find("edge-01"))

    clock.waited = after_a_minute
    looks: list[Progress] = []
    apply(hub, deployment(2), patience=clock.patience(), observer=Observer(progress=lambda _, each: looks.append(each)))
    assert [look.healthy for look in looks][:1] == [1] and looks[-1].healthy == 2
    assert 60 < clock.now < 90


def test_half_an_hour_is_the_time_that_the_guide_names() -> None:
    assert "(for a deployment, 30 minutes by default)" in (ROOT / "docs/fleets.md").read_text("utf-8")
    assert PATIENCE.timeout == 30 * 60


def test_the_hub_is_asked_politely() -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    hub.connect("edge-00", connected=False)
    clock = Clock()
    looks: list[float] = []
    with pytest.raises(FoundError):
        apply(
            hub,
            deployment(2),
            patience=clock.patience(),
            observer=Observer(progress=lambda *_: looks.append(clock.now)),
        )
    # Of twenty queries and twenty configuration calls a minute for one unit, it takes a quarter.
    assert len([at for at in looks if 60 <= at < 120]) <= 5


def test_devices_that_another_deployment_holds_are_not_waited_for() -> None:
    hub = fleet(4, lambda number: {"ring": number})
    apply(hub, deployment(1))
    hub.create_configuration(foreign("better", 90, "tags.ring >= 2"))
    outcome = apply(hub, deployment(2))
    assert outcome.progress is not None
    assert (outcome.progress.matched, outcome.progress.held, outcome.progress.due) == (4, 2, 2)
    assert hub.running("edge-03") == {"scorer": "acme.azurecr.io/scorer:foreign"}


def test_counts_that_the_hub_has_not_worked_out_yet_are_not_taken_for_success() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    clock = Clock()
    new = deployment(2)
    honest = hub.configuration

    def lagging(configuration_id: str) -> Configuration:
        found = honest(configuration_id)
        return with_changes(found, counts={}, results={}) if clock.now < 300 else found

    hub.configuration = lagging  # type: ignore[method-assign] # the hub works its metrics out every five minutes
    apply(hub, new, patience=clock.patience())
    assert clock.now >= 300


def test_nothing_of_others_is_touched() -> None:
    hub = fleet(1)
    other = foreign("scorer-of-somebody", 5, labels={"owner": "me"})
    hub.create_configuration(other)
    hub.create_configuration(foreign("another", 6, labels={NAME_LABEL: "another"}))
    apply(hub, deployment(1))
    apply(hub, deployment(2))
    assert {found.id for found in hub.configurations()} == {"scorer-of-somebody", "another", deployment(2).id}


def test_a_name_that_is_someone_else_s_is_refused_before_anything_is_written() -> None:
    hub = fleet(1)
    hub.create_configuration(foreign("scorer", 5))
    hub.writes.clear()
    with pytest.raises(InputError, match="manifestgen did not create") as caught:
        apply(hub, deployment(1))
    assert "choose another name" in caught.value.fix
    assert hub.writes == []


def test_a_full_hub_is_said_before_anything_is_written() -> None:
    hub = fleet(1)
    for number in range(100):
        hub.create_configuration(foreign(f"other-{number}", 1, "tags.site = 'nowhere'"))
    hub.writes.clear()
    with pytest.raises(CloudError, match="the hub has 100 deployments; its limit is 100"):
        apply(hub, deployment(1))
    assert hub.writes == []


def test_one_that_lost_its_label_meanwhile_is_not_deleted() -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    old = hub.configurations()[0]

    def rob(name: str) -> None:
        if name == "create":
            hub.before = lambda name: None
            hub.update_configuration(with_changes(old, labels={}))

    hub.before = rob
    with pytest.raises(CloudError, match="lost the label"):
        apply(hub, deployment(2))
    assert old.id in {found.id for found in hub.configurations()}


@pytest.mark.parametrize("change", ["create", "update", "delete"])
def test_a_lost_answer_is_looked_after(change: str) -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.lose = [change]
    steps: list[str] = []
    assert apply(hub, deployment(2), observer=Observer(step=steps.append)).applied
    assert [step.split()[0] for step in steps] == ["created", "deleted", "changed"]
    assert hub.lose == []
    assert [(found.id, found.priority) for found in hub.configurations()] == [(deployment(2).id, 10)]


def test_an_abort_brings_the_previous_content_back() -> None:
    hub = fleet(4)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:2": "Could not pull image"}
    with pytest.raises(FoundError) as caught:
        apply(hub, deployment(2), goal=Goal(abort_if_failing=0.02))
    assert "4 of 4 devices fail (100.0%, more than 2.0%)" in caught.value.what
    assert "Could not pull image" in caught.value.what
    assert f"4 of 4 devices are back at {deployment(1).id!r}" in caught.value.what
    assert images(hub, 4) == {"acme.azurecr.io/scorer:1"}
    assert [found.id for found in hub.configurations()] == [deployment(1).id]


@pytest.mark.parametrize(("comes_back", "succeeded"), [(True, 2), (False, 1)])
def test_going_back_is_followed_until_the_devices_are_back_or_the_time_is_up(comes_back: bool, succeeded: int) -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:2": "Could not pull image"}
    clock = Clock()
    looks: list[tuple[float, int]] = []

    def look(title: str, progress: Progress) -> None:
        if title == "back":
            looks.append((clock.now, progress.succeeded))

    def meanwhile(now: float) -> None:
        # Gone before the new version is taken back, and here again a minute after.
        if not looks:
            hub.connect("edge-01", connected=False)
        elif comes_back and now > looks[0][0] + 60 and not hub.device("edge-01").connected:
            hub.connect("edge-01", connected=True)
            hub._obey(hub._find("edge-01"))

    clock.waited = meanwhile
    with pytest.raises(RolloutError) as caught:
        apply(
            hub,
            deployment(2),
            patience=clock.patience(),
            goal=Goal(abort_if_failing=0.02),
            observer=Observer(progress=look),
        )
    (begun, first), *_, (ended, last) = looks
    assert (first, last) == (1, succeeded)
    assert (60 < ended - begun < 90) if comes_back else (ended - begun >= 600)
    assert f"2 of 2 devices are back at {deployment(1).id!r}, {succeeded} of them report success" in caught.value.what


def test_after_an_abort_every_device_that_failed_is_named_with_its_reason() -> None:
    hub = fleet(4)
    apply(hub, deployment(1))
    hub.bad_images, hub.broken = {"acme.azurecr.io/scorer:2": "Could not pull image"}, {"edge-01", "edge-03"}
    waits: list[Wait] = []
    observer: Observer[Any, Progress] = Observer(waiting=waits.append)
    with pytest.raises(RolloutError) as caught:
        apply(hub, deployment(2), goal=Goal(abort_if_failing=0.02), observer=observer)
    error = caught.value
    assert [(each.device, "Could not pull image" in each.reason) for each in error.troubles] == [
        ("edge-01", True),
        ("edge-03", True),
    ]
    assert (error.stage, error.progress.failing, error.progress.due) == ("rollout", 2, 4)
    assert error.restored in error.what and "back at" in error.restored
    assert [each["device"] for each in error.data["failing_devices"]] == ["edge-01", "edge-03"]
    assert error.data["progress"]["failing"] == 2
    # Before it aborts it says so, and when.
    failing = [wait for wait in waits if wait.aborts is not None]
    assert failing and all(wait.then == "aborts" for wait in failing)
    assert failing[0].why == "2 of 4 devices fail (50.0%, more than 2.0%)"
    assert failing[0].aborts is not None and failing[0].aborts < failing[0].ends


def test_only_the_first_devices_are_looked_up_and_all_are_named() -> None:
    hub = fleet(5)
    hub.bad_images = {"acme.azurecr.io/scorer:1": "no such image"}
    apply(hub, deployment(1), wait=False)
    found = all_failing(hub, hub.configuration(deployment(1).id), 3)
    assert [each.device for each in found] == [f"edge-0{number}" for number in range(5)]
    assert [each.reason.startswith("not looked up") for each in found] == [False, False, False, True, True]


@pytest.mark.parametrize("goal", [Goal(abort_if_failing=0.0), Goal(restore=True)])
def test_an_old_version_that_cannot_be_restored_does_not_hide_why(goal: Goal, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:2": "Could not pull image"}

    def refuse(configuration: Configuration) -> None:
        raise CloudError("503", where="the hub", fix="try later")

    monkeypatch.setattr(hub, "delete_configuration", refuse)
    with pytest.raises(RolloutError) as caught:
        apply(hub, deployment(2), goal=goal)
    assert "Could not pull image" in caught.value.what
    assert "the old version could not be restored: the hub: 503" in caught.value.what
    assert caught.value.fix.startswith("roll back with 'manifestgen rollback --deployment scorer'; then ")
    assert len(caught.value.troubles) == 2


def test_what_devices_fail_with_and_how_to_resume_are_both_advised_when_the_time_is_up() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:2": "manifest unknown"}
    with pytest.raises(RolloutError) as caught:
        apply(hub, deployment(2))
    assert caught.value.fix.startswith("check the image's repository and tag; then run the same command again")
    assert len(caught.value.troubles) == 2
    assert caught.value.restored == ""


def test_a_failure_that_passes_does_not_abort() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:2": "Could not pull image"}
    clock = Clock()

    def better(now: float) -> None:
        if now > 30 and hub.bad_images:
            hub.bad_images = {}
            for device in ("edge-00", "edge-01"):
                hub._obey(hub._find(device))

    clock.waited = better
    assert apply(hub, deployment(2), patience=clock.patience(), goal=Goal(abort_if_failing=0.02)).finished


def test_failures_that_are_allowed_are_not_waited_for() -> None:
    hub = fleet(10)
    apply(hub, deployment(1))
    hub.bad_images, hub.broken = {"acme.azurecr.io/scorer:2": "Could not pull image"}, {"edge-04"}
    outcome = apply(hub, deployment(2), goal=Goal(abort_if_failing=0.1))
    assert outcome.finished
    assert outcome.progress is not None and (outcome.progress.healthy, outcome.progress.failing) == (9, 1)
    hub.bad_images["acme.azurecr.io/scorer:3"] = "Could not pull image"
    with pytest.raises(FoundError, match="1 of 10 devices fail"):
        apply(hub, deployment(3), goal=Goal(abort_if_failing=0.09))


def test_a_module_that_crashes_is_a_failure_although_the_hub_counts_success() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    clock = Clock()

    def crash(now: float) -> None:
        agent = hub.module_twin("edge-00", "$edgeAgent")
        assert agent is not None
        modules = {"scorer": {**agent.reported["modules"]["scorer"], "runtimeStatus": "backoff"}}
        hub.report("edge-00", "$edgeAgent", {**agent.reported, "modules": modules})

    hub.changed = lambda: crash(0) if len(hub.configurations()) == 2 else None
    with pytest.raises(FoundError, match="1 of 2 devices fail"):
        apply(hub, deployment(2), patience=clock.patience(), goal=Goal(abort_if_failing=0.1))


def test_an_abort_of_a_first_deployment_says_that_there_is_nothing_to_go_back_to() -> None:
    hub = fleet(1)
    hub.bad_images = {"acme.azurecr.io/scorer:1": "no such image"}
    with pytest.raises(FoundError, match="there was none before it"):
        apply(hub, deployment(1), goal=Goal(abort_if_failing=0.0))
    assert hub.configurations() == []


@pytest.mark.parametrize("goal", [Goal(abort_if_failing=0.0), Goal(restore=True)])
@pytest.mark.parametrize(("priority", "said"), [(20, "its old settings were restored"), (10, "nothing was changed")])
def test_a_deployment_that_was_there_is_not_deleted_because_its_devices_fail(
    goal: Goal, priority: int, said: str
) -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    hub.bad_images = {"acme.azurecr.io/scorer:1": "no such image"}
    hub.add("edge-02", tags={"site": "lab"})
    with pytest.raises(FoundError, match=said):
        apply(hub, deployment(1, priority=priority), goal=goal)
    assert current(hub, "scorer") == deployment(1)


def test_without_waiting_both_stay_until_it_is_run_again() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    outcome = apply(hub, deployment(2), wait=False)
    assert (outcome.finished, outcome.progress) == (False, None)
    assert len(hub.configurations()) == 2
    assert apply(hub, deployment(2)).finished
    assert len(hub.configurations()) == 1


def test_going_back_in_the_middle_of_a_replacement_raises_the_old_one_again() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    apply(hub, deployment(2), wait=False)
    assert images(hub, 2) == {"acme.azurecr.io/scorer:2"}
    apply(hub, deployment(1))
    assert images(hub, 2) == {"acme.azurecr.io/scorer:1"}
    assert [(found.id, found.priority) for found in hub.configurations()] == [(deployment(1).id, 10)]


def test_going_back_where_the_next_priority_is_taken_says_what_to_do() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    apply(hub, deployment(2), wait=False)
    hub.create_configuration(foreign("neighbour", 12, "tags.site = 'shop'"))
    with pytest.raises(InputError, match="the new version needs priority 12, which another deployment uses") as caught:
        apply(hub, deployment(1))
    assert caught.value.fix == "change the other deployment's priority"
    assert caught.value.options == ("set --priority above 12",)


def test_ctrl_c_says_what_was_done() -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    hub.connect("edge-00", connected=False)
    clock = Clock()

    def stop(now: float) -> None:
        raise KeyboardInterrupt

    clock.waited = stop
    with pytest.raises(Interrupted, match=f"created '{deployment(2).id}' with priority 11"):
        apply(hub, deployment(2), patience=clock.patience())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("create", f"interrupted; '{deployment(2).id}' may or may not be set"),
        ("delete", f"priority 11; '{deployment(1).id}' may or may not be deleted"),
        ("update", f"deleted '{deployment(1).id}'; '{deployment(2).id}' may or may not be set"),
    ],
)
def test_an_interruption_says_that_a_change_that_was_sent_may_be_made(change: str, words: str) -> None:
    hub = fleet(1)
    apply(hub, deployment(1))

    def stop(name: str) -> None:
        if name == change:
            raise KeyboardInterrupt

    hub.before = stop
    with pytest.raises(Interrupted) as caught:
        apply(hub, deployment(2))
    assert caught.value.what.endswith(words)


def test_the_previous_state_is_kept_before_the_first_change(tmp_path: Path) -> None:
    hub = fleet(1)
    apply(hub, deployment(1), state=tmp_path)
    assert kept(hub, tmp_path) == []
    apply(hub, deployment(1, priority=12), state=tmp_path)
    assert kept(hub, tmp_path) == [deployment(1)]
    apply(hub, deployment(1, priority=12), state=tmp_path)
    assert kept(hub, tmp_path) == [deployment(1)]
    apply(hub, deployment(2), state=tmp_path)
    assert kept(hub, tmp_path) == [deployment(1, priority=12), deployment(1)]

    hub.writes.clear()
    blocked = tmp_path / "a file where the folder belongs"
    blocked.touch()
    with pytest.raises(InputError, match="could not write the snapshot"):
        apply(hub, deployment(3), state=blocked)
    assert hub.writes == []


def test_an_interrupted_replacement_does_not_make_its_priority_and_condition_last() -> None:
    hub = fleet(4)
    apply(hub, deployment(1))
    hub.connect("edge-03", connected=False)
    with pytest.raises(FoundError, match="stage 1 of 2"):
        apply(hub, deployment(2), stages=parse("99%"))
    known = current(hub, "scorer")
    assert known is not None
    assert (known.id, known.condition, known.priority) == (deployment(2).id, "tags.site = 'lab'", 10)
    hub.connect("edge-03", connected=True)
    hub._obey(hub._find("edge-03"))
    apply(hub, known)
    assert current(hub, "scorer") == deployment(2)


def test_a_first_rollout_in_stages_that_was_interrupted_needs_its_condition() -> None:
    hub = fleet(4)
    for number in range(4):
        hub.connect(f"edge-{number:02}", connected=False)
    with pytest.raises(FoundError):
        apply(hub, deployment(1), stages=parse("1%"))
    with pytest.raises(InputError, match="interrupted between stages"):
        current(hub, "scorer")
    assert current(hub, "scorer", condition="tags.site = 'lab'") == deployment(1)


def test_several_interrupted_replacements_do_not_make_priorities_creep_up() -> None:
    hub = fleet(1)
    for version in (1, 2, 3, 4):
        known = current(hub, "scorer")
        apply(hub, deployment(version, priority=known.priority if known else 10), wait=False)
    assert [found.priority for found in survey(hub, "scorer").generations] == [13, 12, 11, 10]
    apply(hub, deployment(4, priority=current(hub, "scorer").priority))  # type: ignore[union-attr] # it is there
    assert [(found.id, found.priority) for found in hub.configurations()] == [(deployment(4).id, 10)]


def test_a_temporary_priority_does_not_last_when_the_old_one_is_gone_already(tmp_path: Path) -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    hub.update_configuration = lambda configuration: (_ for _ in ()).throw(Killed())  # type: ignore[method-assign]
    with pytest.raises(Killed):
        apply(hub, deployment(2))
    del hub.update_configuration
    assert [(found.id, found.priority) for found in hub.configurations()] == [(deployment(2).id, 11)]

    known = current(hub, "scorer")
    assert known == deployment(2)
    apply(hub, known, state=tmp_path)

    (only,) = hub.configurations()
    assert (only.id, only.priority, only.labels) == (deployment(2).id, 10, {NAME_LABEL: "scorer"})
    assert kept(hub, tmp_path) == []


def test_a_priority_that_was_asked_for_lasts() -> None:
    hub = fleet(1)
    apply(hub, deployment(1))
    apply(hub, deployment(2, priority=50), wait=False)
    assert current(hub, "scorer") == deployment(2, priority=50)
    apply(hub, deployment(3, priority=50), wait=False)
    assert current(hub, "scorer") == deployment(3, priority=50)


def test_a_layer_that_leaves_the_agent_empty_is_only_waited_for_to_be_targeted() -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    routes = {"$edgeAgent": {}, "$edgeHub": {"properties.desired.routes.more": "FROM /messages/* INTO $upstream"}}
    outcome = apply(hub, deployment(0, name="routes", content={"modulesContent": routes}, priority=20))
    assert outcome.progress is not None and not outcome.progress.counted


def test_killed_at_every_request_and_run_again_no_device_is_ever_without_the_module() -> None:
    """Each request may be the last: before it is sent, or after it was taken."""
    asked = parse("25%,100%")

    def walk(last: int, *, taken: bool) -> bool:
        """Kill the run at a request, look at the devices all the while, run again; whether it came so far."""
        hub = fleet(4)
        apply(hub, deployment(1))
        seen = 0
        reads = ("configurations", "configuration", "query")
        writes = ("create_configuration", "update_configuration", "delete_configuration")

        def no_gap() -> None:
            for number in range(4):
                device = f"edge-{number:02}"
                winner = hub.targeting(device)[0]
                assert "scorer" in winner.content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
                assert hub.running(device)["scorer"] in ("acme.azurecr.io/scorer:1", "acme.azurecr.io/scorer:2")

        def deadly(name: str) -> Any:
            honest = getattr(hub, name)

            def call(*args: Any, **named: Any) -> Any:
                nonlocal seen
                seen += 1
                no_gap()
                if seen == last and not taken:
                    raise Killed
                try:
                    return honest(*args, **named)
                finally:
                    no_gap()
                    if seen == last:
                        raise Killed

            return call

        for name in (*reads, *writes):
            setattr(hub, name, deadly(name))
        killed = True
        try:
            apply(hub, deployment(2), stages=asked)
            killed = False
        except Killed:
            last = 0
            apply(hub, deployment(2), stages=asked)
        for name in (*reads, *writes):
            delattr(hub, name)
        assert [(found.id, found.priority) for found in hub.configurations()] == [(deployment(2).id, 10)]
        assert images(hub, 4) == {"acme.azurecr.io/scorer:2"}
        assert hub.configurations()[0].labels == {NAME_LABEL: "scorer"}
        return killed

    for taken in (False, True):
        last = 1
        while walk(last, taken=taken):
            last += 1
        assert last > 10


def test_a_proposal_is_carried_out_once_it_is_permitted(tmp_path: Path) -> None:
    hub = fleet(2)
    asked: list[Proposal] = []
    observer: Observer[Proposal, Progress] = Observer(permit=asked.append)
    proposal = propose(hub, deployment(1))
    patience = Clock().patience()
    outcome = carry_out(hub, proposal, state=tmp_path, patience=patience, observer=observer)
    assert asked == [proposal]
    assert outcome.applied and outcome.finished and outcome.progress is not None
    again = carry_out(hub, propose(hub, deployment(1)), state=tmp_path, patience=patience, observer=observer)
    assert asked == [proposal]
    assert not again.applied


def test_a_proposal_that_is_not_permitted_changes_nothing(tmp_path: Path) -> None:
    def refuse(proposal: Proposal) -> None:
        raise Interrupted("stopped", fix="run it again")

    hub = fleet(2)
    with pytest.raises(Interrupted, match="stopped"):
        carry_out(hub, propose(hub, deployment(1)), state=tmp_path, observer=Observer(permit=refuse))
    assert hub.writes == []
    assert list(tmp_path.iterdir()) == []


def test_without_patience_the_old_one_stays_below(tmp_path: Path) -> None:
    hub = fleet(2)
    apply(hub, deployment(1))
    outcome = carry_out(hub, propose(hub, deployment(2)), state=tmp_path)
    assert outcome.applied and not outcome.finished and outcome.progress is None
    assert len(hub.configurations()) == 2
