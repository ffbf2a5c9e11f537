"""The module on top of a session that the test holds in its hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from manifestgen.runner.edge import EdgeModule, subscriptions
from manifestgen.runner.handler import Receipt
from manifestgen.runner.inflight import Delivery
from manifestgen.runner.jobs import Configure, Job
from manifestgen.runner.message import Outgoing
from manifestgen.runner.metrics import Metrics
from manifestgen.runner.session import Session
from manifestgen.runner.settings import AT_MOST_ONCE, Settings
from manifestgen.runner.topics import ModuleTopics

TOPICS = ModuleTopics("edge-1", "scorer")


class FakeSession:
    """A session whose calls are made at once, and whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.generation = 0
        self.connected = False
        self.acked: list[int] = []
        self.published: list[tuple[str, bytes]] = []
        self.waiting: list[Callable[[], None]] = []
        self.later: list[Callable[[], None]] = []

    def ack(self, receipt: Receipt) -> bool:
        if not self.connected or receipt.generation != self.generation:
            return False
        if receipt.mid:
            self.acked.append(receipt.mid)
        return True

    def publish(self, topic: str, payload: bytes, done: Callable[[], None] | None = None) -> None:
        self.published.append((topic, payload))
        if done is not None:
            self.waiting.append(done)

    def call_soon(self, call: Callable[[], None]) -> None:
        self.make_calls()
        call()

    def call_later(self, call: Callable[[], None]) -> None:
        self.later.append(call)

    def make_calls(self) -> None:
        later, self.later = self.later, []
        for call in later:
            call()


class Device:
    def __init__(self, settings: Settings) -> None:
        self.session, self.settings = FakeSession(), settings
        self.jobs: list[Job] = []
        self.metrics = Metrics()
        self.reports = 0
        self.edge = EdgeModule(
            cast(Session, self.session), TOPICS, settings, self.metrics, submit=self.jobs.append, status=self.status
        )
        self.mid = 0

    def status(self) -> dict[str, object]:
        """Taken whenever something is to be reported."""
        self.reports += 1
        return {}

    def new_reports(self) -> int:
        """Since this was asked last."""
        found, self.reports = self.reports, 0
        return found

    def connect(self, *, twin: bool = True) -> None:
        self.session.connected = True
        self.session.generation += 1
        self.edge.connected()
        if twin:
            self.twin()
            self.edge.configured(self.settings, {})

    def twin(self) -> None:
        request = self.session.published[-1][0].rpartition("=")[2]
        payload = json.dumps({"desired": {"$version": 1}, "reported": {}}).encode()
        self.edge.received(f"$iothub/twin/res/200/?$rid={request}", payload, Receipt(self.session.generation, 0))
        assert isinstance(self.jobs.pop(), Configure)

    def lose(self) -> None:
        self.session.connected = False
        self.edge.disconnected()

    def receive(self, body: bytes) -> int:
        self.mid += 1
        topic = "devices/edge-1/modules/scorer/inputs/amlInput/"
        self.edge.received(topic, body, Receipt(self.session.generation, self.mid))
        return self.mid

    def deliveries(self) -> list[Delivery]:
        self.edge.flushed()
        return [job for job in self.jobs if isinstance(job, Delivery)]


@pytest.fixture
def device() -> Device:
    return Device(Settings())


def test_the_answer_to_a_twin_request_finds_its_subscription() -> None:
    assert subscriptions(TOPICS)[0] == "$iothub/twin/res/#"


def test_inputs_wait_for_the_settings_in_the_twin(device: Device) -> None:
    device.connect(twin=False)
    device.receive(b"1")
    assert device.deliveries() == []
    device.twin()
    assert device.deliveries() == []
    device.edge.configured(Settings(), {})
    assert [delivery.message.body for delivery in device.deliveries()] == [b"1"]


def test_inputs_wait_again_after_a_reconnect(device: Device) -> None:
    device.connect()
    device.lose()
    device.connect(twin=False)
    device.receive(b"1")
    assert device.deliveries() == []


