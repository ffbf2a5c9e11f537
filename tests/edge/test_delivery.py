"""How edgeHub delivers: one message at a time, again without an acknowledgement, in time or not at all."""

from __future__ import annotations

import contextlib
import json
import resource
import time
from dataclasses import replace

import pytest
from edge.hubs import QUICK, Hub, running, wait
from edge.raw import Gone, Module, Packet

from manifestgen.edge.hub import Limits
from manifestgen.edge.hub.router import read
from manifestgen.errors import InputError

TO_A = 'FROM /messages/modules/feeder/* INTO BrokeredEndpoint("/modules/a/inputs/in")'
UP = "FROM /messages/* INTO $upstream"


def _to(module: str, name: str, source: str = "feeder") -> str:
    return f'FROM /messages/modules/{source}/outputs/{name} INTO BrokeredEndpoint("/modules/{module}/inputs/{name}")'


def test_a_message_goes_from_a_module_to_another_and_to_the_cloud(hub: Hub) -> None:
    hub.routes('FROM /messages/modules/a/outputs/out INTO BrokeredEndpoint("/modules/b/inputs/in")', UP)
    a, b = hub.module("a"), hub.module("b")
    sent = {
        "$.mid": "m 1",
        "$.cid": "c",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "site": "Köln / 3",
        "odd&=": "x+y",
    }
    a.event(b'{"t": 1}', properties=sent)
    received = b.receive()
    assert (received.qos, received.duplicate, received.payload) == (1, False, b'{"t": 1}')
    topic, _, properties = received.topic.rpartition("/")
    assert topic == "devices/edge-1/modules/b/inputs/in"
    assert sorted(properties.split("&")) == sorted(
        [
            "site=K%C3%B6ln%20%2F%203",
            "odd%26%3D=x%2By",
            "%24.mid=m%201",
            "%24.cid=c",
            "%24.ct=application%2Fjson",
            "%24.ce=utf-8",
            "%24.cdid=edge-1",
            "%24.cmid=a",
        ]
    )
    (message,) = hub.upstream(1)
    assert (message.body, message.module, message.output) == (b'{"t": 1}', "a", "out")
    assert message.properties == {"site": "Köln / 3", "odd&=": "x+y"}
    assert (message.system["messageId"], message.system["cid"]) == ("m 1", "c")


