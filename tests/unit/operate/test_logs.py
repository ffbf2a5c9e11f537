"""Logs of modules: what is asked for, what fits into an answer, and how each failure reads."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from fakes.edge_agent import FakeAgent
from fakes.hub import FakeHub

from manifestgen.cloud import MethodResult
from manifestgen.errors import CloudError, FoundError, InputError, NotFoundError, OfflineError, UnconfirmedError
from manifestgen.operate.log_lines import Line, UnreadableError, lines_of, read_time
from manifestgen.operate.logs import Selection, get_logs, last_words, moment
from manifestgen.report import logs as report

DEVICE = "edge-01"


@pytest.fixture
def agent() -> FakeAgent:
    agent = FakeAgent()
    for number in range(300):
        agent.say("scorer", f"line {number}", level=3 if number % 100 == 0 else 6, after=0.01)
    agent.say("scorer-2", "another")
    return agent


@pytest.fixture
def hub(agent: FakeAgent) -> FakeHub:
    hub = FakeHub(DEVICE)
    hub.methods["getmodulelogs"] = agent.get_logs
    return hub


def texts(lines: object) -> list[str]:
    assert isinstance(lines, tuple | list)
    return [line.text for line in lines]


def test_the_last_lines_of_exactly_this_module_come_in_one_request(hub: FakeHub, agent: FakeAgent) -> None:
    log = get_logs(hub, DEVICE, ["scorer"], Selection(3))
    assert texts(log.lines) == ["line 297", "line 298", "line 299"]
    assert log.notes == ()
    assert agent.asked == [[{"id": "^scorer$", "filter": {"tail": 3}}]]
    payload = hub.called[0][2]
    assert (payload["schemaVersion"], payload["encoding"], payload["contentType"]) == ("1.0", "gzip", "json")


def test_a_name_is_sent_as_a_name_and_not_as_an_expression(hub: FakeHub, agent: FakeAgent) -> None:
    agent.say("a.b+c", "here")
    assert texts(get_logs(hub, DEVICE, ["a.b+c"], Selection()).lines) == ["here"]
    assert agent.asked[0][0]["id"] == r"^a\.b\+c$"
    assert re.fullmatch(agent.asked[0][0]["id"], "aXb+c") is None


def test_without_a_name_all_modules_come(hub: FakeHub) -> None:
    assert {line.module for line in get_logs(hub, DEVICE, [], Selection(1)).lines} == {"scorer", "scorer-2"}


def test_a_level_takes_the_worse_ones_too_and_is_chosen_here(hub: FakeHub, agent: FakeAgent) -> None:
    log = get_logs(hub, DEVICE, ["scorer"], Selection(150, level=4))
    assert (texts(log.lines), log.read) == (["line 200"], 150)
    assert "loglevel" not in agent.asked[0][0]["filter"]


def test_a_pattern_is_looked_for_in_the_text(hub: FakeHub) -> None:
    log = get_logs(hub, DEVICE, ["scorer"], Selection(100, pattern=re.compile(r"29[89]$")))
    assert texts(log.lines) == ["line 298", "line 299"]


@pytest.mark.parametrize("old", [False, True], ids=["400", "said in place of the log"])
def test_the_tail_is_halved_until_it_fits_and_that_is_said(hub: FakeHub, agent: FakeAgent, old: bool) -> None:
    agent.old, agent.limit = old, 1000
    tried: list[str] = []
    log = get_logs(hub, DEVICE, ["scorer"], Selection(300), note=tried.append)
    tails = [items[0]["filter"]["tail"] for items in agent.asked]
    assert tails[0] == 300 and all(later == earlier // 2 for earlier, later in itertools.pairwise(tails))
    assert len(log.lines) == tails[-1] and texts(log.lines)[-1] == "line 299"
    assert log.notes == (
        f"only the last {tails[-1]} lines of each module: more do not fit into an answer of edgeAgent",
    )
    assert tried[0] == "300 lines are more than the 127,000 characters of an answer; asking for 150"


def test_a_single_line_that_does_not_fit_ends_in_an_error(hub: FakeHub, agent: FakeAgent) -> None:
    agent.limit = 10
    with pytest.raises(CloudError, match="a single line") as caught:
        get_logs(hub, DEVICE, ["scorer"], Selection(4))
    assert "iotedge logs scorer" in caught.value.fix
    assert len(agent.asked) == 3


def test_an_older_agents_cut_to_500_lines_is_said(hub: FakeHub, agent: FakeAgent) -> None:
    agent.logs["scorer"] = (agent.logs["scorer"] * 2)[:500]
    assert get_logs(hub, DEVICE, ["scorer"], Selection(800)).notes == (
        "500 lines came, which is the most that an older edgeAgent sends at once",
    )


def test_a_module_that_is_not_there_is_named(hub: FakeHub) -> None:
    with pytest.raises(FoundError, match="it has no module 'scoerr'"):
        get_logs(hub, DEVICE, ["scorer", "scoerr"], Selection())


def test_a_lost_answer_is_asked_for_once_more(hub: FakeHub) -> None:
    hub.trouble["invoke_method"] = [UnconfirmedError("did not respond within 30 s", fix="x")]
    assert len(get_logs(hub, DEVICE, ["scorer"], Selection()).lines) == 100
    hub.trouble["invoke_method"] = [UnconfirmedError("did not respond within 30 s", fix="x")] * 2
    with pytest.raises(CloudError, match="edgeAgent did not answer twice: did not respond within 30 s"):
        get_logs(hub, DEVICE, ["scorer"], Selection())


def test_each_cause_has_its_error(hub: FakeHub) -> None:
    hub.add("plain", edge=False)
    with pytest.raises(NotFoundError, match="not registered"):
        get_logs(hub, "nobody", [], Selection())
    with pytest.raises(CloudError, match="it is not an IoT Edge device"):
        get_logs(hub, "plain", [], Selection())
    del hub.methods["getmodulelogs"]
    with pytest.raises(CloudError, match="its IoT Edge runtime has no method 'GetModuleLogs'") as caught:
        get_logs(hub, DEVICE, [], Selection())
    assert "update the IoT Edge runtime" in caught.value.fix
    hub.connect(DEVICE, connected=False)
    with pytest.raises(OfflineError):
        get_logs(hub, DEVICE, [], Selection())


@pytest.mark.parametrize(
    "payload",
    [[{"id": "m", "payload": "{"}], [{"id": "m", "payloadBytes": "AAAA"}], [{"id": "m", "payload": "[1]"}], [{}, 3]],
    ids=["cut off", "not gzip", "not lines", "no id"],
)
def test_an_answer_of_another_form_is_an_error(hub: FakeHub, payload: object) -> None:
    hub.methods["getmodulelogs"] = MethodResult(200, payload)
    with pytest.raises(CloudError, match="edgeAgent's answer is not understood"):
        get_logs(hub, DEVICE, [], Selection())


def test_a_small_answer_that_unpacks_to_far_too_much_is_not_unpacked() -> None:
    import base64
    import gzip

    bomb = base64.b64encode(gzip.compress(b" " * (65 << 20))).decode()
    assert len(bomb) < 127_000
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        lines_of({"id": "m", "payloadBytes": bomb})


def test_last_words_take_one_request_and_no_second(hub: FakeHub, agent: FakeAgent) -> None:
    words = last_words(hub, DEVICE, ["scorer", "scorer-2"])
    assert (len(words), len(agent.asked)) == (21, 1)
    agent.limit = 10
    with pytest.raises(CloudError, match="more than the 127,000 characters"):
        last_words(hub, DEVICE, ["scorer"])
    assert len(agent.asked) == 2


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("1h", "1h"),
        ("2d 3h", "2d 3h"),
        ("90 seconds", "90 seconds"),
        ("1764450000", "1764450000"),
        ("2026-11-29T21:00:00Z", "2026-11-29T21:00:00Z"),
        ("2026-11-29T21:00:00+01:00", "2026-11-29T21:00:00+01:00"),
        ("2026-11-29 21:00:00", "2026-11-29T21:00:00Z"),
    ],
)
def test_a_moment_is_sent_as_edge_agent_reads_it(text: str, sent: str) -> None:
    assert moment(text, "--since") == sent


@pytest.mark.parametrize("text", ["", "yesterday", "1x", "-5m", "2026-11-29", "2026-13-45T99:00:00Z"])
def test_a_moment_that_edge_agent_would_not_read_is_refused_here(text: str) -> None:
    with pytest.raises(InputError, match="neither a time nor a duration"):
        moment(text, "--since")


def test_times_of_each_form_are_read() -> None:
    assert read_time("2026-11-29T21:03:44.1234567Z") == read_time("2026-11-29 22:03:44.123456 +01:00")
    assert read_time("2026-11-29T21:03:44") is not None
    assert [read_time(text) for text in (None, "", "soon", "2026-11-31T00:00:00Z")] == [None] * 4


def test_what_drives_a_terminal_is_made_visible() -> None:
    line = Line("m", read_time("2026-11-29T21:03:44.5Z"), 6, "stdout", "a\tb\x1b[31m\r\x07")
    assert report.text(line) == r"2026-11-29 21:03:44.500 a	b\x1b[31m\r\x07"
    assert report.text(replace(line, time=None, text="plain")) == "plain"
    assert report.data(line)["time"] == "2026-11-29T21:03:44.500000Z"
