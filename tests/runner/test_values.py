"""The parts of the runner that are functions from values to values."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner.process import LOG_LINE

from manifestgen.project.inputs import sha256_of as project_sha256_of
from manifestgen.runner import log, routing, script, settings, topics
from manifestgen.runner.errors import ScorerError, SettingsError
from manifestgen.runner.message import MAX_BYTES, Message, Outgoing
from manifestgen.runner.metrics import Metrics
from manifestgen.runner.model import hash_in_background, sha256_of
from manifestgen.runner.pauses import Pauses
from manifestgen.runner.samples import Samples
from manifestgen.runner.settings import Answer, Batch, Listen, Settings, from_environment, misspelt, override
from manifestgen.runner.topics import ModuleTopics
from manifestgen.runner.twin import difference, merge

TOPICS = ModuleTopics("edge-1", "scorer")
SENDER = routing.Sender("scorer", "anomaly", "7", TOPICS)

names = st.text(st.characters(codec="utf-8"), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


# Topics.


@given(st.dictionaries(names, st.text(st.characters(codec="utf-8"))))
def test_properties_survive_a_topic(properties: dict[str, str]) -> None:
    topic = TOPICS.event([], properties)
    assert not set("+#") & set(topic)
    assert topics.decode_properties(topic.rpartition("/")[2]) == properties


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_properties_are_encoded_as_urllib_does_it(name: str, value: str) -> None:
    expected = f"{quote(name, safe='')}={quote(value, safe='')}"
    assert topics.encode_properties([(name, value)], {}) == expected
    assert topics.encode_properties([], {name: value}) == expected


def test_each_character_is_encoded_as_urllib_does_it() -> None:
    for character in map(chr, range(0x180)):
        assert topics.encode_properties([], {character: ""}) == quote(character, safe="") + "="


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("devices/edge-1/modules/scorer/inputs/in/a=1&b=2", ("in", {"a": "1", "b": "2"})),
        ("devices/edge-1/modules/scorer/inputs/in", ("in", {})),
        ("devices/edge-1/modules/scorer/inputs/in/", ("in", {})),
        ("devices/edge-1/modules/scorer/inputs/my%20in/flag&=x&k=a=b", ("my in", {"flag": "", "k": "a=b"})),
        ("devices/edge-1/modules/scorer/inputs/in/a=1%", ("in", {"a": "1%"})),
        ("devices/edge-1/modules/other/inputs/in/a=1", None),
    ],
)
def test_an_inputs_topic_is_read(topic: str, expected: Any) -> None:
    assert TOPICS.read_input(topic) == expected


def test_twin_and_method_topics_are_read() -> None:
    assert topics.read_twin_response("$iothub/twin/res/200/?$rid=7") == topics.TwinResponse(200, "7", None)
    assert topics.read_twin_response("$iothub/twin/res/204/?$rid=7&$version=9") == topics.TwinResponse(204, "7", 9)
    assert topics.read_twin_patch("$iothub/twin/PATCH/properties/desired/?$version=3") == topics.TwinPatch(3)
    assert topics.read_method("$iothub/methods/POST/do%20it/?$rid=a1") == topics.MethodCall("do it", "a1")


@pytest.mark.parametrize(
    "topic", ["$iothub/twin/res/x/?$rid=1", "$iothub/twin/res/200/", "$iothub/methods/POST/", "other"]
)
def test_malformed_topics_are_none_of_ours(topic: str) -> None:
    assert topics.read_twin_response(topic) is None
    assert topics.read_method(topic) is None


# The twin's arithmetic.

objects = st.dictionaries(st.text(max_size=3), st.integers() | st.booleans() | st.text(max_size=2), max_size=4)
nested = st.dictionaries(st.text(max_size=3), st.integers() | st.booleans() | objects, max_size=4)


@given(nested, nested)
def test_a_difference_merged_gives_the_second(before: dict[str, Any], after: dict[str, Any]) -> None:
    merged = merge(before, difference(before, after))
    assert json.dumps(merged, sort_keys=True) == json.dumps(after, sort_keys=True)


@given(nested)
def test_equal_objects_have_no_difference(value: dict[str, Any]) -> None:
    assert difference(value, value) == {}


# Settings.


def test_variables_become_settings() -> None:
    read = from_environment(
        {
            "RUNNER_INPUTS": "a, b=outB",
            "RUNNER_BATCH": '{"max": 4, "wait_ms": 20}',
            "RUNNER_SPLIT_LISTS": "True",
            "RUNNER_MAX_ERRORS": "0",
            "RUNNER_HTTP": ":::5001",
            "RUNNER_METRICS": "9600",
            "RuntimeLogLevel": "warn",
            "RUNNER_QUEUE": "",
        }
    )
    assert dict(read.inputs) == {"a": None, "b": "outB"}
    assert (read.output_of("a"), read.output_of("b"), read.output_of("c")) == ("amlOutput", "outB", None)
    assert read.batch == Batch(4, 20)
    assert not read.at_least_once
    assert (read.split_lists, read.max_errors, read.log_level, read.queue) == (True, 0, "warning", 100)
    assert (read.http, read.metrics) == (Listen("::", 5001), Listen("127.0.0.1", 9600))


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("RUNNER_INPUTS", " , ", "inputs as"),
        ("RUNNER_INPUTS", "a/b", "a name of up to 128 characters"),
        ("RUNNER_OUTPUT", "x" * 129, "a name of up to 128"),
        ("RUNNER_BATCH", "5", "an object"),
        ("RUNNER_BATCH", '{"max": 0, "wait_ms": 1}', "an object"),
        ("RUNNER_SPLIT_LISTS", "yes", "true or false"),
        ("RUNNER_MAX_ERRORS", "-1", "a whole number from 0"),
        ("RUNNER_MAX_ERRORS", "NaN", "a whole number"),
        ("RUNNER_RUN_TIMEOUT", "soon", "a number"),
        ("RUNNER_TOKEN_TTL", "1", "a number from 10"),
        ("RUNNER_LOG_LEVEL", "loud", "one of debug, info"),
        ("RUNNER_HTTP", "localhost", "PORT or HOST:PORT"),
        ("RUNNER_TRANSPORT", "amqp", "one of tcp, websocket"),
        ("RUNNER_FORWARD", "ftp://x", "a URL"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_what_is_expected(variable: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} is .*: expected {expected}"):
        from_environment({variable: text})


def test_a_misspelt_variable_is_pointed_out_and_other_programs_variables_are_not() -> None:
    warnings = misspelt({"RUNNER_DELIVRY": "x", "RUNNER_OS": "Linux", "RUNNER_TEMP": "t", "RUNNER_OUTPUT": "o"})
    assert warnings == ["RUNNER_DELIVRY is not a setting: did you mean RUNNER_DELIVERY?"]


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    assert set(settings.SETTINGS) == set(Settings.__dataclass_fields__)


def test_a_property_that_is_no_longer_desired_goes_back_to_the_variable() -> None:
    start = Settings(max_errors=5)
    assert override(start, {"maxErrors": 7.0})[0].max_errors == 7
    assert override(start, {})[0] == start


def test_batches_and_at_least_once_exclude_each_other_and_at_least_once_wins() -> None:
    batch = {"max": 2, "wait_ms": 5}
    result, answers, _ = override(Settings(), {"batch": batch, "delivery": "at-least-once"})
    assert (result.at_least_once, answers["batch"].code, answers["delivery"].code) == (True, 400, 200)
    result, answers, _ = override(Settings(batch=Batch(2, 5)), {"delivery": "at-least-once"})
    assert (result.at_least_once, answers["delivery"]) == (
        False,
        Answer(None, 400, "batches need at-most-once delivery"),
    )
    result, answers, _ = override(Settings(), {"batch": batch})
    assert (result.at_least_once, answers["batch"]) == (False, Answer(batch, 200))


@given(
    st.dictionaries(
        st.sampled_from(sorted(settings.RESERVED)) | st.text(max_size=5), json_values | st.floats(), max_size=4
    )
)
def test_any_desired_property_is_answered_or_left_to_the_script(desired: dict[str, Any]) -> None:
    result, answers, others = override(Settings(), desired)
    assert answers.keys() | others.keys() == desired.keys()
    assert isinstance(result, Settings)
    for answer in answers.values():
        assert bool(answer.why) == (answer.code != 200)
        json.dumps(answer.value)


# Routing.


def properties(sent: Outgoing) -> dict[str, str]:
    return topics.decode_properties(sent.topic.rpartition("/")[2])


@given(json_values)
def test_a_result_is_sent_as_json(value: Any) -> None:
    sent = routing.results(Message("amlInput", b"", {}), value, Settings(), SENDER)
    if value is None:
        assert sent == []
    else:
        assert json.loads(sent[0].body) == value


@pytest.mark.parametrize("value", [{1, 2}, math.nan, b"bytes", object(), {"a": math.inf}])
def test_what_json_cannot_say_cannot_be_sent(value: Any) -> None:
    with pytest.raises(routing.Unsendable, match="JSON cannot represent"):
        routing.results(Message("amlInput", b"", {}), value, Settings(), SENDER)


def test_a_list_that_holds_itself_cannot_be_sent() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(routing.Unsendable):
        routing.encode(value)


def test_a_result_of_the_most_bytes_is_sent_and_one_more_is_not() -> None:
    message = Message("amlInput", b"", {"$.mid": "m"})
    (small,) = routing.results(message, "", Settings(), SENDER)
    room = MAX_BYTES - len(small.topic) - 2
    assert routing.results(message, "x" * room, Settings(), SENDER)
    with pytest.raises(routing.Unsendable, match="too large"):
        routing.results(message, "x" * (room + 1), Settings(), SENDER)


def test_a_result_is_recognized_when_it_is_sent_twice() -> None:
    message = Message("amlInput", b"", {"$.mid": "m"})
    once, twice = (properties(routing.results(message, 1, Settings(), SENDER)[0]) for _ in range(2))
    assert once == twice
    long = Message("amlInput", b"", {"$.mid": "m" * 128})
    assert len(properties(routing.results(long, 1, Settings(), SENDER)[0])["$.mid"]) == 36


def test_what_edge_hub_adds_to_a_message_is_not_passed_on() -> None:
    message = Message("amlInput", b"", {"$.cdid": "camera", "$.cmid": "m", "$.exp": "x", "site": "north"})
    (sent,) = routing.results(message, 1, Settings(), SENDER)
    assert list(properties(sent)) == ["$.on", "$.mid", "$.ct", "$.ce", "model", "modelVersion", "site"]


# score.py.


def load(folder: Path, text: str) -> script.Script:
    path = folder / "score.py"
    path.write_text(text)
    return script.Script(path)


RUN = "init = lambda: None\ndef run(data): return data\n"


@pytest.mark.parametrize(
    ("configure", "message"),
    [
        ("def configure(**settings): pass", "cannot have"),
        ("def configure(threshold): pass", "'threshold' needs a default"),
        ("def configure(output=1): pass", "'output' is the name of a setting of the runner"),
    ],
)
def test_configure_names_its_settings_with_defaults(tmp_path: Path, configure: str, message: str) -> None:
    with pytest.raises(ScorerError, match=message):
        load(tmp_path, f"{RUN}{configure}\n")


@pytest.mark.parametrize(
    ("default", "good", "bad", "why"),
    [
        ("0.5", 1, "1", "a number"),
        ("0.5", 0.25, True, "a number"),
        ("3", 4, 4.5, "a whole number"),
        ("True", False, 1, "true or false"),
        ("'a'", "b", 1, "a string"),
        ("()", [1], "a", "an array"),
        ("{'a': 1}", {}, [], "an object"),
    ],
)
def test_a_settings_type_is_its_defaults(tmp_path: Path, default: str, good: Any, bad: Any, why: str) -> None:
    loaded = load(tmp_path, f"{RUN}def configure(value={default}): pass\n")
    loaded.init()
    assert loaded.configure({"value": good})["value"] == Answer(good, 200)
    assert loaded.configure({"value": bad})["value"] == Answer(good, 400, f"expected {why}")


def test_a_default_of_none_takes_any_value(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{RUN}def configure(value=None): pass\n")
    for value in (1, "a", [1], {"a": 1}):
        assert loaded.configure({"value": value})["value"].code == 200


def test_configure_is_called_only_if_something_changes(tmp_path: Path) -> None:
    text = f"{RUN}calls = []\ndef configure(value=1): calls.append(value)\n"
    loaded = load(tmp_path, text)
    loaded.init()
    for value in (1, 2, 2, 1):
        loaded.configure({"value": value})
    import sys

    assert sys.modules["entry_module"].calls == [1, 2, 1]


def test_a_description_of_an_exception_is_one_short_line() -> None:
    assert script.describe(ValueError("a\nb" + "c" * 500)) == "ValueError: a b" + "c" * 197 + "…"
    assert script.describe(KeyError()) == "KeyError"


# The log.


@pytest.mark.parametrize(
    ("level", "severity", "name"), [(50, 2, "FTL"), (40, 3, "ERR"), (30, 4, "WRN"), (20, 6, "INF"), (10, 7, "DBG")]
)
def test_a_log_line_is_what_edge_agent_parses(level: int, severity: int, name: str) -> None:
    record = logging.LogRecord("x", level, __file__, 1, "text %s", ("it",), None)
    line = log.Formatter().format(record)
    match = LOG_LINE.match(line)
    assert match is not None
    assert (match["logLevel"], match["logtext"]) == (str(severity), f"[{name}] text it")
    assert match["timestamp"].endswith(" +00:00")


@given(st.text())
def test_no_text_breaks_out_of_its_line(text: str) -> None:
    record = logging.LogRecord("x", 20, __file__, 1, "%s", (text,), None)
    for line in log.Formatter().format(record).split("\n"):
        assert line.startswith("<6> ")
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line


# The model, samples, metrics, pauses.


def test_the_models_hash_is_the_one_in_the_lock_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.pkl").write_bytes(b"model")
    assert sha256_of(tmp_path / "one") == project_sha256_of(tmp_path / "one" / "model.pkl")
    (tmp_path / "two" / "deep").mkdir(parents=True)
    (tmp_path / "two" / "deep" / "weights").write_bytes(b"w")
    (tmp_path / "two" / "labels.txt").write_bytes(b"l")
    assert sha256_of(tmp_path / "two") == project_sha256_of(tmp_path / "two")
    (tmp_path / "three").mkdir()
    (tmp_path / "two").rename(tmp_path / "three" / "two")  # as an image has a model that is a folder
    assert sha256_of(tmp_path / "three") == project_sha256_of(tmp_path / "three" / "two")
    assert sha256_of(tmp_path / "nowhere") == ""


def test_the_hash_is_made_in_the_background(tmp_path: Path) -> None:
    import threading

    (tmp_path / "model").write_bytes(b"m")
    done = threading.Event()
    found: list[str] = []

    def keep(digest: str) -> None:
        found.append(digest)
        done.set()

    hash_in_background(tmp_path, keep)
    assert done.wait(10)
    assert found == [sha256_of(tmp_path)]


def test_every_kth_input_is_kept_and_the_folder_stays_below_its_limit(tmp_path: Path) -> None:
    samples = Samples(tmp_path, 10_000)
    for number in range(1000):
        samples.offer(2, Message("in", b"%d" % number, {"$.mid": f"m{number}"}), {"n": number})
        total = sum(file.stat().st_size for file in tmp_path.iterdir()) if number > 2 else 0
        assert total <= 10_000
    lines = [json.loads(line) for file in sorted(tmp_path.iterdir()) for line in file.read_text().splitlines()]
    assert lines[-1]["result"] == {"n": 999}
    assert lines[-1] == {
        "time": lines[-1]["time"],
        "input": "in",
        "messageId": "m999",
        "body": "999",
        "result": {"n": 999},
    }
    assert [line["result"]["n"] for line in lines] == list(range(lines[0]["result"]["n"], 1000, 2))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) > 7_000


def test_samples_continue_after_a_restart_and_one_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    for number in range(3):
        Samples(tmp_path, 4_000).offer(1, Message("in", b"1", {}), number)
    assert len(list(tmp_path.iterdir())) == 3
    samples = Samples(tmp_path, 4_000)
    samples.offer(1, Message("in", b"x" * 5_000, {}), 1)
    samples.offer(1, Message("in", b"1", {}), {1, 2})  # a value that JSON cannot represent is kept as Python shows it
    samples.offer(0, Message("in", b"1", {}), 1)
    results = [json.loads(line)["result"] for f in sorted(tmp_path.iterdir()) for line in f.read_text().splitlines()]
    assert results[-1] == "{1, 2}"


def test_metrics_escape_their_labels() -> None:
    metrics = Metrics()
    metrics.count('in"put\n', "scored")
    metrics.took(0.003)
    text = metrics.text({"name": "a\\b", "version": "", "sha256": ""})
    assert 'runner_requests_total{input="in\\"put\\n",outcome="scored"} 1' in text
    assert 'runner_model_info{name="a\\\\b",version="",sha256=""} 1' in text
    assert 'runner_run_seconds_bucket{le="0.0025"} 0' in text
    assert 'runner_run_seconds_bucket{le="0.005"} 1' in text


def test_pauses_grow_at_random_up_to_a_limit() -> None:
    pauses = Pauses(0.5, 30)
    found = [pauses.next() for _ in range(20)]
    limits = [min(30, 0.5 * 2**n) for n in range(20)]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(found, limits, strict=True))
    pauses.reset()
    assert pauses.next() <= 0.5
