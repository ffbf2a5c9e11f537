"""The way to the cloud: in order, never lost, and a cloud that is slow or away stops nobody."""

from __future__ import annotations

import threading
import time

import pytest
from edge.hubs import Hub, wait

from manifestgen.edge.cloud import LocalCloud
from manifestgen.edge.message import Message

UP = "FROM /messages/* INTO $upstream"


def test_messages_wait_for_a_cloud_that_is_away_and_come_in_order(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []
    away = True

    def received(message: Message) -> None:
        if away or (message.body == b"7" and len(attempts) < 3):
            attempts.append(message.body)
            raise OSError("no network")
        taken.append(message.body)

    attempts: list[bytes] = []
    monkeypatch.setattr(hub.cloud, "received", received)
    hub.routes(UP)
    for number in range(100):
        hub.feed(b"%d" % number)
    wait(lambda: attempts)
    assert hub.hub.waiting() == {"upstream": 100}
    away = False
    wait(lambda: len(taken) == 100)
    assert taken == [b"%d" % number for number in range(100)]
    wait(lambda: not hub.hub.waiting())
    assert any("the hub did not take a message, the next attempt is in 0.05 s: no network" in line for line in hub.said)


def test_a_better_priority_overtakes_on_the_way_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []
    release = threading.Event()

    def received(message: Message) -> None:
        release.wait(10)
        taken.append(message.body)

    monkeypatch.setattr(hub.cloud, "received", received)
    hub.routes(UP, urgent={"route": "FROM /messages/* WHERE urgent = '1' INTO $upstream", "priority": 0})
    hub.feed(b"first")
    wait(lambda: hub.hub.waiting() == {"upstream": 1})
    hub.feed(b"second")
    hub.feed(b"now", urgent="1")
    release.set()
    wait(lambda: len(taken) == 3)
    assert taken == [b"first", b"now", b"second"]


def test_a_slow_cloud_does_not_slow_modules(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(hub.cloud, "received", lambda _: release.wait(20))
    hub.routes(UP, 'FROM /messages/modules/a/* INTO BrokeredEndpoint("/modules/b/inputs/in")')
    a, b = hub.module("a"), hub.module("b")
    started = time.monotonic()
    for number in range(5):
        a.event(b"%d" % number)
        received = b.receive()
        b.acknowledge(received)
    assert time.monotonic() - started < 3
    release.set()
    wait(lambda: not hub.hub.waiting())


def test_what_the_cloud_was_being_told_at_a_stop_is_not_lost(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    def received(message: Message) -> None:
        time.sleep(0.02)
        taken.append(message.body)

    monkeypatch.setattr(hub.cloud, "received", received)
    hub.routes(UP)
    for number in range(20):
        hub.feed(b"%d" % number)
    hub.hub.stop()
    hub.hub.start()
    wait(lambda: len(taken) >= 20)
    assert sorted(set(taken), key=int) == [b"%d" % number for number in range(20)]
    wait(lambda: not hub.hub.waiting())


def test_the_hub_may_be_asked_by_the_cloud_s_thread(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(hub.cloud, "received", lambda _: seen.append(hub.hub.connected()))
    hub.routes(UP)
    hub.feed(b"1")
    wait(lambda: seen)
    assert seen == [frozenset()]


def test_a_cloud_in_memory_keeps_the_newest_messages_and_twins() -> None:
    heard: list[bytes] = []
    cloud = LocalCloud({"a": {"x": {"y": 1}}}, kept=2, heard=lambda message: heard.append(message.body))
    for body in (b"1", b"2", b"3"):
        cloud.received(Message(body))
    assert [message.body for message in cloud.messages] == [b"2", b"3"]
    assert heard == [b"1", b"2", b"3"]
    assert cloud.desire("a", {"x": {"z": 2}}) == 2
    assert (cloud.twin("a").desired, cloud.twin("a").desired_version) == ({"x": {"y": 1, "z": 2}}, 2)
    assert cloud.report("new", {"n": None, "m": 1}) == 2
    assert cloud.twin("new").reported == {"m": 1}


def test_a_patch_replaces_what_is_not_an_object() -> None:
    cloud = LocalCloud({"m": {"a": 1, "b": {"c": 1}}})
    cloud.desire("m", {"a": {"x": None, "y": 2}, "b": 3})
    assert cloud.twin("m").desired == {"a": {"y": 2}, "b": 3}
