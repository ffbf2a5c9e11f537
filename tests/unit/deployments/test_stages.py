from __future__ import annotations

import itertools
from dataclasses import replace as changed
from typing import Any

import pytest
from unit.deployments.deployments import Clock, deployment, fleet

from manifestgen.deployments.counts import Progress, matching
from manifestgen.deployments.deployment import LONGEST_CONDITION
from manifestgen.deployments.proposal import Proposal
from manifestgen.deployments.replace import Goal, replace
from manifestgen.deployments.stages import bucket, parse, prepare, share_of
from manifestgen.errors import FoundError, InputError
from manifestgen.target import Observer

LAB = "tags.site = 'lab'"


def members(hub: Any, text: str, **more: Any) -> list[list[str]]:
    """The devices of each stage."""
    return [matching(hub, stage.condition) for stage in prepare(hub, parse(text, more.pop("tag", None)), LAB, **more)]


def test_shares_are_read_and_all_devices_are_the_last_stage() -> None:
    assert [ask.share for ask in parse("5%, 25%,100%")] == [0.05, 0.25, 1.0]
    assert [ask.share for ask in parse("2.5%")] == [0.025, 1.0]


@pytest.mark.parametrize(
    ("text", "tag", "words"),
    [
        ("25%,5%", None, "'5%' must be larger"),
        ("5%,5%", None, "must be larger"),
        ("0%", None, "must be larger"),
        ("101%", None, "'101%' is not a share"),
        ("x%", None, "'x%' is not a share"),
        ("canary", None, "'canary' is not a stage"),
        ("", None, "'' is not a stage"),
        ("5%,canary", "ring", "'canary' is not a stage"),
        ("canary,,100%", "ring", "'' is not a stage"),
        ("canary", "ring = 'a' OR true", "is not the path of a tag"),
    ],
)
def test_what_is_not_a_stage_is_refused(text: str, tag: str | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, tag)
    assert words in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("text", ["95", "-1%", "100.1%", "%", "ninety%"])
def test_what_is_not_a_share_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a share"):
        share_of(text, where="--wait-for")


def test_each_stage_has_the_devices_of_the_one_before() -> None:
    hub = fleet(40)
    first, second, third = members(hub, "5%,25%,100%")
    assert (len(first), len(second), len(third)) == (2, 10, 40)
    assert set(first) < set(second) < set(third)
    assert "elsewhere" not in third


def test_a_stage_of_few_devices_has_at_least_one() -> None:
    assert [len(stage) for stage in members(fleet(3), "1%,50%")] == [1, 2, 3]


def test_which_devices_come_first_does_not_depend_on_their_names_order() -> None:
    (first, _) = members(fleet(40), "25%")
    numbers = sorted(int(device.removeprefix("edge-")) for device in first)
    assert max(numbers) - min(numbers) > 20


def test_a_device_that_joins_pushes_no_one_out_of_a_stage_that_has_begun() -> None:
    hub = fleet(10)
    begun = deployment(1)
    (stage, _) = prepare(hub, parse("20%"), LAB)
    hub.create_configuration(changed(begun.configuration(), condition=stage.condition))
    inside = matching(hub, stage.condition)
    for number in range(10, 60):
        hub.add(f"edge-{number:02}", tags={"site": "lab"})
    again, _ = prepare(hub, parse("20%"), LAB, begun=hub.configuration(begun.id))
    assert set(inside) <= set(matching(hub, again.condition))


def test_ids_with_quotes_are_written_as_the_query_language_wants_them() -> None:
    hub = fleet(0)
    hub.add("it's", tags={"site": "lab"})
    assert members(hub, "50%")[0] == ["it's"]


def test_values_of_a_tag_add_up() -> None:
    hub = fleet(6, lambda number: {"ring": str(number % 3)})
    hub.add("numbered", tags={"site": "lab", "ring": 0})
    assert [len(stage) for stage in members(hub, "0,1,50%", tag="tags.ring")] == [3, 5, 4, 7]


def test_without_devices_a_stage_has_none() -> None:
    assert members(fleet(0), "5%") == [[], []]


def test_too_many_to_name_need_a_tag() -> None:
    hub = fleet(0)
    for number in range(700):
        hub.add(f"a-rather-long-device-id-{number:06}", tags={"site": "lab"})
    with pytest.raises(InputError, match="stage 50% has 350 devices, too many to name") as caught:
        prepare(hub, parse("50%"), LAB)
    assert "--tag-devices" in caught.value.fix and "--stage-tag" in caught.value.fix
    small, half, _ = prepare(hub, parse("1%,50%"), LAB, tag_devices=True)
    assert "deviceId IN" in small.condition and not small.untagged
    assert half.condition.startswith(f"({LAB}) AND ") and "tags.manifestgen.bucket < 50" in half.condition
    assert all(bucket(device) < 50 for device in half.untagged)
    assert 300 < len(half.untagged) < 400
    assert max(len(stage.condition) for stage in (small, half)) <= LONGEST_CONDITION
    with pytest.raises(InputError, match="less than 1% of the devices"):
        prepare(hub, parse("0.5%,99.5%"), f"{LAB} AND deviceId != '{'x' * LONGEST_CONDITION}'", tag_devices=True)


