from __future__ import annotations

import threading
from typing import Any

import pytest
from fakes.bulk_hub import busy

from manifestgen.errors import CloudError
from manifestgen.rows.pace import Pace, Stopped


class Time:
    """A clock that goes on only where somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now += seconds
        return stop.is_set()


@pytest.fixture
def time() -> Time:
    return Time()


def pace(time: Time, rate: float = 10.0, **more: Any) -> Pace:
    return Pace(rate, clock=time, wait=time.wait, jitter=lambda: 1.0, **more)


def moments(pace: Pace, time: Time, count: int) -> list[float]:
    found = []
    for _ in range(count):
        pace.turn()
        found.append(round(time.now - 100.0, 3))
    return found


def test_turns_are_a_fixed_distance_apart(time: Time) -> None:
    paced = pace(time)
    assert moments(paced, time, 50) == [pytest.approx(number / 10) for number in range(50)]


def test_a_late_thread_may_catch_up_a_little_and_not_more(time: Time) -> None:
    paced = pace(time)
    paced.turn()
    time.now += 60
    assert moments(paced, time, 8) == [60.0] * 6 + [60.1, 60.2]


def test_one_retry_after_makes_all_wait(time: Time) -> None:
    paced = pace(time)
    paced.turn()
    paced.busy(busy(retry_after=7))
    assert paced.waiting == 7
    assert moments(paced, time, 3) == [7.0, 7.1, 7.2]


def test_a_pause_is_for_those_too_who_wait_for_their_turn_already(time: Time) -> None:
    paced = pace(time, rate=1.0)
    paced.turn()
    wait = time.wait

    def told_meanwhile(stop: threading.Event, seconds: float) -> bool:
        paced._wait = wait
        paced.busy(busy(retry_after=30))
        return wait(stop, seconds)

    paced._wait = told_meanwhile
    paced.turn()
    assert time.now >= 130.0


def test_pauses_without_retry_after_grow_until_there_is_an_answer(time: Time) -> None:
    paced = pace(time)
    pauses = []
    for _ in range(12):
        paced.busy(busy())
        pauses.append(paced.waiting)
        time.now += paced.waiting
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == pytest.approx(30.0)
    paced.answered()
    paced.busy(busy())
    assert paced.waiting == pytest.approx(0.1)


def test_threads_that_meet_the_same_trouble_do_not_add_to_the_pause(time: Time) -> None:
    paced = pace(time)
    for _ in range(16):
        paced.busy(busy())
    assert paced.waiting == pytest.approx(0.1)


def test_a_single_reset_stops_no_one(time: Time) -> None:
    paced = pace(time)
    for _ in range(4):
        paced.busy(busy(throttled=False))
    assert paced.waiting == 0
    paced.busy(busy(throttled=False))
    assert paced.waiting > 0


def test_an_outage_of_ten_minutes_is_waited_for(time: Time) -> None:
    paced = pace(time)
    while time.now < 700:
        paced.turn()
        paced.busy(busy(throttled=False))
    paced.turn()
    paced.answered()
    assert not paced.stopped


def test_throttling_for_an_hour_ends_the_run(time: Time) -> None:
    paced = pace(time, give_up_after=1800)
    with pytest.raises(Stopped):
        while time.now < 3700:
            paced.turn()
            paced.busy(busy(retry_after=10))
    assert 1780 <= time.now - 100 <= 1800
    assert isinstance(paced.reason, CloudError)
    assert "the hub accepted nothing for 30 min: the hub returned 429" in str(paced.reason)
    assert "asks to wait another 10 s" in str(paced.reason)
    assert "--give-up-after" in paced.reason.fix


def test_a_pause_that_is_longer_than_the_patience_is_not_slept_through(time: Time) -> None:
    paced = pace(time, give_up_after=1800)
    paced.busy(busy(retry_after=3600))
    assert paced.stopped
    assert "asks to wait another 3600 s" in str(paced.reason)


def test_anyone_who_asks_for_a_turn_after_the_end_gets_none(time: Time) -> None:
    paced = pace(time)
    paced.stop()
    with pytest.raises(Stopped):
        paced.turn()
    assert paced.reason is None
