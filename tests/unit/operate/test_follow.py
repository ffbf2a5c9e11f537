"""Following a log: every line once, in order, whatever happens in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from fakes.edge_agent import BEGIN, FakeAgent
from fakes.hub import FakeHub
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.cloud import MethodResult
from manifestgen.errors import DeniedError, OfflineError, UnconfirmedError
from manifestgen.operate.follow import Follower, overlap
from manifestgen.operate.log_lines import Line
from manifestgen.operate.logs import Selection

DEVICE = "edge-01"
LOST = UnconfirmedError("method 'GetModuleLogs' did not respond within 30 s", fix="x")


@dataclass
class Watched:
    """A follower of a device, whose time passes while the follower sleeps."""

    agent: FakeAgent
    modules: tuple[str, ...] = ("scorer",)
    selection: Selection = field(default_factory=lambda: Selection(10))
    happens: Callable[[int], None] = lambda second: None

    def __post_init__(self) -> None:
        self.hub = FakeHub(DEVICE)
        self.hub.methods["getmodulelogs"] = self.agent.get_logs
        self.notes: list[str] = []
        self.lines: list[Line] = []
        self.seconds = 0.0

    def _sleep(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.seconds += 1
            self.happens(round(self.seconds))

    def follow(self, rounds: int) -> list[str]:
        follower = Follower(
            self.hub,
            DEVICE,
            self.modules,
            self.selection,
            note=self.notes.append,
            clock=lambda: self.seconds,
            sleep=self._sleep,
        )
        for lines in itertools.islice(follower.lines(), rounds):
            self.lines += lines
        return [line.text for line in self.lines]


def numbered(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


def printing(
    agent: FakeAgent, per_second: int, *, stamped: bool = True, module: str = "scorer"
) -> Callable[[int], None]:
    """Lets a module print so many lines each second."""
    numbers = itertools.count()

    def happens(_: int) -> None:
        for _ in range(per_second):
            agent.say("scorer", f"line {next(numbers)}", stamped=stamped, after=1 / per_second)

    return happens


@pytest.mark.parametrize("stamped", [True, False], ids=["with times", "without"])
@pytest.mark.parametrize("off", [0, 1, -1], ids=["clock right", "an hour ahead", "an hour behind"])
def test_every_line_comes_once_and_in_order(stamped: bool, off: int) -> None:
    agent = FakeAgent(now=BEGIN + timedelta(hours=off))
    watched = Watched(agent, happens=printing(agent, 7, stamped=stamped))
    agent.logs["scorer"] = []
    found = watched.follow(20)
    assert found == numbered(len(found)) and len(found) == 19 * 2 * 7
    assert watched.notes == []


def test_it_begins_with_the_tail() -> None:
    agent = FakeAgent()
    for number in range(50):
        agent.say("scorer", f"old {number}")
    found = Watched(agent, selection=Selection(3)).follow(3)
    assert found == ["old 47", "old 48", "old 49"]


def test_ten_thousand_lines_with_an_agent_that_is_late_twice_or_silent() -> None:
    agent = FakeAgent()
    watched = Watched(agent, happens=printing(agent, 100))
    agent.logs["scorer"] = []
    faults: dict[int, Callable[[], None]] = {}
    calls = itertools.count()

    def before() -> None:
        # The answer is made, and lines go on being printed until it arrives; or it never does.
        fault = faults.get(next(calls) % 5)
        if fault is not None:
            fault()

    def silent() -> None:
        raise LOST

    faults[2] = silent
    faults[3] = lambda: watched._sleep(1)
    agent.before = before
    follower = watched.follow(60)
    assert len(follower) >= 10_000
    assert follower == numbered(len(follower))
    assert [note for note in watched.notes if "missing" in note] == []


def test_an_agent_that_is_silent_twice_is_reported_and_asked_again() -> None:
    agent = FakeAgent()
    watched = Watched(agent, happens=printing(agent, 5))
    agent.logs["scorer"] = []
    follower = Follower(
        watched.hub, DEVICE, ("scorer",), Selection(10), note=watched.notes.append,
        clock=lambda: watched.seconds, sleep=watched._sleep,
    ).lines()  # fmt: skip
    texts = [line.text for line in next(follower)]
    watched.hub.trouble["invoke_method"] = [LOST, LOST, OfflineError("the device is not connected", fix="x")]
    for _ in range(6):
        texts += [line.text for line in next(follower)]
    assert texts == numbered(len(texts)) and texts
    assert [note.partition(":")[0] for note in watched.notes] == ["no answer", "answers again"]


def test_an_answer_that_is_older_than_the_last_one_gives_nothing_twice() -> None:
    agent = FakeAgent()
    for number in range(5):
        agent.say("scorer", f"line {number}", after=0.1)
    hub = FakeHub(DEVICE)
    newest = agent.get_logs({"items": [{"id": "^scorer$", "filter": {}}]})
    older = FakeAgent(now=agent.now, logs={"scorer": agent.logs["scorer"][1:3]})
    answers = iter([newest, older.get_logs({"items": [{"id": "^scorer$", "filter": {}}]}), newest])
    hub.methods["getmodulelogs"] = lambda payload: next(answers)
    follower = Follower(hub, DEVICE, ("scorer",), Selection(10), sleep=lambda seconds: None).lines()
    assert [[line.text for line in next(follower)] for _ in range(3)] == [numbered(5), [], []]


def test_a_module_that_is_made_anew_is_followed_on() -> None:
    agent = FakeAgent()
    agent.say("scorer", "old")

    def happens(second: int) -> None:
        agent.now += timedelta(seconds=1)
        if second == 3:
            agent.logs["scorer"] = []
            agent.say("scorer", "new", after=0.5)
        if second == 9:
            agent.say("scorer", "newer", after=0.5)

    assert Watched(agent, happens=happens).follow(8) == ["old", "new", "newer"]


def test_what_is_too_much_for_an_answer_is_asked_for_in_spans() -> None:
    agent = FakeAgent()
    watched = Watched(agent, happens=printing(agent, 40))
    agent.say("scorer", "first")
    agent.limit = 2500
    # Nothing answers for a while; then there is much to catch up on.
    silent = itertools.chain([False], itertools.repeat(True, 10), itertools.repeat(False))

    def before() -> None:
        if next(silent):
            raise LOST

    agent.before = before
    found = watched.follow(60)
    assert found == ["first", *numbered(len(found) - 1)] and len(found) > 100
    assert [note for note in watched.notes if "missing" in note] == []
    assert any("until" in items[0]["filter"] for items in agent.asked)


def test_what_no_span_can_hold_is_reported_as_missing() -> None:
    agent = FakeAgent()
    agent.say("scorer", "first")

    def happens(second: int) -> None:
        agent.now += timedelta(seconds=1)
        if second == 2:
            for number in range(2000):
                agent.say("scorer", f"flood {number} {number * 7919 % 10007}", after=0.0001)
        if second == 8:
            agent.say("scorer", "last", after=0.5)

    agent.limit = 2000
    watched = Watched(agent, happens=happens)
    found = watched.follow(30)
    assert found[0] == "first" and found[-1] == "last"
    assert any("more in one second than can be read" in note for note in watched.notes)


def test_a_line_that_repeats_without_a_time_is_said_to_be_uncertain() -> None:
    agent = FakeAgent()
    agent.logs["scorer"] = []

    def happens(_: int) -> None:
        agent.say("scorer", "tick", stamped=False, after=1)

    watched = Watched(agent, happens=happens)
    found = watched.follow(8)
    assert set(found) == {"tick"}
    assert watched.notes == ["scorer repeats a line without a time: lines may be missing"]


def test_lines_of_several_modules_come_by_their_time() -> None:
    agent = FakeAgent()
    agent.logs = {"a": [], "b": []}

    def happens(second: int) -> None:
        for name in ("b", "a"):
            agent.say(name, f"{name}{second}", after=0.5)

    watched = Watched(agent, modules=("a", "b"), happens=happens)
    found = watched.follow(4)
    assert found == [f"{name}{second}" for second in range(1, 7) for name in ("b", "a")]


def test_only_wanted_lines_come() -> None:
    agent = FakeAgent()
    agent.logs["scorer"] = []

    def happens(second: int) -> None:
        agent.say("scorer", f"line {second}", level=3 if second % 3 == 0 else 6, after=1)

    watched = Watched(agent, selection=Selection(10, level=4), happens=happens)
    assert watched.follow(5) == ["line 3", "line 6"]


def test_a_caller_without_rights_is_not_asked_for_ever() -> None:
    agent = FakeAgent()
    agent.say("scorer", "first")
    watched = Watched(agent)

    def refuse(payload: object) -> MethodResult:
        raise DeniedError("401", fix="x")

    follower = Follower(watched.hub, DEVICE, ("scorer",), Selection(), sleep=lambda seconds: None).lines()
    next(follower)
    watched.hub.methods["getmodulelogs"] = refuse
    with pytest.raises(DeniedError):
        next(follower)


def lines(texts: str) -> list[Line]:
    return [Line("m", None, 6, "stdout", text) for text in texts]


@pytest.mark.parametrize(
    ("given_", "answer", "known"),
    [
        ("", "abc", 0),
        ("abc", "", 0),
        ("abc", "bcd", 2),
        ("abc", "abcd", 3),
        ("abc", "xyz", 0),
        ("abcde", "bc", 2),
        ("aab", "aabaab", 3),
        ("abab", "ababab", 4),
        ("aaa", "aaaa", 3),
    ],
)
def test_an_overlap_is_the_longest(given_: str, answer: str, known: int) -> None:
    assert overlap(lines(given_), lines(answer)) == known


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_an_overlap_is_what_a_plain_search_finds(before: str, after: str) -> None:
    plain = max((size for size in range(min(len(before), len(after)) + 1) if before.endswith(after[:size])), default=0)
    expected = len(after) if after and after in before else plain
    assert overlap(lines(before), lines(after)) == expected


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_a_sliding_answer_gives_every_line_once(gaps: list[int], cuts: list[int]) -> None:
    """Lines with times: however much of them each answer holds, all come, in order."""
    at = BEGIN
    printed = []
    for number, gap in enumerate(gaps):
        at += timedelta(milliseconds=gap)
        printed.append(Line("m", at, 6, "stdout", str(number % 3)))
    shown: list[Line] = []
    for cut in [*sorted(cuts), len(printed)]:
        since = shown[-1].time or BEGIN if shown else BEGIN
        answer = [line for line in printed[:cut] if (line.time or BEGIN) >= since]
        shown += answer[overlap(shown, answer) :]
    assert shown == printed
