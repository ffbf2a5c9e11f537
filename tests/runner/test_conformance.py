"""The runner at a broker: one suite for every broker that there is."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner.broker import MODULE, Broker
from runner.conftest import Run
from runner.own_edge_hub import own_edge_hub


@pytest.fixture(params=["mosquitto", "own edgeHub"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """The broker under test. Another edgeHub joins the suite as another parameter of this fixture."""
    if request.param == "mosquitto":
        yield request.getfixturevalue("edge_hub")
    else:
        with own_edge_hub(tmp_path) as broker:
            yield broker


def test_an_input_becomes_a_result(broker: Broker, run: Run) -> None:
    run(broker.environment())
    broker.send(b'{"a": 1}', {"$.mid": "m1", "$.cdid": "camera", "site": "Köln / 3", "odd &=?": "x+y"})
    result = broker.result()
    assert result.json == {"echo": {"a": 1}}
    assert result.properties == {
        "$.on": "amlOutput",
        "$.mid": f"m1:{MODULE}",
        "$.cid": "m1",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "site": "Köln / 3",
        "odd &=?": "x+y",
    }


def test_an_input_without_a_message_id_gets_a_result_without_a_correlation_id(broker: Broker, run: Run) -> None:
    run(broker.environment())
    broker.send(b"1")
    properties = broker.result().properties
    assert "$.cid" not in properties
    assert len(properties["$.mid"]) == 36


def test_results_keep_the_order_of_inputs(broker: Broker, run: Run) -> None:
    for number in range(50):
        broker.send(b"%d" % number, {"$.mid": f"m{number}"})
    run(broker.environment())
    assert [broker.result().json["echo"] for _ in range(50)] == list(range(50))


def test_the_model_is_named_in_a_result(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_MODEL_NAME": "anomaly", "RUNNER_MODEL_VERSION": "7"})
    broker.send(b"1")
    properties = broker.result().properties
    assert (properties["model"], properties["modelVersion"]) == ("anomaly", "7")


def test_no_result_sends_nothing_and_blocks_nothing(broker: Broker, run: Run) -> None:
    run(broker.environment(), "init = lambda: None\ndef run(data): return None if data == '1' else data\n")
    broker.send(b"1", {"$.mid": "filtered"})
    broker.send(b"2", {"$.mid": "sent"})
    assert broker.result().properties["$.cid"] == "sent"
    broker.no_result()


LIST = "init = lambda: None\ndef run(data): return [1, None, {'b': 2}]\n"


def test_a_list_is_one_message(broker: Broker, run: Run) -> None:
    run(broker.environment(), LIST)
    broker.send(b"1")
    assert broker.result().json == [1, None, {"b": 2}]


def test_a_list_is_a_message_an_item_if_a_setting_says_so(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_SPLIT_LISTS": "true"}, LIST)
    broker.send(b"1", {"$.mid": "m"})
    first, second = broker.result(), broker.result()
    assert (first.json, second.json) == (1, {"b": 2})
    assert (first.properties["$.mid"], second.properties["$.mid"]) == (f"m:{MODULE}:0", f"m:{MODULE}:2")
    assert first.properties["$.cid"] == second.properties["$.cid"] == "m"
    broker.no_result()


def test_an_exception_becomes_a_message_on_errors_and_the_next_input_is_scored(broker: Broker, run: Run) -> None:
    runner = run(broker.environment(), "init = lambda: None\ndef run(data): return {'ratio': 1 / int(data)}\n")
    broker.send(b"0", {"$.mid": "bad", "site": "north"})
    broker.send(b"2", {"$.mid": "good"})
    error = broker.result()
    assert error.output == "errors"
    assert (error.properties["$.cid"], error.properties["site"], error.properties["error"]) == (
        "bad",
        "north",
        "failed",
    )
    assert error.json == {
        "error": "ZeroDivisionError: division by zero",
        "kind": "failed",
        "input": "amlInput",
        "messageId": "bad",
    }
    assert broker.result().json == {"ratio": 0.5}
    assert "score.py" in runner.wait_for("File .*score.py")
    assert runner.stop() == 0


def test_what_is_not_utf_8_becomes_an_error_and_not_a_failure_of_the_model(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_MAX_ERRORS": "1"})
    broker.send(b"\xff\xfe", {"$.mid": "m"})
    broker.send(b"1")
    error = broker.result()
    assert (error.output, error.json["kind"]) == ("errors", "rejected")
    assert error.json["error"] == "the input is not UTF-8: invalid start byte at byte 0"
    assert broker.result().json == {"echo": 1}


def test_an_empty_error_output_keeps_errors_back(broker: Broker, run: Run) -> None:
    run(broker.environment())
    broker.desire({"errorOutput": ""})
    broker.send(b"\xff")
    broker.send(b"1")
    assert broker.result().output == "amlOutput"


def test_an_input_that_no_setting_names_is_acknowledged_and_reported_in_the_log(broker: Broker, run: Run) -> None:
    runner = run(broker.environment())
    broker.send(b"1", name="other")
    broker.send(b"2")
    assert broker.result().json == {"echo": 2}
    runner.wait_for(r"\[WRN\] messages to the input other are ignored")


def test_each_input_has_the_output_that_settings_give_it(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_INPUTS": "left=leftOut, right", "RUNNER_OUTPUT": "rest"})
    broker.send(b"1", name="left")
    broker.send(b"2", name="right")
    assert [(r.output, r.json["echo"]) for r in (broker.result(), broker.result())] == [("leftOut", 1), ("rest", 2)]


def test_a_quarter_of_a_megabyte_comes_in_and_goes_out(broker: Broker, run: Run) -> None:
    run(broker.environment(), "init = lambda: None\ndef run(data): return data\n")
    text = "x" * 250_000
    broker.send(json.dumps(text).encode())
    assert json.loads(broker.result().json) == text


def test_a_result_that_edge_hub_does_not_take_becomes_an_error(broker: Broker, run: Run) -> None:
    run(broker.environment(), "init = lambda: None\ndef run(data): return 'x' * 300_000 if data == '1' else data\n")
    broker.send(b"1", {"$.mid": "large"})
    broker.send(b"2")
    error = broker.result()
    assert error.output == "errors"
    assert error.json["error"].startswith("the result is too large: 300,002 bytes and ")
    assert broker.result().json == "2"


# The twin.

THRESHOLD = """\
threshold = None

