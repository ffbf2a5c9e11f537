"""That a module runs and that its model scores are two things."""

from __future__ import annotations

from typing import Any

import pytest

from manifestgen.cloud import Twin
from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.device.scoring import Scoring, follow, read, running, scoring
from manifestgen.report.rollout import scoring_data, scoring_line, simulated_lines, text
from manifestgen.target import Patience

IMAGE = "acme.azurecr.io/scorer:1"
REPORTED = {
    "runner": {"version": "1", "lastScored": "2026-11-30T08:00:00Z"},
    "model": {"name": "best", "version": "3"},
    "counts": {"scored": 41, "failed": 1, "rejected": 2},
}


class Hub:
    """Gives one twin after the other, the last one for ever."""

    def __init__(self, *reported: dict[str, Any]) -> None:
        self.left = list(reported)

    def module_twin(self, device: str, module: str) -> Twin | None:
        reported = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return Twin(module, {}, 1, reported)


def status(name: str, words: str = "running", note: str = "", restarts: int = 0) -> ModuleStatus:
    return ModuleStatus(name, State.HEALTHY, words, IMAGE, IMAGE, note, restarts)


def rollout(*modules: ModuleStatus) -> Rollout:
    return Rollout(State.HEALTHY, 3, 3, 200, "", modules)


def test_what_the_runner_reports_is_read() -> None:
    found = read(Twin("scorer", {}, 1, REPORTED))
    assert found == Scoring("scorer", "best", "3", 41, 3, "2026-11-30T08:00:00Z")
    assert scoring_line(found) == "scorer: model best 3, 41 scored, 3 failed"
    assert scoring_data(found)["last_scored"] == "2026-11-30T08:00:00Z"


@pytest.mark.parametrize("reported", [{}, {"runner": "x"}, {"SendInterval": 5}])
def test_a_module_without_the_runner_reports_nothing_of_it(reported: dict[str, Any]) -> None:
    assert read(Twin("m", {}, 1, reported)) is None


def test_a_runner_that_has_had_no_input_or_cannot_start_says_so() -> None:
    waiting = read(Twin("m", {}, 1, {"runner": {}, "counts": {"scored": True}}))
    assert waiting is not None and not waiting.began
    assert scoring_line(waiting) == "m: no input has reached it yet"
    busy = Scoring("m", busy="2026-11-30T08:00:00Z")
    assert scoring_line(busy) == "m: in run() since 2026-11-30T08:00:00Z"
    broken = read(Twin("m", {}, 1, {"runner": {"error": "init() raised\nKeyError"}}))
    assert broken is not None and broken.began
    assert scoring_line(broken) == "m: 0 scored, 0 failed, init() raised KeyError" or "KeyError" in scoring_line(broken)


def test_the_first_result_is_waited_for_and_no_longer() -> None:
    slept: list[float] = []
    patience = Patience(timeout=10, first=1, longest=1, clock=lambda: float(len(slept)), sleep=slept.append)
    hub: Any = Hub({}, {"runner": {}}, REPORTED)
    assert follow(hub, "d", "scorer", patience) == read(Twin("scorer", {}, 1, REPORTED))
    assert len(slept) == 2
    slept.clear()
    never: Any = Hub({})
    assert follow(never, "d", "scorer", patience) is None
    assert 9 <= len(slept) <= 10
    assert scoring(never, "d", ("scorer",)) == ()


def test_what_a_process_reported_before_the_module_was_started_is_passed_over() -> None:
    patience = Patience(timeout=10, first=1, longest=1, clock=iter(range(100)).__next__, sleep=lambda seconds: None)
    old = {"runner": {"started": "2026-11-30T08:00:00Z", "error": "init() raised KeyError"}}
    new = {**REPORTED, "runner": {"started": "2026-11-30T08:05:07Z"}}
    for started in ("2026-11-30T08:05:07.9000000Z", "2026-11-30T08:05:07.900000+00:00"):
        hub: Any = Hub(old, old, new)
        found = follow(hub, "d", "scorer", patience, started)
        assert found is not None and (found.scored, found.error) == (41, "")
    never: Any = Hub(old)
    assert follow(never, "d", "scorer", patience, "2026-11-30T08:05:07.9000000Z") is None
    assert follow(never, "d", "scorer", patience, "not a time") == read(Twin("scorer", {}, 1, old))


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        (Scoring("m"), ""),
        (Scoring("m", scored=1, failed=9), ""),
        (Scoring("m", failed=9), "it failed on each of its 9 inputs"),
        (Scoring("m", failed=1), "it failed on its only input"),
        (Scoring("m", busy="2026-11-30T08:00:00Z"), "run() has not returned since 2026-11-30T08:00:00Z"),
        (Scoring("m", scored=3, busy="2026-11-30T08:00:00Z"), ""),
        (Scoring("m", scored=3, error="run() did not return within 5 s"), "run() did not return within 5 s"),
    ],
)
def test_a_model_that_fails_on_everything_does_not_score(found: Scoring, trouble: str) -> None:
    assert found.trouble == trouble


def test_only_modules_that_really_run_are_asked() -> None:
    modules = [
        status("edgeHub"),
        status("a"),
        status("b", note="simulated: the sandbox has no files of this image"),
        status("c", "in backoff"),
    ]
    assert running(rollout(*modules)) == ["a"]
    assert running(rollout(*modules), IMAGE) == ["a"]
    assert running(rollout(*modules), "acme.azurecr.io/other:1") == []


def test_what_is_simulated_is_said_last_by_its_reason() -> None:
    shown = rollout(status("a", note="simulated"), status("b", note="simulated: no files"), status("c", restarts=2))
    assert list(simulated_lines(shown)) == ["simulated: a", "simulated: b (no files)"]
    lines = text("edge-01", shown).splitlines()
    assert lines[-2:] == ["simulated: a", "simulated: b (no files)"]
    assert lines[3] == f"  ok c  running  {IMAGE}  (restarted 2 times)"
