"""No message is lost: the order of acknowledgements on the wire, and a runner that is killed again and again."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from runner.broker import EVENTS, INPUTS, Mosquitto
from runner.conftest import ECHO, Run
from runner.proxy import CONNECT, PUBACK, PUBLISH, Packet, proxy


def described(packets: list[Packet]) -> list[str]:
    """The packets of inputs and results, in the order in which they went by."""
    inputs: dict[int, str] = {}
    results: dict[int, str] = {}
    found = []
    for packet in packets:
        if packet.kind == PUBLISH and packet.topic.startswith(INPUTS):
            inputs[packet.mid] = packet.payload.decode()
            found.append(f"input {inputs[packet.mid]}")
        elif packet.kind == PUBLISH and packet.topic.startswith(EVENTS):
            results[packet.mid] = packet.payload.decode()
            found.append(f"result {results[packet.mid]}")
        elif packet.kind == PUBACK and packet.sender == "broker" and packet.mid in results:
            found.append(f"result {results.pop(packet.mid)} acknowledged")
        elif packet.kind == PUBACK and packet.sender == "module" and packet.mid in inputs:
            found.append(f"input {inputs.pop(packet.mid)} acknowledged")
    return found


SAME = "init = lambda: None\ndef run(data): return None if data == '3' else int(data)\n"


def test_an_input_is_acknowledged_after_its_result_is(edge_hub: Mosquitto, run: Run) -> None:
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        recorder.delay = 0.01
        run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port)}, SAME)
        for number in range(1, 6):
            edge_hub.send(b"%d" % number)
        for _ in range(4):
            edge_hub.result()
        deadline = time.monotonic() + 5
        while len(found := described(recorder.packets)) < 18 and time.monotonic() < deadline:
            time.sleep(0.01)
    expected = []
    for number in range(1, 6):
        expected.append(f"input {number}")
        if number != 3:
            expected += [f"result {number}", f"result {number} acknowledged"]
        expected.append(f"input {number} acknowledged")
    assert found == expected


def test_every_result_of_a_list_is_acknowledged_before_the_input_is(edge_hub: Mosquitto, run: Run) -> None:
    script = "init = lambda: None\ndef run(data): return [7, 8, 9]\n"
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port), "RUNNER_SPLIT_LISTS": "true"}, script)
        edge_hub.send(b"1")
        for _ in range(3):
            edge_hub.result()
        deadline = time.monotonic() + 5
        while len(found := described(recorder.packets)) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert found[-1] == "input 1 acknowledged"
    assert len(found) == 8


def test_at_most_once_acknowledges_first(edge_hub: Mosquitto, run: Run) -> None:
    script = "import time\ninit = lambda: None\ndef run(data): time.sleep(0.2); return int(data)\n"
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        environment = {"RUNNER_PORT": str(recorder.port), "RUNNER_DELIVERY": "at-most-once"}
        run({**edge_hub.environment(), **environment}, script)
        edge_hub.send(b"1")
        edge_hub.result()
        assert described(recorder.packets)[:2] == ["input 1", "input 1 acknowledged"]


def test_at_most_once_accepts_no_more_than_its_queue_holds(edge_hub: Mosquitto, run: Run) -> None:
    script = "import time\ninit = lambda: None\ndef run(data): time.sleep(0.3); return int(data)\n"
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        environment = {"RUNNER_PORT": str(recorder.port), "RUNNER_DELIVERY": "at-most-once", "RUNNER_QUEUE": "2"}
        run({**edge_hub.environment(), **environment}, script)
        for number in range(1, 6):
            edge_hub.send(b"%d" % number)
        edge_hub.result()
        accepted = [
            words for words in described(recorder.packets) if words.endswith("acknowledged") and "in" in words[:2]
        ]
        assert len(accepted) <= 3
        assert [edge_hub.result().json for _ in range(4)] == [2, 3, 4, 5]


def test_a_result_whose_acknowledgement_was_lost_is_sent_again_and_its_input_scored_once(
    edge_hub: Mosquitto, run: Run, tmp_path: Path
) -> None:
    script = """\
init = lambda: None
def run(data):
    with open("calls", "a") as calls:
        calls.write(data)
    return int(data)