def test_the_next_message_comes_after_the_last_is_acknowledged(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a")
    for number in range(3):
        hub.feed(b"%d" % number)
    for number in range(3):
        received = a.receive()
        assert received.payload == b"%d" % number
        a.nothing(0.1)
        a.acknowledge(received)
    wait(lambda: not hub.hub.waiting())


def test_a_message_that_is_not_acknowledged_comes_again_as_a_new_packet(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a")
    hub.feed(b"1")
    first, second = a.receive(), a.receive(3)
    assert first.payload == second.payload == b"1"
    assert first.number != second.number
    assert not second.duplicate
    # The late acknowledgement is for a packet that edgeHub has given up; the next one counts.
    a.acknowledge(first)
    a.acknowledge(second)
    wait(lambda: not hub.hub.waiting())
    hub.feed(b"2")
    assert a.receive().payload == b"2"


def test_edge_hub_waits_thirty_seconds_for_an_acknowledgement() -> None:
    assert Limits().acknowledge == 30


def test_acknowledgements_count_in_the_order_of_the_messages_only() -> None:
    with running(Limits()) as hub:
        hub.routes(TO_A)
        a = hub.module("a")
        a.subscribe("$iothub/twin/res/#")
        hub.feed(b"1")
        message = a.receive()
        a.publish("$iothub/twin/GET/?$rid=1", wait=False)
        answers = [a.receive(), a.receive()]
        twin = next(packet for packet in answers if packet.kind == 3)
        a.acknowledge(twin)  # out of turn: ignored
        a.acknowledge(message)
        hub.feed(b"2")
        second = a.receive()
        a.acknowledge(second)
        time.sleep(0.2)
        assert hub.hub.waiting() == {"/modules/a/inputs/in": 1}
        assert any("is ignored" in line for line in hub.said)


def test_messages_wait_for_a_module_that_is_away(hub: Hub) -> None:
    hub.routes(TO_A)
    for number in range(5):
        hub.feed(b"%d" % number)
    assert hub.hub.waiting() == {"/modules/a/inputs/in": 5}
    a = hub.module("a")
    assert _take(a, 5) == [b"0", b"1", b"2", b"3", b"4"]


def _take(module: Module, count: int) -> list[bytes]:
    found = []
    for _ in range(count):
        received = module.receive()
        found.append(received.payload)
        module.acknowledge(received)
    return found


def test_messages_wait_for_a_module_that_has_not_subscribed(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a", inputs=False)
    hub.feed(b"1")
    a.nothing()
    a.subscribe()
    assert a.receive().payload == b"1"


def test_a_message_in_work_comes_again_after_the_connection_is_lost(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a")
    hub.feed(b"1")
    hub.feed(b"2")
    assert a.receive().payload == b"1"
    a.close()
    again = hub.module("a", inputs=False)
    assert _take(again, 2) == [b"1", b"2"]


def test_what_waits_is_kept_while_the_hub_is_stopped(hub: Hub) -> None:
    hub.routes(TO_A)
    hub.module("a")
    hub.hub.stop()
    hub.feed(b"1")
    hub.hub.start()
    a = hub.open("a")
    assert a.login().body == b"\1\0"
    assert a.receive().payload == b"1"


def test_a_subscription_with_qos_0_gets_messages_without_waiting_for_anything(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a", inputs=False)
    assert a.subscribe("devices/edge-1/modules/a/#", qos=0) == [0]
    for number in range(3):
        hub.feed(b"%d" % number)
    received = [a.receive() for _ in range(3)]
    assert [(packet.payload, packet.qos) for packet in received] == [(b"0", 0), (b"1", 0), (b"2", 0)]
    assert not hub.hub.waiting()


def test_a_filter_that_edge_hub_does_not_know_is_granted_and_does_nothing(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a", inputs=False)
    assert a.subscribe("devices/edge-1/modules/a/inputs/in", "#", "inputs/+", qos=2) == [1, 1, 1]
    hub.feed(b"1")
    a.nothing()
    assert any("inputs/in is ignored" in line for line in hub.said)


def test_a_message_for_an_input_outside_the_subscription_is_dropped(hub: Hub) -> None:
    hub.routes(_to("a", "one"), _to("a", "two"))
    a = hub.module("a", inputs=False)
    a.subscribe("devices/edge-1/modules/a/inputs/two/#")
    hub.feed(b"1", "one")
    hub.feed(b"2", "two")
    assert _take(a, 1) == [b"2"]
    wait(lambda: not hub.hub.waiting())
    assert any("does not subscribe to the input one" in line for line in hub.said)


def test_unsubscribe_ends_delivery(hub: Hub) -> None:
    hub.routes(TO_A)
    a = hub.module("a")
    topic = b"devices/edge-1/modules/a/inputs/#"
    a.send(b"\xa2" + bytes((4 + len(topic),)) + b"\0\x09\0" + bytes((len(topic),)) + topic)
    assert a.receive() == Packet(0xB0, b"\0\x09")
    hub.feed(b"1")
    a.nothing()


def test_inputs_of_a_module_take_turns(hub: Hub) -> None:
    hub.routes(_to("a", "one"), _to("a", "two"))
    for number in range(3):
        hub.feed(b"1%d" % number, "one")
    hub.feed(b"20", "two")
    assert _take(hub.module("a"), 4) in ([b"10", b"20", b"11", b"12"], [b"20", b"10", b"11", b"12"])


def test_a_route_with_a_better_priority_goes_first_and_one_sink_gets_a_message_once(hub: Hub) -> None:
    into = 'INTO BrokeredEndpoint("/modules/a/inputs/in")'
    hub.routes(
        f"FROM /messages/* {into}",
        high={"route": f"FROM /messages/* WHERE urgent = 'yes' {into}", "priority": 0, "timeToLiveSecs": 0},
    )
    for number in range(3):
        hub.feed(b"%d" % number)
    hub.feed(b"now", urgent="yes")
    assert hub.hub.waiting() == {"/modules/a/inputs/in": 4}
    assert _take(hub.module("a"), 4) == [b"now", b"0", b"1", b"2"]


def test_a_message_is_gone_after_its_time_to_live_though_the_clock_is_set_back() -> None:
    now = [time.time()]
    with running(clock=lambda: now[0]) as hub:
        hub.routes(
            'FROM /messages/* INTO BrokeredEndpoint("/modules/b/inputs/in")', r={"route": TO_A, "timeToLiveSecs": 1}
        )
        hub.feed(b"1")
        now[0] -= 86400
        assert hub.hub.waiting() == {"/modules/a/inputs/in": 1, "/modules/b/inputs/in": 1}
        wait(lambda: hub.hub.waiting() == {"/modules/b/inputs/in": 1}, 5)
        hub.module("a").nothing()
        now[0] += 10 * 86400
        assert hub.hub.waiting() == {"/modules/b/inputs/in": 1}


def test_a_clock_that_is_set_back_does_not_keep_a_message_from_coming_again() -> None:
    now = [time.time()]
    with running(clock=lambda: now[0]) as hub:
        hub.routes(TO_A)
        a = hub.module("a")
        hub.feed(b"1")
        a.receive()
        now[0] -= 86400
        assert a.receive(3).payload == b"1"


@pytest.mark.parametrize(("seconds", "waits"), [(0, 0), (-1, 1)])
def test_zero_seconds_to_live_are_over_at_once_and_less_is_for_ever(hub: Hub, seconds: int, waits: int) -> None:
    hub.routes(TO_A, seconds=seconds)
    hub.feed(b"1")
    assert sum(hub.hub.waiting().values()) == waits


def test_routes_may_change_while_messages_wait(hub: Hub) -> None:
    hub.routes(TO_A)
    hub.feed(b"1")
    hub.routes(UP)
    hub.feed(b"2")
    assert hub.upstream(1)[0].body == b"2"
    assert _take(hub.module("a"), 1) == [b"1"]


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("FROM /messages/* INTO nowhere", "unexpected 'nowhere'"),
        ("FROM /messages/* WHERE temp > 3 INTO $upstream", "'>' does not take a string and a number"),
        ({"route": UP, "priority": 10}, "priority 10"),
        ({"priority": 1}, "the route has no text"),
    ],
)
def test_a_route_that_cannot_be_carried_out_leaves_the_previous_ones(hub: Hub, route: object, words: str) -> None:
    hub.routes(UP)
    with pytest.raises(InputError, match=words):
        hub.hub.configure({"routes": {"good": TO_A, "bad": route}})
    hub.feed(b"1")
    assert hub.upstream(1)[0].body == b"1"


def test_a_message_without_a_route_is_acknowledged_and_gone(hub: Hub) -> None:
    a = hub.module("a")
    a.event(b"1")
    assert not hub.hub.waiting()


def test_a_topic_for_no_message_and_a_property_twice_are_logged_and_dropped(hub: Hub) -> None:
    hub.routes(UP)
    a = hub.module("a")
    for topic in ("devices/edge-1/modules/b/messages/events/", "somewhere", "$iothub/other/"):
        a.publish(topic, b"1")
    a.publish("devices/edge-1/modules/a/messages/events/x=1&X=2", b"1")
    a.event(b"good")
    assert [message.body for message in hub.upstream(1)] == [b"good"]
    assert sum("is dropped" in line for line in hub.said) == 4


def test_a_quarter_of_a_megabyte_passes_and_more_ends_the_connection(hub: Hub) -> None:
    hub.routes('FROM /messages/* INTO BrokeredEndpoint("/modules/b/inputs/in")')
    a, b = hub.module("a"), hub.module("b")
    a.event(b"x" * 250_000)
    assert len(b.receive().payload) == 250_000
    with contextlib.suppress(OSError):  # the hub may close before all of it is written
        a.event(b"x" * 262_144, wait=False)
    a.gone()
    assert any("above the limit of 262,144" in line for line in hub.said)


def test_a_message_that_is_too_large_with_its_properties_is_dropped(hub: Hub) -> None:
    hub.routes(UP)
    a = hub.module("a")
    a.event(b"x" * 262_020)
    a.event(b"small")
    assert [message.body for message in hub.upstream(1)] == [b"small"]
    assert any("bytes with its properties" in line for line in hub.said)


def test_qos_2_ends_the_connection(hub: Hub) -> None:
    a = hub.module("a")
    a.publish("devices/edge-1/modules/a/messages/events/", b"1", qos=2, wait=False)
    a.gone()


def test_a_module_that_does_not_read_does_not_disturb_the_others() -> None:
    with running(replace(QUICK, acknowledge=30.0)) as hub:
        hub.routes(
            'FROM /messages/modules/a/outputs/big INTO BrokeredEndpoint("/modules/b/inputs/in")',
            'FROM /messages/modules/a/outputs/small INTO BrokeredEndpoint("/modules/c/inputs/in")',
        )
        a, b, c = hub.module("a"), hub.module("b", inputs=False), hub.module("c")
        b.subscribe("devices/edge-1/modules/b/#", qos=0)  # as fast as it can, and it does not read
        for _ in range(100):
            a.event(b"x" * 200_000, "big")
        a.event(b"1", "small")
        assert _take(c, 1) == [b"1"]
        assert hub.hub.waiting()["/modules/b/inputs/in"] > 20
        assert len([b.receive() for _ in range(100)]) == 100


def test_ten_thousand_waiting_messages_are_cheap() -> None:
    with running(Limits()) as hub:
        hub.routes(TO_A)
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        body = json.dumps({"machine": {"temperature": 21.5, "pressure": 1.0}}).encode()
        for _ in range(10_000):
            hub.feed(body)
        assert hub.hub.waiting() == {"/modules/a/inputs/in": 10_000}
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert (after.ru_maxrss - before.ru_maxrss) / 1024 < 60
        assert time.monotonic() - started < 30
        a = hub.module("a")
        started = time.monotonic()
        assert len(_take(a, 1000)) == 1000
        assert time.monotonic() - started < 10


def test_a_full_store_rejects_messages_until_there_is_room() -> None:
    with running(replace(QUICK, store=1_000_000)) as hub:
        hub.routes('FROM /messages/* INTO BrokeredEndpoint("/modules/b/inputs/in")')
        a = hub.module("a")
        with pytest.raises((Gone, OSError)):
            for _ in range(20):
                a.event(b"x" * 100_000)
        assert 9 < hub.hub.waiting()["/modules/b/inputs/in"] < 12
        assert any("the store is full" in line for line in hub.said)
        hub.feed(b"dropped")
        waiting = hub.hub.waiting()["/modules/b/inputs/in"]
        _take(hub.module("b"), waiting)
        hub.module("a").event(b"room")


def test_the_manifest_s_own_limit_of_the_store_counts(hub: Hub) -> None:
    hub.hub.configure(
        {"routes": {"r": TO_A}, "storeAndForwardConfiguration": {"storeLimits": {"maxSizeBytes": 100_000}}}
    )
    for _ in range(10):
        hub.feed(b"x" * 50_000)
    assert hub.hub.waiting() == {"/modules/a/inputs/in": 2}


def test_a_loop_of_routes_is_named_and_fills_no_memory() -> None:
    with running(replace(QUICK, store=300_000)) as hub:
        hub.routes(
            'FROM /messages/modules/a/* INTO BrokeredEndpoint("/modules/b/inputs/in")',
            'FROM /messages/modules/b/outputs/* INTO BrokeredEndpoint("/modules/a/inputs/in")',
            UP,
        )
        assert hub.said == ["routes form a loop, which gets at most 100 messages a second: a -> b -> a"]
        a, b = hub.module("a"), hub.module("b")
        a.event(b"x" * 1000)
        for _ in range(200):  # each makes two of one, which doubles what is under way with each round
            for module in (b, a):
                try:
                    received = module.receive(2)
                    while received.kind != 3:
                        received = module.receive(2)
                    module.event(received.payload, wait=False)
                    module.event(received.payload, wait=False)
                    module.acknowledge(received)
                except (Gone, OSError):
                    assert any("the store is full" in line for line in hub.said)
                    return
        raise AssertionError("nothing stopped the loop")


def test_a_loop_that_neither_grows_nor_ends_is_slowed_down(hub: Hub) -> None:
    hub.routes('FROM /messages/* INTO BrokeredEndpoint("/modules/a/inputs/in")')
    a = hub.module("a")
    a.event(b"round and round", wait=False)
    rounds, started = 0, time.monotonic()
    while time.monotonic() - started < 1:
        received = a.receive()
        if received.kind == 3:
            rounds += 1
            a.event(received.payload, wait=False)
            a.acknowledge(received)
    assert 20 < rounds < 110
    hub.routes("FROM /messages/* INTO $upstream")
    started = time.monotonic()
    for _ in range(200):
        a.event(b"1", wait=False)
    wait(lambda: len(hub.cloud.messages) >= 200)


@pytest.mark.parametrize(
    ("routes", "loops"),
    [
        (["FROM /messages/modules/a/* INTO {b}", "FROM /messages/modules/b/* INTO $upstream"], []),
        (["FROM /messages/modules/a/outputs/x INTO {a}"], [("a",)]),
        (["FROM /* INTO {a}"], [("a",)]),
        (["FROM /messages/modules/* INTO {b}", "FROM /messages/modules/B/outputs/o INTO {a}"], [("a", "b")]),
        (["FROM /messages/modules/ab/* INTO {a}", "FROM /messages/modules/a/* INTO {b}"], []),
    ],
)
def test_loops_are_found_in_routes(routes: list[str], loops: list[tuple[str, ...]]) -> None:
    into = {name: f'BrokeredEndpoint("/modules/{name}/inputs/in")' for name in ("a", "b")}
    router = read({"routes": {f"r{n}": text.format(**into) for n, text in enumerate(routes)}})
    assert [tuple(sorted(loop)) for loop in router.loops] == loops