def init():
    pass

def configure(threshold=0.5, labels=()):
    if threshold > 1:
        raise ValueError("threshold is above 1")
    globals().update(threshold=threshold, labels=labels)

def run(data):
    return {"threshold": threshold, "labels": labels}
"""


def wait_for_reported(broker: Broker, name: str, **expected: object) -> dict[str, object]:
    deadline = time.monotonic() + 15
    while (found := broker.reported.get(name)) != (found or {}) | expected or found is None:
        assert time.monotonic() < deadline, broker.reported
        time.sleep(0.05)
    return dict(found)


def test_settings_of_the_twin_are_in_effect_for_the_first_input(broker: Broker, run: Run) -> None:
    broker.desire({"threshold": 0.7, "output": "scores"})
    broker.send(b"1")
    run(broker.environment(), THRESHOLD)
    result = broker.result()
    assert (result.output, result.json) == ("scores", {"threshold": 0.7, "labels": []})


def test_desired_properties_change_settings_and_are_acknowledged(broker: Broker, run: Run) -> None:
    run(broker.environment(), THRESHOLD)
    broker.send(b"1")
    assert broker.result().json["threshold"] == 0.5
    version = broker.desire({"threshold": 1, "labels": ["ok", "bad"], "logLevel": "debug"})
    assert wait_for_reported(broker, "threshold", av=version) == {"value": 1, "ac": 200, "av": version}
    assert broker.reported["labels"] == {"value": ["ok", "bad"], "ac": 200, "av": version}
    assert broker.reported["logLevel"] == {"value": "debug", "ac": 200, "av": version}
    broker.send(b"1")
    assert broker.result().json == {"threshold": 1, "labels": ["ok", "bad"]}
    broker.desire({"threshold": None})
    broker.send(b"1")
    assert broker.result().json["threshold"] == 0.5
    deadline = time.monotonic() + 15
    while "threshold" in broker.reported:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_desired_properties_that_cannot_be_used_are_rejected_with_the_reason(broker: Broker, run: Run) -> None:
    wrong = {"treshold": 0.7, "threshold": "high", "delivery": "twice", "maxErrors": 1.5, "http": 5001, "batch": 3}
    version = broker.desire(wrong)
    run(broker.environment(), THRESHOLD)
    wait_for_reported(broker, "threshold", av=version)
    reported = broker.reported
    assert reported["treshold"] == {"ac": 404, "av": version, "ad": "unknown setting: did you mean threshold?"}
    assert reported["threshold"] == {"value": 0.5, "ac": 400, "av": version, "ad": "expected a number"}
    assert reported["delivery"] == {"ac": 400, "av": version, "ad": "expected one of at-least-once, at-most-once"}
    assert reported["maxErrors"] == {"value": 100, "ac": 400, "av": version, "ad": "expected a whole number"}
    assert reported["http"]["ac"] == 405
    assert reported["batch"]["ac"] == 400
    broker.send(b"1")
    assert broker.result().json["threshold"] == 0.5


def test_a_setting_that_configure_rejects_is_not_in_effect(broker: Broker, run: Run) -> None:
    run(broker.environment(), THRESHOLD)
    version = broker.desire({"threshold": 3})
    rejected = wait_for_reported(broker, "threshold", av=version)
    assert rejected == {
        "value": 0.5,
        "ac": 400,
        "av": version,
        "ad": "configure() raised ValueError: threshold is above 1",
    }
    broker.send(b"1")
    assert broker.result().json["threshold"] == 0.5


def test_the_twin_says_what_runs_and_what_happened(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_REPORT_INTERVAL": "5", "RUNNER_MODEL_NAME": "anomaly"})
    broker.send(b"1")
    broker.send(b"\xff")
    broker.result(), broker.result()
    counts = wait_for_reported(broker, "counts", scored=1, rejected=1, sent=2)
    assert counts == {"scored": 1, "filtered": 0, "failed": 0, "rejected": 1, "sent": 2}
    runner = broker.reported["runner"]
    assert (runner["version"], runner["delivery"]) == ("0.1.0", "at-least-once")
    assert runner["started"] <= runner["lastScored"]
    assert broker.reported["model"] == {"name": "anomaly"}


def test_the_twin_says_which_model_runs(broker: Broker, run: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(b"weights")
    model = {"AZUREML_MODEL_DIR": str(tmp_path / "model"), "RUNNER_MODEL_VERSION": "7"}
    run({**broker.environment(), **model})
    digest = hashlib.sha256(b"weights").hexdigest()
    assert wait_for_reported(broker, "model", sha256=digest) == {"version": "7", "sha256": digest}


# Methods.


def test_the_method_score_answers_with_the_result(broker: Broker, run: Run) -> None:
    run(broker.environment()).wait_for("desired properties")
    assert broker.call("score", b'{"a": [1, 2]}') == (200, {"echo": {"a": [1, 2]}})
    broker.no_result(0.2)


def test_the_method_score_says_what_went_wrong(broker: Broker, run: Run) -> None:
    script = "init = lambda: None\ndef run(data): return 1 / int(data) if data != '7' else 'x' * 140_000\n"
    run(broker.environment(), script).wait_for("desired properties")
    assert broker.call("score", b"0") == (500, {"message": "ZeroDivisionError: division by zero"})
    assert broker.call("score", b"{") == (400, {"message": "the payload is not JSON"})
    status, answer = broker.call("score", b"7")
    assert (status, answer["message"]) == (
        413,
        "the result has 140,002 bytes, and a method may answer with at most 131,072",
    )


def test_an_unknown_method_is_answered_with_the_names_of_the_known_ones(broker: Broker, run: Run) -> None:
    run(broker.environment()).wait_for("desired properties")
    status, answer = broker.call("selfdestruct", b"null")
    assert (status, answer["message"]) == (
        404,
        "unknown method 'selfdestruct'; the methods are ping, reload, score, status",
    )


def test_ping_and_status_answer_while_a_model_scores(broker: Broker, run: Run) -> None:
    runner = run(
        broker.environment(), "import time\ninit = lambda: None\ndef run(data): print('in'); time.sleep(4); return 1\n"
    )
    broker.send(b"1")
    runner.wait_for("desired properties")
    started = time.monotonic()
    assert broker.call("Ping", b"null") == (200, {})
    status, answer = broker.call("status", b"null")
    assert time.monotonic() - started < 3
    assert (status, answer["runner"]["delivery"]) == (200, "at-least-once")


def test_reload_takes_a_changed_script(broker: Broker, run: Run, tmp_path: Path) -> None:
    run(broker.environment(), THRESHOLD).wait_for("desired properties")
    broker.desire({"threshold": 0.25})
    script = tmp_path / "app" / "score.py"
    script.write_text(THRESHOLD.replace('"threshold": threshold', '"new": threshold'))
    assert broker.call("reload", b"null") == (200, {})
    assert broker.call("score", b"1") == (200, {"new": 0.25, "labels": []})
    script.write_text("def run(")
    status, answer = broker.call("reload", b"null")
    assert status == 500
    assert "cannot be imported: SyntaxError" in answer["message"]
    assert broker.call("score", b"1") == (200, {"new": 0.25, "labels": []})


# Delivery.

SLOW = """\
import json, os, time