def test_devices_are_tagged_once_and_the_stages_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fleet(30)
    monkeypatch.setattr("manifestgen.deployments.stages.LONGEST_CONDITION", 100)
    replace(hub, deployment(1), patience=Clock().patience())
    steps: list[str] = []
    asked, goal = parse("20%,60%"), Goal(tag_devices=True)
    replace(
        hub, deployment(2), stages=asked, goal=goal, patience=Clock().patience(), observer=Observer(step=steps.append)
    )
    tagged = [device for device in map(hub.device, matching(hub, LAB)) if "manifestgen" in device.tags]
    assert {device.tags["manifestgen"]["bucket"] for device in tagged} == {
        bucket(device.id) for device in hub.devices() if bucket(device.id) < 60 and device.id != "elsewhere"
    }
    assert steps[0].startswith("tagged ")
    steps.clear()
    replace(
        hub, deployment(3), stages=asked, goal=goal, patience=Clock().patience(), observer=Observer(step=steps.append)
    )
    assert not any(step.startswith("tagged") for step in steps)
    assert {hub.running(f"edge-{number:02}")["scorer"] for number in range(30)} == {"acme.azurecr.io/scorer:3"}


def test_shares_by_id_and_by_tag_take_in_the_same_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fleet(90)
    monkeypatch.setattr("manifestgen.deployments.stages.LONGEST_CONDITION", 400)
    stages = prepare(hub, parse("10%,15%,16%,50%,55%"), LAB, tag_devices=True)
    assert ["bucket" in stage.condition for stage in stages] == [False, False, False, True, True, False]
    for stage in stages:
        for device in stage.untagged:
            hub.set_tags(device, {"manifestgen": {"bucket": bucket(device)}})
    found = [set(matching(hub, stage.condition)) for stage in stages]
    assert all(before <= after for before, after in itertools.pairwise(found))
    assert 35 < len(found[3]) < 60


def test_an_interrupted_stage_resumes_with_the_devices_it_had() -> None:
    hub = fleet(10)
    replace(hub, deployment(1), patience=Clock().patience())
    late = [f"edge-{number:02}" for number in range(10)]
    for device in late:
        hub.connect(device, connected=False)
    with pytest.raises(FoundError, match="stage 1 of 2"):
        replace(hub, deployment(2), stages=parse("20%"), patience=Clock().patience())
    begun = hub.configuration(deployment(2).id)
    assert begun.labels["manifestgen-stage"] == "1/2"
    for number in range(10, 40):
        hub.add(f"edge-{number:02}", tags={"site": "lab"})
    for device in late:
        hub.connect(device, connected=True)
        hub._obey(hub._find(device))
    conditions: list[str] = []
    observer: Observer[Proposal, Progress] = Observer(
        progress=lambda title, progress: conditions.append(progress.condition)
    )
    replace(hub, deployment(2), stages=parse("20%"), patience=Clock().patience(), observer=observer)
    assert conditions[0] == begun.condition
    assert conditions[-1] == LAB


def test_progress_names_each_of_two_stages() -> None:
    hub = fleet(2)
    titles: list[str] = []
    observer: Observer[Proposal, Progress] = Observer(progress=lambda title, _: titles.append(title))
    replace(hub, deployment(1), stages=parse("50%"), patience=Clock().patience(), observer=observer)
    assert titles == ["stage 1 of 2 (50%)", "stage 2 of 2 (100%)"]


def test_the_pause_is_kept_and_failures_in_it_abort() -> None:
    hub = fleet(10)
    replace(hub, deployment(1), patience=Clock().patience())
    clock = Clock()
    titles: list[str] = []
    observer: Observer[Proposal, Progress] = Observer(progress=lambda title, _: titles.append(title))
    goal = Goal(pause=120.0)
    replace(hub, deployment(2), stages=parse("10%,50%"), goal=goal, patience=clock.patience(), observer=observer)
    assert 240 <= clock.now < 250
    assert titles == [f"stage {number} of 3 ({title})" for number, title in ((1, "10%"), (2, "50%"), (3, "100%"))]

    clock = Clock()

    def fail_late(now: float) -> None:
        if now > 60 and not hub.bad_images:
            hub.bad_images = {"acme.azurecr.io/scorer:3": "Could not create"}
            for device in matching(hub, hub.configuration(deployment(3).id).condition):
                hub._obey(hub._find(device))

    clock.waited = fail_late
    with pytest.raises(FoundError, match="stage 1 of 2") as caught:
        replace(
            hub,
            deployment(3),
            stages=parse("10%"),
            patience=clock.patience(),
            goal=Goal(abort_if_failing=0.02, pause=600.0),
        )
    assert "10 of 10 devices are back" in caught.value.what
    assert {hub.running(f"edge-{number:02}")["scorer"] for number in range(10)} == {"acme.azurecr.io/scorer:2"}
