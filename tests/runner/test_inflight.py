"""What is acknowledged, and when: against every order of connections, deliveries and results."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from manifestgen.runner.handler import Receipt
from manifestgen.runner.inflight import Delivery, Inflight
from manifestgen.runner.message import Message


class Desk:
    """An `Inflight` with a connection that can be lost."""

    def __init__(self) -> None:
        self.generation = 1
        self.acked: list[Receipt] = []
        self.inflight = Inflight(self.ack)
        self.inflight.connected(1)

    def ack(self, receipt: Receipt) -> bool:
        if receipt.generation != self.generation:
            return False
        self.acked.append(receipt)
        return True

    def reconnect(self) -> None:
        self.inflight.disconnected()
        self.generation += 1
        self.inflight.connected(self.generation)

    def take(self, body: bytes, mid: int, message_id: str | None = "m") -> Delivery | None:
        properties = {"$.mid": message_id} if message_id else {}
        receipt = Receipt(self.generation, mid)
        return self.inflight.take(Message("in", body, properties), (f"in/{message_id}", body), receipt)


def begun(delivery: Delivery | None) -> Delivery:
    assert delivery is not None
    assert delivery.begin()
    return delivery


def test_an_input_is_acknowledged_when_it_is_finished() -> None:
    desk = Desk()
    delivery = begun(desk.take(b"1", 5))
    assert desk.acked == []
    assert desk.inflight.begun == 1
    desk.inflight.finish(delivery)
    assert desk.acked == [Receipt(1, 5)]
    assert len(desk.inflight) == 0


def test_what_was_begun_before_a_reconnect_is_acknowledged_by_the_packet_that_comes_again() -> None:
    desk = Desk()
    delivery = begun(desk.take(b"1", 5))
    desk.reconnect()
    assert desk.take(b"1", 1) is None
    desk.inflight.finish(delivery)
    assert desk.acked == [Receipt(2, 1)]


def test_what_was_finished_without_a_connection_is_acknowledged_as_soon_as_it_comes_again() -> None:
    desk = Desk()
    delivery = begun(desk.take(b"1", 5, None))
    desk.reconnect()
    desk.inflight.finish(delivery)
    assert desk.acked == []
    assert desk.take(b"1", 1, None) is None
    assert desk.acked == [Receipt(2, 1)]
    # The next one that looks the same is another one.
    assert desk.take(b"1", 2, None) is not None


def test_what_was_only_queued_is_dropped_and_scored_when_it_comes_again() -> None:
    desk = Desk()
    delivery = desk.take(b"1", 5)
    assert delivery is not None
    desk.reconnect()
    assert not delivery.begin()
    begun(desk.take(b"1", 1))


def test_a_message_that_is_repeated_within_a_connection_is_the_same_if_it_has_an_id() -> None:
    desk = Desk()
    delivery = begun(desk.take(b"1", 5))
    assert desk.take(b"1", 6) is None
    desk.inflight.finish(delivery)
    assert desk.acked == [Receipt(1, 5), Receipt(1, 6)]


def test_equal_messages_without_ids_are_two() -> None:
    desk = Desk()
    assert desk.take(b"1", 5, None) is not None
    assert desk.take(b"1", 6, None) is not None


def test_what_never_comes_again_is_not_remembered_for_ever() -> None:
    desk = Desk()
    for number in range(200):
        delivery = begun(desk.take(b"%d" % number, number + 1, str(number)))
        desk.reconnect()
        desk.inflight.finish(delivery)
    assert len(desk.inflight) <= 64


class OneAtATime(RuleBasedStateMachine):
    """An edgeHub that sends one message, waits for its acknowledgement, and repeats it after a reconnect."""

    @initialize(ids=st.booleans())
    def start(self, ids: bool) -> None:
        self.desk = Desk()
        self.ids = ids
        self.sent = 0
        self.acknowledged = 0
        self.scored: list[int] = []
        self.queue: list[tuple[int, Delivery]] = []
        self.working: tuple[int, Delivery] | None = None
        self.outstanding: int | None = None
        self.mid = 0

    def _deliver(self) -> None:
        self.mid += 1
        self.outstanding = self.mid
        number = self.sent
        delivery = self.desk.take(b"%d" % (number % 3), self.mid, f"m{number}" if self.ids else None)
        if delivery is not None:
            self.queue.append((number, delivery))
        self._look()

    def _look(self) -> None:
        if self.outstanding is not None and Receipt(self.desk.generation, self.outstanding) in self.desk.acked:
            self.outstanding = None
            self.acknowledged += 1
            self.sent += 1

    @precondition(lambda self: self.outstanding is None)
    @rule()
    def send(self) -> None:
        self._deliver()

    @rule()
    def reconnect(self) -> None:
        self.desk.reconnect()
        if self.outstanding is not None:
            self._deliver()

    @precondition(lambda self: self.working is None and self.queue)
    @rule()
    def begin(self) -> None:
        number, delivery = self.queue.pop(0)
        if delivery.begin():
            self.working = (number, delivery)
            self.scored.append(number)

    @precondition(lambda self: self.working is not None)
    @rule()
    def finish(self) -> None:
        assert self.working is not None
        _, delivery = self.working
        self.working = None
        self.desk.inflight.finish(delivery)
        self._look()

    @invariant()
    def nothing_is_acknowledged_before_it_is_scored(self) -> None:
        if hasattr(self, "desk"):
            assert set(range(self.acknowledged)) <= set(self.scored)

    @invariant()
    def nothing_that_was_begun_is_begun_again(self) -> None:
        if hasattr(self, "desk"):
            assert len(self.scored) == len(set(self.scored))

    @invariant()
    def what_is_outstanding_is_known(self) -> None:
        if hasattr(self, "desk") and self.outstanding is not None:
            assert self.queue or self.working


TestOneAtATime = OneAtATime.TestCase
TestOneAtATime.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