"""
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port)}, script)
        lost: list[Packet] = []

        def swallow(packet: Packet) -> bool:
            # The acknowledgement of the first result: the broker has the result, the runner does not know.
            sent = [p.mid for p in recorder.of("module", PUBLISH) if p.topic.startswith(EVENTS)]
            if not lost and packet.sender == "broker" and packet.kind == PUBACK and packet.mid in sent:
                lost.append(packet)
                return True
            return False

        recorder.hold = swallow
        edge_hub.send(b"1", {"$.mid": "m"})
        assert edge_hub.result().json == 1
        while not lost:
            time.sleep(0.01)
        recorder.cut()
        again = edge_hub.result()
        assert again.properties["$.mid"] == "m:scorer"
        edge_hub.send(b"2")
        assert edge_hub.result().json == 2
        resent = [p for p in recorder.of("module", PUBLISH) if p.topic.startswith(EVENTS) and p.first & 8]
        assert len(resent) == 1
    assert (tmp_path / "calls").read_text() == "12"


def test_an_acknowledgement_is_never_sent_for_another_connections_packet(edge_hub: Mosquitto, run: Run) -> None:
    script = "import time\ninit = lambda: None\ndef run(data): time.sleep(1); return int(data)\n"
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port)}, script)
        for number in (1, 2):
            edge_hub.send(b"%d" % number)
        recorder.wait_for("broker", PUBLISH, 2)
        time.sleep(0.3)
        recorder.cut()
        results = {edge_hub.result().json, edge_hub.result().json}
        assert results == {1, 2}
        for number in {packet.connection for packet in recorder.packets}:
            received = {p.mid for p in recorder.of("broker", PUBLISH) if p.connection == number and p.qos}
            acknowledged = {p.mid for p in recorder.of("module", PUBACK) if p.connection == number}
            assert acknowledged <= received


def test_what_is_accepted_at_most_once_is_still_scored_after_a_stop(edge_hub: Mosquitto, run: Run) -> None:
    script = "import time\ninit = lambda: None\ndef run(data): time.sleep(0.3); return int(data)\n"
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        environment = {"RUNNER_PORT": str(recorder.port), "RUNNER_DELIVERY": "at-most-once"}
        runner = run({**edge_hub.environment(), **environment}, script)
        for number in range(4):
            edge_hub.send(b"%d" % number)
        deadline = time.monotonic() + 10
        while len([words for words in described(recorder.packets) if words.startswith("input") and "ack" in words]) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert runner.stop() == 0
    assert [edge_hub.result().json for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.slow
def test_500_messages_and_ten_kills_lose_nothing(edge_hub: Mosquitto, run: Run) -> None:
    total, kills = 500, 10
    for number in range(total):
        edge_hub.send(b"%d" % number, {"$.mid": f"m{number}"})
    chance = random.Random(20261129)  # noqa: S311 - for variety, and the same each time
    results = edge_hub.cloud.results
    for kill in range(kills):
        runner = run(edge_hub.environment())
        enough = (kill + 1) * (total // (kills + 2))
        deadline = time.monotonic() + 60
        while len(results) < enough:
            assert time.monotonic() < deadline, runner.log
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
        runner.kill()
    run(edge_hub.environment())
    edge_hub.cloud.wait(lambda: len({result.properties["$.cid"] for result in results}) == total, 60)
    time.sleep(0.5)
    counts = Counter(result.properties["$.cid"] for result in results)
    assert set(counts) == {f"m{number}" for number in range(total)}
    duplicates = sum(counts.values()) - total
    # Each kill can repeat the one message that was in flight.
    assert duplicates <= kills
    firsts = list(dict.fromkeys(result.json["echo"] for result in results))
    assert firsts == list(range(total))
    print(f"{total} messages, {kills} kills: none lost, {duplicates} duplicates")


@pytest.mark.slow
def test_the_session_survives_connections_that_are_cut_while_it_writes(edge_hub: Mosquitto, run: Run) -> None:
    """Two threads on one TLS socket would break it in some of these rounds."""
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        runner = run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port)}, ECHO)
        chance = random.Random(7)  # noqa: S311 - for variety, and the same each time
        for number in range(300):
            edge_hub.send(b"%d" % number, {"$.mid": f"m{number}"})
        for _ in range(8):
            time.sleep(chance.uniform(0.05, 0.3))
            recorder.cut()
            recorder.wait_for("module", CONNECT, len(recorder.of("module", CONNECT)) + 1, 40)
        edge_hub.cloud.wait(lambda: len({r.properties["$.cid"] for r in edge_hub.cloud.results}) == 300, 60)
        assert "WRONG_VERSION" not in runner.log
        assert "unexpectedly" not in runner.log
        assert runner.stop() == 0
