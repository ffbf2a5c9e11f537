"""The hub's size and its throttles."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.hub_service import HubService, content, with_hub

from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.hub.throttle import Group, Size, Throttle, resize, size
from manifestgen.sandbox.world import World


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(throttle: Throttle, group: Group, times: int) -> int:
    """How many of so many requests are let through."""
    before = throttle.counts.get(group, {}).get("taken", 0)
    for _ in range(times):
        try:
            throttle.take(group)
        except HubError as error:
            assert error.status == 429
    return throttle.counts[group]["taken"] - before


@pytest.mark.parametrize(
    ("tier", "units", "group", "rate"),
    [
        ("F1", 1, "twin-write", 50.0),
        ("S1", 1, "twin-write", 50.0),
        ("S1", 200, "twin-write", 50.0),
        ("S2", 1, "twin-write", 50.0),
        ("S2", 20, "twin-write", 100.0),
        ("S3", 1, "twin-write", 250.0),
        ("S1", 1, "twin-read", 100.0),
        ("S2", 20, "twin-read", 200.0),
        ("S3", 2, "twin-read", 1000.0),
        ("S1", 1, "registry", 100 / 60),
        ("S3", 1, "registry", 5000 / 60),
        ("S2", 3, "query", 1.0),
        ("S3", 1, "query", 1000 / 60),
        ("S3", 3, "configuration", 1.0),
    ],
)
def test_limits_are_those_of_the_tier_and_its_units(tier: Any, units: int, group: Group, rate: float) -> None:
    assert Size(tier, units, throttled=True).limits()[group].rate == pytest.approx(rate)


def test_a_hub_is_not_throttled_unless_requested(world: World) -> None:
    assert size(world).limits() == {}
    assert taken(Throttle(world), "configuration", 1000) == 1000


def test_a_second_s_limit_is_full_again_after_a_second(world: World, clock: Clock) -> None:
    resize(world, {"tier": "S1", "throttled": True})
    throttle = Throttle(world, clock)
    assert taken(throttle, "twin-write", 80) == 50
    clock.now += 0.5
    assert taken(throttle, "twin-write", 80) == 25
    clock.now += 100
    assert taken(throttle, "twin-write", 80) == 50
    assert throttle.counts == {"twin-write": {"taken": 125, "refused": 115}}


def test_a_minute_s_limit_may_be_used_at_once(world: World, clock: Clock) -> None:
    resize(world, {"throttled": True})
    throttle = Throttle(world, clock)
    assert taken(throttle, "query", 30) == 20
    clock.now += 3.0
    assert taken(throttle, "query", 30) == 1


def test_a_faster_clock_makes_all_limits_higher(world: World, clock: Clock) -> None:
    resize(world, {"throttled": True, "speed": 20})
    throttle = Throttle(world, clock)
    taken(throttle, "twin-write", 2000)
    clock.now += 1.0
    assert taken(throttle, "twin-write", 2000) == 1000


def test_groups_do_not_take_from_each_other(world: World, clock: Clock) -> None:
    resize(world, {"throttled": True})
    throttle = Throttle(world, clock)
    assert taken(throttle, "twin-write", 60) == 50
    assert taken(throttle, "twin-read", 60) == 60


def test_changes_leave_the_rest_as_it_was(world: World) -> None:
    resize(world, {"tier": "S2", "units": 3})
    assert resize(world, {"retry_after": 4}) == Size("S2", 3, retry_after=4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teir": "S1"}, "unknown key 'teir'; known are tier"),
        ({"tier": "S9"}, "tier must be one of F1, S1, S2, S3, not 'S9'"),
        ({"units": 0}, "units must be a number of at least 1, not 0"),
        ({"units": True}, "units must be a number of at least 1, not True"),
        ({"tier": "F1", "units": 2}, "units must be at most 1 in tier F1"),
        ({"tier": "S3", "units": 11}, "units must be at most 10 in tier S3"),
        ({"speed": 0}, "speed must be a number above 0, not 0"),
        ({"throttled": 1}, "throttled must be true or false, not 1"),
        ({"retry_after": 0.5}, "retry_after must be a number of seconds or null, not 0.5"),
        ({"rates": {"twin": 1}}, "rates must be requests per second by registry, twin-read"),
    ],
)
def test_a_size_that_no_hub_has_is_refused(world: World, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"must|known") as caught:
        resize(world, changes)
    assert words in str(caught.value)
    assert size(world) == Size()


def test_requests_over_the_limit_are_refused_in_the_hub_s_words() -> None:
    async def work(hub: HubService) -> None:
        resize(hub.world, {"rates": {"twin-write": 2.0}, "retry_after": 3})
        answers = [await hub.apply(content()) for _ in range(4)]
        assert [answer.status for answer in answers] == [204, 204, 429, 429]
        assert (answers[2].code, answers[2].headers["Retry-After"]) == ("ThrottlingException", "3")
        assert (await hub.call("GET", "/twins/edge-01")).status == 200
        resize(hub.world, {"retry_after": None})
        await hub.apply(content())
        await hub.apply(content())
        assert "Retry-After" not in (await hub.apply(content())).headers
        resize(hub.world, {"rates": {}})
        assert (await hub.apply(content())).status == 204

    with_hub(work)


def test_a_free_hub_has_ten_configurations() -> None:
    async def work(hub: HubService) -> None:
        resize(hub.world, {"tier": "F1"})
        for number in range(10):
            hub.world.store.put("hub:configuration", f"c{number}", {"id": f"c{number}"})
        body = {"content": content(), "targetCondition": ""}
        answer = await hub.call("PUT", "/configurations/more", body)
        assert (answer.status, answer.code) == (413, "ConfigurationCountLimitExceeded")

    with_hub(work)