def init():
    pass

def run(data):
    with open("calls", "a") as calls:
        calls.write(f"{data}\\n")
    time.sleep(float(os.environ.get("SECONDS", "1")))
    return json.loads(data)
"""


def test_an_input_in_work_comes_again_after_a_kill(broker: Broker, run: Run, tmp_path: Path) -> None:
    broker.send(b"1", {"$.mid": "m"})
    first = run({**broker.environment(), "SECONDS": "60"}, SLOW)
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    first.kill()
    broker.no_result(0.2)
    run({**broker.environment(), "SECONDS": "0"}, SLOW)
    assert broker.result().properties["$.cid"] == "m"
    broker.no_result(0.5)


def test_an_input_whose_connection_is_cut_is_scored_once(broker: Broker, run: Run, tmp_path: Path) -> None:
    runner = run(broker.environment(), SLOW)
    broker.send(b"1", {"$.mid": "m"})
    broker.send(b"2", {"$.mid": "n"})
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    broker.cut()
    assert [broker.result().json, broker.result().json] == [1, 2]
    broker.no_result(1.5)
    assert (tmp_path / "calls").read_text() == "1\n2\n"
    runner.wait_for("connected to edgeHub", times=2)


def test_equal_inputs_without_message_ids_are_all_scored(broker: Broker, run: Run) -> None:
    run(broker.environment())
    for _ in range(5):
        broker.send(b"1")
    assert [broker.result().json for _ in range(5)] == [{"echo": 1}] * 5


def test_edge_hub_may_be_away_at_the_start_and_later(broker: Broker, run: Run) -> None:
    broker.stop()
    runner = run(broker.environment())
    runner.wait_for(r"\[WRN\] edgeHub at localhost:\d+ is not reachable: .*Connection refused.*next attempt in")
    broker.start()
    broker.send(b"1")
    assert broker.result(20).json == {"echo": 1}
    broker.stop()
    runner.wait_for(r"\[WRN\] lost the connection to edgeHub")
    broker.start()
    broker.send(b"2")
    # The acknowledgement of the first result may have been lost with the connection: then it comes twice.
    while (result := broker.result(20).json) == {"echo": 1}:
        pass
    assert result == {"echo": 2}
    assert runner.stop() == 0


def test_what_was_desired_while_edge_hub_was_away_is_read(broker: Broker, run: Run) -> None:
    runner = run(broker.environment(), THRESHOLD)
    runner.wait_for("desired properties, version 1")
    broker.stop()
    runner.wait_for("lost the connection")
    broker.desire({"threshold": 0.9})
    broker.start()
    runner.wait_for("desired properties, version 2")
    broker.send(b"1")
    assert broker.result().json["threshold"] == 0.9


def test_a_stop_lets_the_input_in_work_be_finished(broker: Broker, run: Run, tmp_path: Path) -> None:
    runner = run(broker.environment(), SLOW)
    broker.send(b"1")
    broker.send(b"2")
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    assert runner.stop() == 0
    assert broker.result().json == 1
    broker.no_result(0.3)
    run({**broker.environment(), "SECONDS": "0"}, SLOW)
    assert broker.result().json == 2
    broker.no_result(0.5)
    assert (tmp_path / "calls").read_text() == "1\n2\n"


@pytest.mark.slow
def test_a_stop_leaves_an_input_that_takes_too_long_unacknowledged(broker: Broker, run: Run, tmp_path: Path) -> None:
    runner = run({**broker.environment(), "SECONDS": "60"}, SLOW)
    broker.send(b"1", {"$.mid": "m"})
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    started = time.monotonic()
    assert runner.stop() == 0
    assert time.monotonic() - started < 10
    run({**broker.environment(), "SECONDS": "0"}, SLOW)
    assert broker.result().properties["$.cid"] == "m"


def test_at_most_once_is_fast_and_keeps_the_order(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_DELIVERY": "at-most-once", "RUNNER_QUEUE": "10"})
    for number in range(200):
        broker.send(b"%d" % number)
    assert [broker.result().json["echo"] for _ in range(200)] == list(range(200))


def test_at_most_once_does_not_repeat_after_a_kill(broker: Broker, run: Run, tmp_path: Path) -> None:
    broker.send(b"1")
    first = run({**broker.environment(), "SECONDS": "60", "RUNNER_DELIVERY": "at-most-once"}, SLOW)
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    first.kill()
    run({**broker.environment(), "SECONDS": "0"}, SLOW)
    broker.send(b"2")
    assert broker.result().json == 2


BATCH = """\
import json

