from __future__ import annotations

import json

import pytest

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.report import rollout as report

IMAGE = "acme.azurecr.io/scorer:1"


def module(name: str = "scorer", state: State = State.HEALTHY, words: str = "running") -> ModuleStatus:
    return ModuleStatus(name, state, words, IMAGE, IMAGE)


def rollout(
    *modules: ModuleStatus, state: State = State.HEALTHY, reported: int | None = 3, reason: str = "", fix: str = ""
) -> Rollout:
    return Rollout(state, 3, reported, 200, "", modules, reason, fix)


def test_a_healthy_device_is_a_line_and_one_for_each_module() -> None:
    assert report.text("edge-01", rollout(module("edgeHub"), module("scorer"))) == (
        "device 'edge-01': healthy, version 3, 2 of 2 modules\n"
        f"  ok edgeHub  running  {IMAGE}\n"
        f"  ok scorer   running  {IMAGE}"
    )


def test_what_is_wrong_and_what_to_do_come_last() -> None:
    failed = module(state=State.FAILED, words="failed, exit code 3")
    said = report.text("edge-01", rollout(failed, state=State.FAILED, reason="module 'scorer' is down", fix="look"))
    assert said.splitlines() == [
        "device 'edge-01': failed, version 3, 0 of 1 modules",
        f"  xx scorer  failed, exit code 3  {IMAGE}",
        "  module 'scorer' is down",
        "  fix: look",
    ]


@pytest.mark.parametrize(("reported", "words"), [(2, "(the device is at 2)"), (None, "(the device is at None)")])
def test_a_device_that_is_behind_says_where_it_is(reported: int | None, words: str) -> None:
    assert words in report.summary("edge-01", rollout(state=State.WAITING, reported=reported))


def test_every_state_has_a_mark() -> None:
    marks = {state: report.module_lines(rollout(module(state=state)))[0].split()[0] for state in State}
    assert marks[State.HEALTHY] == "ok"
    assert marks[State.WAITING] == ".."
    assert marks[State.FAILED] == marks[State.REFUSED] == "xx"


def test_only_what_changed_is_said_again() -> None:
    before = rollout(module("a"), module("b", State.WAITING, "pulling"), state=State.WAITING, reason="module 'b' is …")
    after = rollout(module("a"), module("b"))
    assert list(report.changed_lines(None, before)) == [f"  .. b  pulling  {IMAGE}"]
    assert list(report.changed_lines(before, after)) == ["  ok b  running"]
    assert list(report.changed_lines(after, after)) == []


def test_that_a_device_is_offline_is_said_while_it_is_waited_for() -> None:
    waiting = module(state=State.WAITING, words="not created yet")
    offline = rollout(waiting, state=State.WAITING, reported=2, reason="the device is offline")
    assert list(report.changed_lines(None, offline))[-1] == "  the device is offline"
    assert list(report.changed_lines(offline, offline)) == []


def test_why_it_failed_is_left_to_the_error() -> None:
    failed = rollout(module(state=State.FAILED, words="failed"), state=State.FAILED, reason="the device refused it")
    assert not any("refused" in line for line in report.changed_lines(None, failed))


def test_the_data_is_plain_json() -> None:
    data = report.data("edge-01", rollout(module(), state=State.HEALTHY))
    assert json.loads(json.dumps(data)) == {
        "device": "edge-01",
        "state": "healthy",
        "desired_version": 3,
        "reported_version": 3,
        "code": 200,
        "description": "",
        "reason": "",
        "fix": "",
        "modules": [
            {
                "name": "scorer",
                "state": "healthy",
                "status": "running",
                "desired_image": IMAGE,
                "reported_image": IMAGE,
                "restarts": 0,
                "note": "",
                "model": None,
            }
        ],
    }
