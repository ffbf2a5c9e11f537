"""A module that crashes again and again does not count as running because it runs for a moment."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.device.steady import Steady
from manifestgen.target import Patience

IMAGE = "acme.azurecr.io/scorer:1"
RUNS, CRASHES = State.HEALTHY, State.FAILING


def read(state: State, restarts: int) -> Rollout:
    module = ModuleStatus("scorer", state, "running", IMAGE, IMAGE, restarts=restarts)
    return Rollout(state, 3, 3, 200, "", (module,))


def judged(*readings: tuple[float, State, int], settle: float = 20.0) -> list[State]:
    """The states of readings: at a time, as reported, with a count of restarts."""
    times = iter([at for at, _, _ in readings])
    steady = Steady(Patience(settle=settle, clock=lambda: next(times)), "edge-01")
    return [steady.judge(read(state, restarts)).state for _, state, restarts in readings]


@pytest.mark.parametrize(
    ("readings", "states"),
    [
        (((0, RUNS, 0), (1, RUNS, 0)), [RUNS, RUNS]),
        # What was restarted before it is watched is no news.
        (((0, RUNS, 7), (1, RUNS, 7)), [RUNS, RUNS]),
        (((0, CRASHES, 0), (5, RUNS, 1), (24, RUNS, 1), (26, RUNS, 1)), [CRASHES, State.WAITING, State.WAITING, RUNS]),
        # The crash itself was not seen.
        (((0, RUNS, 0), (5, RUNS, 1), (24, RUNS, 1), (26, RUNS, 1)), [RUNS, State.WAITING, State.WAITING, RUNS]),
        (((0, CRASHES, 0), (15, RUNS, 1), (22, RUNS, 2)), [CRASHES, State.WAITING, State.WAITING]),
    ],
)
def test_what_has_crashed_must_run_for_a_while(
    readings: Sequence[tuple[float, State, int]], states: Sequence[State]
) -> None:
    assert judged(*readings) == states


def test_it_says_which_module_and_how_often() -> None:
    times = iter([0.0, 1.0])
    steady = Steady(Patience(settle=20, clock=lambda: next(times)), "edge-01")
    steady.judge(read(CRASHES, 1))
    found = steady.judge(read(RUNS, 2))
    assert found.reason == "module 'scorer' was restarted 2 times, and has not run for 20 s since"
    assert found.fix == "see the module's log with 'manifestgen logs --device edge-01 scorer'"