def init():
    pass

def run(data):
    inputs = json.loads(data)
    return [{"of": len(inputs), "got": one} for one in inputs]
"""


def test_a_batch_is_scored_at_once_and_each_input_gets_its_result(broker: Broker, run: Run) -> None:
    broker.desire({"batch": {"max": 10, "wait_ms": 500}})
    run(broker.environment(), BATCH)
    for number in range(10):
        broker.send(b"%d" % number, {"$.mid": f"m{number}"})
    results = [broker.result() for _ in range(10)]
    assert [result.json["got"] for result in results] == list(range(10))
    assert [result.properties["$.cid"] for result in results] == [f"m{number}" for number in range(10)]
    assert results[0].json["of"] > 1


def test_an_input_that_is_not_json_does_not_spoil_its_batch(broker: Broker, run: Run) -> None:
    run({**broker.environment(), "RUNNER_BATCH": '{"max": 3, "wait_ms": 2000}'}, BATCH)
    for body in (b"1", b"{", b"3"):
        broker.send(body)
    results = [broker.result() for _ in range(3)]
    assert {result.output for result in results} == {"amlOutput", "errors"}
    assert [result.json["got"] for result in results if result.output == "amlOutput"] == [1, 3]


@pytest.mark.slow
def test_the_session_connects_anew_before_its_token_ends(broker: Broker, run: Run) -> None:
    runner = run({**broker.environment(), "RUNNER_TOKEN_TTL": "10"})
    runner.wait_for("connected to edgeHub", times=3, timeout=25)
    broker.send(b"1")
    assert broker.result().json == {"echo": 1}
    assert "lost the connection" not in runner.log
