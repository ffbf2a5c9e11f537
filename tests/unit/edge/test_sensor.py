"""The simulated temperature sensor sends what Microsoft's sends, and obeys its twin, its input and its method."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from manifestgen.edge.sensor import Sensor, Simulation, delay_of, time_span
from manifestgen.runner import topics
from manifestgen.runner.handler import Receipt
from manifestgen.runner.topics import ModuleTopics

TOPICS = ModuleTopics("d", "m")


class Session:
    """Takes what the sensor publishes."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        call()

    def publish(self, topic: str, payload: bytes, done: Callable[[], None] | None = None) -> None:
        self.sent.append((topic, payload))
        if done is not None:
            done()

    def ack(self, receipt: Receipt) -> bool:
        return True

    def messages(self) -> list[tuple[dict[str, str], Any]]:
        start = "devices/d/modules/m/messages/events/"
        found = [(topic, payload) for topic, payload in self.sent if topic.startswith(start)]
        return [(topics.decode_properties(topic[len(start) :]), json.loads(payload)) for topic, payload in found]


@pytest.fixture
def session() -> Session:
    return Session()


def sensor(session: Session, **environ: str) -> Sensor:
    return Sensor(environ, session, TOPICS)  # type: ignore[arg-type]


def received(one: Sensor, topic: str, payload: Any) -> None:
    one.received(topic, json.dumps(payload).encode(), Receipt(1, 0))


def test_a_body_has_the_fields_of_microsoft_s_and_pressure_follows_temperature() -> None:
    bodies = Simulation().bodies(lambda: False, random.Random(1))  # noqa: S311 - a simulation
    found = [next(bodies) for _ in range(400)]
    for body in found:
        assert set(body) == {"machine", "ambient", "timeCreated"}
        machine = body["machine"]
        assert machine["pressure"] == pytest.approx(1 + (machine["temperature"] - 21) * 9 / 79)
        assert 20.5 <= body["ambient"]["temperature"] <= 21.5
        assert body["ambient"]["humidity"] in (24, 25, 26)
        assert body["timeCreated"].endswith("Z")
    assert found[0]["machine"]["temperature"] < 23
    assert 95 < found[-1]["machine"]["temperature"] < 110


def test_after_a_reset_the_machine_is_cold_again() -> None:
    resets = iter([*[False] * 100, True, *[False] * 10])
    bodies = Simulation().bodies(lambda: next(resets), random.Random(1))  # noqa: S311 - a simulation
    found = [next(bodies)["machine"]["temperature"] for _ in range(101)]
    assert found[-2] > 40 > 25 > found[-1]


def test_it_sends_as_many_messages_as_its_variable_says_with_their_properties(session: Session) -> None:
    one = sensor(session, MessageCount="3", MessageDelay="00:00:00")
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        deadline = threading.Event()
        for _ in range(500):
            if len(session.messages()) == 3:
                break
            deadline.wait(0.01)
    finally:
        one.stop()
        thread.join(10)
    found = session.messages()
    assert [properties["sequenceNumber"] for properties, _ in found] == ["1", "2", "3"]
    assert {properties["$.on"] for properties, _ in found} == {"temperatureOutput"}
    assert {(properties["$.ct"], properties["$.ce"]) for properties, _ in found} == {("application/json", "utf-8")}
    assert len({properties["batchId"] for properties, _ in found}) == 1


def test_the_twin_changes_the_interval_and_switches_it_off(session: Session) -> None:
    one = sensor(session)
    one.connected()
    assert session.sent[-1][0] == topics.twin_get(1)
    received(one, "$iothub/twin/res/200/?$rid=1", {"desired": {"SendInterval": 7, "SendData": False, "$version": 2}})
    one.tick(1e9)
    topic, payload = session.sent[-1]
    assert topic == topics.twin_report(2)
    assert json.loads(payload) == {"SendData": False, "SendInterval": 7.0}


@pytest.mark.parametrize(
    "command", [{"command": "reset"}, [{"command": 0}], [{"command": "noop"}, {"command": "Reset"}]]
)
def test_a_command_at_the_input_control_resets_it(session: Session, command: Any) -> None:
    one = sensor(session)
    received(one, "devices/d/modules/m/inputs/control/", command)
    assert one._was_reset()
    assert not one._was_reset()


def test_the_method_reset_answers_200_and_others_501(session: Session) -> None:
    one = sensor(session)
    received(one, "$iothub/methods/POST/Reset/?$rid=1", None)
    received(one, "$iothub/methods/POST/other/?$rid=2", None)
    assert [topic for topic, _ in session.sent] == [topics.method_response(200, "1"), topics.method_response(501, "2")]
    assert one._was_reset()


@pytest.mark.parametrize("seconds", [0.0, 0.1, 5.0, 65.25, 3600.0])
def test_a_time_span_is_read_as_dot_net_writes_it(seconds: float) -> None:
    assert delay_of(time_span(seconds)) == pytest.approx(seconds)
    assert delay_of("1.00:00:01") == 86401
    assert delay_of("soon") == 5