def test_a_twin_that_does_not_come_is_not_waited_for_longer_than_ten_seconds(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.connect(twin=False)
    device.receive(b"1")
    device.edge.tick(time.monotonic() + 9)
    assert device.deliveries() == []
    device.edge.tick(time.monotonic() + 11)
    assert len(device.deliveries()) == 1
    assert "no twin from edgeHub within 10 s" in caplog.text


def test_a_main_thread_that_is_busy_is_not_taken_for_a_missing_twin(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.connect(twin=False)
    device.receive(b"1")
    device.twin()
    device.edge.tick(time.monotonic() + 60)
    assert device.deliveries() == []
    assert caplog.text == ""


def test_the_first_result_and_the_first_failure_are_reported_before_their_time(device: Device) -> None:
    device.connect()
    device.edge.tick(time.monotonic())
    for outcome, reports in (("scored", 1), ("scored", 0), ("failed", 1), ("scored", 0), ("failed", 0)):
        device.receive(b"1")
        device.new_reports()
        device.metrics.count("amlInput", outcome)
        device.edge.finish(device.deliveries()[-1], [])
        assert device.new_reports() == reports


def test_a_scorer_that_does_not_return_is_reported(device: Device) -> None:
    device.connect()
    device.edge.tick(time.monotonic())
    device.new_reports()
    found = []
    for busy_since in (time.time() - 1, time.time() - 6, time.time() - 7, None, None):
        device.metrics.busy_since = busy_since
        device.edge.tick(time.monotonic())
        found.append(device.new_reports())
    assert found == [0, 1, 0, 1, 0]


def test_an_input_is_finished_with_the_last_of_its_results(device: Device) -> None:
    device.connect()
    mid = device.receive(b"1")
    (delivery,) = device.deliveries()
    assert delivery.begin()
    device.edge.finish(delivery, [Outgoing("a", b"1"), Outgoing("b", b"2")])
    first, second = device.session.waiting
    second()
    assert device.session.acked == []
    assert not device.edge.idle()
    first()
    assert device.session.acked == [mid]
    assert device.edge.idle()
    assert (device.metrics.sent, device.metrics.queued) == (2, 0)


def test_results_that_are_acknowledged_after_a_reconnect_finish_the_input_that_came_again(device: Device) -> None:
    device.connect()
    device.receive(b"1")
    (delivery,) = device.deliveries()
    assert delivery.begin()
    device.edge.finish(delivery, [Outgoing("a", b"1")])
    device.lose()
    device.connect()
    again = device.receive(b"1")
    assert len(device.deliveries()) == 1
    device.session.waiting[0]()
    assert device.session.acked == [again]
    assert device.metrics.total("duplicate") == 1


def test_at_most_once_leaves_unacknowledged_what_its_queue_does_not_hold() -> None:
    device = Device(Settings(delivery=AT_MOST_ONCE, queue=2))
    device.connect()
    mids = [device.receive(b"%d" % number) for number in range(4)]
    assert device.session.acked == mids[:2]
    device.edge.finish(device.deliveries()[0], [])
    assert device.session.acked == mids[:3]
    device.edge.finish(device.deliveries()[1], [Outgoing("a", b"1")])
    assert device.session.acked == mids[:3]
    device.session.waiting[0]()
    assert device.session.acked == mids
    assert [delivery.message.body for delivery in device.deliveries()] == [b"0", b"1", b"2", b"3"]


def test_the_main_thread_gets_inputs_when_their_acknowledgements_are_on_their_way() -> None:
    device = Device(Settings(delivery=AT_MOST_ONCE))
    device.connect()
    device.receive(b"1")
    assert device.jobs == []
    device.edge.flushed()
    assert len(device.jobs) == 1


def test_a_result_that_another_input_waits_behind_is_sent_with_the_next_one(device: Device) -> None:
    device.connect()
    device.receive(b"1")
    device.receive(b"2")
    assert device.edge.expecting()
    first, second = device.deliveries()
    device.edge.finish(first, [Outgoing("a", b"1")], more=True)
    assert len(device.session.waiting) == 0
    device.edge.finish(second, [Outgoing("b", b"2")])
    assert [payload for _, payload in device.session.published[-2:]] == [b"1", b"2"]


def test_a_result_does_not_wait_for_a_job_that_is_not_an_input(device: Device) -> None:
    device.connect()
    device.receive(b"1")
    assert not device.edge.expecting()
    (delivery,) = device.deliveries()
    device.edge.finish(delivery, [Outgoing("a", b"1")], more=True)
    assert len(device.session.waiting) == 1


def test_an_input_that_a_filtered_one_makes_room_for_is_handed_over() -> None:
    device = Device(Settings(delivery=AT_MOST_ONCE, queue=1))
    device.connect()
    device.receive(b"1")
    device.receive(b"2")
    device.edge.finish(device.deliveries()[0], [])
    assert [delivery.message.body for delivery in device.deliveries()] == [b"1", b"2"]


def test_at_most_once_forgets_what_was_not_acknowledged_when_the_connection_is_lost() -> None:
    device = Device(Settings(delivery=AT_MOST_ONCE, queue=1))
    device.connect()
    device.receive(b"0")
    device.receive(b"1")
    device.lose()
    device.connect()
    device.receive(b"1")
    device.edge.finish(device.deliveries()[0], [])
    device.edge.finish(device.deliveries()[1], [])
    assert [delivery.message.body for delivery in device.deliveries()] == [b"0", b"1"]


def test_what_is_skipped_comes_again_and_blocks_nothing(device: Device) -> None:
    device.connect()
    device.receive(b"1")
    (delivery,) = device.deliveries()
    assert delivery.begin()
    device.edge.skip(delivery)
    assert device.edge.idle()
    assert device.session.acked == []


@pytest.mark.parametrize("topic", ["devices/other/x", "$iothub/unknown", "$iothub/twin/res/x"])
def test_a_message_that_no_one_knows_is_acknowledged_and_dropped(device: Device, topic: str) -> None:
    device.connect()
    device.edge.received(topic, b"", Receipt(1, 7))
    assert device.session.acked == [7]
    assert device.deliveries() == device.jobs == []


def call(device: Device, name: str, payload: bytes = b"null") -> tuple[str, Any]:
    device.edge.received(f"$iothub/methods/POST/{name}/?$rid=r1", payload, Receipt(1, 0))
    topic, answer = device.session.published[-1]
    return topic, json.loads(answer)


def test_a_method_is_answered_on_its_own_topic(device: Device) -> None:
    device.connect()
    assert call(device, "PING") == ("$iothub/methods/res/200/?$rid=r1", {})
    assert call(device, "status") == ("$iothub/methods/res/200/?$rid=r1", {})
    assert call(device, "score", b"{")[0] == "$iothub/methods/res/400/?$rid=r1"
