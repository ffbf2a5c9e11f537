"""MQTT's bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.edge.hub import packet, topics
from manifestgen.edge.hub.packet import Ended, Malformed, Reader

BODIES = st.lists(st.binary(max_size=300), max_size=5)


@given(BODIES, st.lists(st.integers(1, 100), min_size=1, max_size=20))
def test_packets_are_the_same_however_their_bytes_arrive(payloads: list[bytes], sizes: list[int]) -> None:
    data = b"".join(packet.publish("devices/d", payload, 1, 7) for payload in payloads)
    reader, found, at, turn = Reader(), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += [packet.read_publish(flags, body) for _, flags, body in reader.packets(data[at : at + size])]
        at, turn = at + size, turn + 1
    assert [(p.topic, p.payload, p.qos, p.number) for p in found] == [("devices/d", body, 1, 7) for body in payloads]


@given(st.binary(max_size=200))
def test_bytes_are_packets_or_an_end_of_the_connection(data: bytes) -> None:
    readers: dict[int, Callable[[int, bytes], object]] = {
        packet.CONNECT: lambda flags, body: packet.read_connect(body),
        packet.PUBLISH: packet.read_publish,
        packet.PUBACK: lambda flags, body: packet.read_number(body),
        packet.SUBSCRIBE: lambda flags, body: packet.read_subscribe(body),
        packet.UNSUBSCRIBE: lambda flags, body: packet.read_unsubscribe(body),
    }
    with contextlib.suppress(Ended):
        for kind, flags, body in Reader().packets(data):
            if kind in readers:
                readers[kind](flags, body)


def test_a_packet_may_have_262_144_bytes_and_not_one_more() -> None:
    largest = packet.publish("t", b"x" * (packet.LARGEST - 3), 0, 0)
    ((_, _, body),) = Reader().packets(largest)
    assert len(body) == packet.LARGEST
    with pytest.raises(Malformed, match="262,145 bytes or more"):
        list(Reader().packets(packet.publish("t", b"x" * (packet.LARGEST - 2), 0, 0)))


NAMES = st.text(min_size=1, max_size=6)
BAGS = st.dictionaries(NAMES, st.text(max_size=6), max_size=5)


@given(BAGS)
def test_properties_survive_their_way_through_a_topic(bag: dict[str, str]) -> None:
    reserved = ("ack", "iothub-operation")
    bag = {key: value for key, value in bag.items() if key.lower() not in reserved and not key.startswith("$.")}
    if len({name.lower() for name in bag}) < len(bag):
        return
    topic = topics.input_topic("d", "m", "in put", bag, {"messageId": "1", "outputName": "o"})
    name, _, text = topic.removeprefix("devices/d/modules/m/inputs/").partition("/")
    assert name == "in%20put"
    read = topics.read_event(f"events/{text}", "events")
    assert read is not None
    assert read == (bag | {k: v for k, v in bag.items() if k not in read[1]}, {"messageId": "1"})


@pytest.mark.parametrize(
    ("pattern", "topic", "passes"),
    [
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("#", "$iothub/x", True),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a/b", True),
        ("a/b/c", "a/b", False),
        ("a/#/b", "a/x/b", False),
    ],
)
def test_a_filter_passes_topics(pattern: str, topic: str, passes: bool) -> None:
    assert topics.matches(pattern, topic) is passes


@pytest.mark.parametrize(
    "topic", ["$iothub/methods/res/x/?$rid=1", "$iothub/methods/res/200/", "$iothub/methods/res/200/?$rid="]
)
def test_a_malformed_answer_to_a_method_is_none(topic: str) -> None:
    assert topics.read_method_response(topic) is None
