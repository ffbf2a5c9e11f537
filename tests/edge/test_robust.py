"""Clients that break the protocol, break off, or do not come to the point: nothing of it disturbs the others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from random import Random

import pytest
from edge.hubs import Hub, wait
from edge.raw import Module, connect, packet, text, token, user_name

MALFORMED = {
    "a reserved packet type": bytes((0xF0, 0)),
    "flags that are not allowed": bytes((0xC1, 0)),
    "a packet for servers": bytes((0xD0, 0)),
    "a length of five bytes": bytes((0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01)),
    "a publish without a topic": packet(0x32, b"\0\0\0\1x"),
    "a topic with a wildcard": packet(0x32, text("a/#") + b"\0\1x"),
    "a topic that is not UTF-8": packet(0x32, text(b"\xff\xfe") + b"\0\1"),
    "a topic with U+0000": packet(0x32, text("a\0b") + b"\0\1"),
    "a topic that is longer than its packet": packet(0x32, b"\xff\xffabc"),
    "QoS 3": packet(0x36, text("a") + b"\0\1"),
    "packet ID 0": packet(0x32, text("a") + b"\0\0"),
    "a subscribe without a filter": packet(0x82, b"\0\1"),
    "a subscribe to an empty filter": packet(0x82, b"\0\1" + text("") + b"\1"),
    "a subscribe with QoS 3": packet(0x82, b"\0\1" + text("a") + b"\3"),
    "an unsubscribe without a filter": packet(0xA2, b"\0\1"),
    "an acknowledgement that is too long": packet(0x40, b"\0\1\0"),
    "a second connect": connect("edge-1/a", "u", "p"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_module_is_disconnected_after(hub: Hub, name: str) -> None:
    module = hub.module("a")
    module.send(MALFORMED[name])
    module.gone()
    wait(lambda: not hub.hub.connected())
    hub.module("b").event(b"the hub still works")


FIRST = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a publish": packet(0x30, text("a")),
    "an empty connect": packet(0x10),
    "another protocol": packet(0x10, text("MQIsdp") + bytes((3, 2, 0, 60)) + text("x")),
    "a password without a user": packet(0x10, text("MQTT") + bytes((4, 0x40, 0, 60)) + text("x") + text("p")),
    "a reserved flag": packet(0x10, text("MQTT") + bytes((4, 1, 0, 60)) + text("x")),
    "a connect with something behind": packet(0x10, text("MQTT") + bytes((4, 2, 0, 60)) + text("x") + b"more"),
    "a password that is not UTF-8": packet(
        0x10, text("MQTT") + bytes((4, 0xC2, 0, 60)) + text("x") + text("u") + text(b"\xff")
    ),
}


@pytest.mark.parametrize("name", FIRST)
def test_a_client_is_disconnected_that_begins_with(hub: Hub, name: str) -> None:
    client = hub.open("a")
    client.send(FIRST[name])
    client.gone()


def test_a_connect_with_a_will_is_accepted(hub: Hub) -> None:
    module = hub.open("a")
    head = text("MQTT") + bytes((4, 0xC6, 0, 60)) + text("edge-1/a") + text("devices/edge-1/x") + text("gone")
    module.send(packet(0x10, head + text(user_name(hub.identity, "a")) + text(token(hub.identity, "a"))))
    assert module.receive().body[1] == 0


def test_random_bytes_never_stop_the_hub(hub: Hub) -> None:
    random = Random(7)  # noqa: S311 no secret depends on it
    hub.routes("FROM /messages/* INTO $upstream")
    witness = hub.module("b")
    for attempt in range(60):
        module = hub.open("a")
        if attempt % 2:
            module.login()
        data = bytes((random.choice([0x10, 0x32, 0x40, 0x82, 0xA2, random.randrange(256)]),))
        data += bytes((random.randrange(1, 60),)) + random.randbytes(random.randrange(1, 200))
        with contextlib.suppress(OSError):
            module.send(data)
        module.close()
    witness.event(b"1")
    assert hub.upstream(1)[0].body == b"1"
    assert not [line for line in hub.said if "unexpected" in line]


def test_packets_may_come_in_any_pieces(hub: Hub) -> None:
    hub.routes("FROM /messages/* INTO $upstream")
    module = hub.module("a")
    topic = text("devices/edge-1/modules/a/messages/events/%24.on=out")
    data = packet(0x32, topic + b"\0\7" + b"x" * 300) + packet(0xC0)
    for byte in data[:40]:
        module.send(bytes((byte,)))
    module.send(data[40:])
    assert [module.receive().kind, module.receive().kind] == [4, 13]
    assert hub.upstream(1)[0].body == b"x" * 300


def test_a_client_that_never_ends_its_handshake_keeps_no_one_out_and_no_hub_from_stopping(hub: Hub) -> None:
    half = [socket.create_connection(("127.0.0.1", hub.hub.port)) for _ in range(20)]
    hub.module("a").event(b"1")
    started = time.monotonic()
    hub.hub.stop()
    assert time.monotonic() - started < 5
    for sock in half:
        sock.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
        sock.close()


def test_a_client_that_takes_too_long_with_its_handshake_is_disconnected(hub: Hub) -> None:
    with socket.create_connection(("127.0.0.1", hub.hub.port)) as sock:
        sock.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""


def test_a_client_without_tls_is_disconnected(hub: Hub) -> None:
    with socket.create_connection(("127.0.0.1", hub.hub.port)) as sock:
        sock.settimeout(10)
        sock.sendall(connect("edge-1/a", "u", "p"))
        with contextlib.suppress(ConnectionError):
            while sock.recv(100):
                pass
    assert not [line for line in hub.said if "unexpected" in line]


def test_a_module_that_is_cut_off_without_a_word_may_come_back_at_once(hub: Hub) -> None:
    hub.routes('FROM /messages/* INTO BrokeredEndpoint("/modules/a/inputs/in")')
    first = hub.module("a")
    hub.feed(b"1")
    first.receive()
    # The hub believes that the first one is still there, as after a lost network.
    second = Module(hub.identity, hub.hub.port, "a")
    second.login()
    assert second.receive().payload == b"1"
    second.close()


def test_a_hub_that_is_not_started_answers_in_a_thread_with_a_loop() -> None:
    hub = Hub()

    async def ask() -> tuple[object, object]:
        return hub.hub.connected(), hub.hub.waiting()

    assert asyncio.run(ask()) == (frozenset(), {})
