"""Twins with versions, and direct methods."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from edge.hubs import Hub, wait
from edge.raw import PUBLISH, Module, Packet

from manifestgen.edge.cloud import Twin
from manifestgen.edge.hub import NotConnected, TimedOut

RESPONSES, PATCHES = "$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"


def _ask(module: Module, topic: str, payload: bytes = b"") -> Packet:
    module.publish(topic, payload, qos=0)
    answer = module.receive()
    assert answer.kind == PUBLISH
    return answer


def _with(hub: Hub, *patterns: str) -> Module:
    module = hub.module("a", inputs=False)
    module.subscribe(*patterns, qos=0)
    return module


def test_a_twin_has_both_sections_with_their_versions(hub: Hub) -> None:
    answer = _ask(_with(hub, RESPONSES), "$iothub/twin/GET/?$rid=7")
    assert answer.topic == "$iothub/twin/res/200/?$rid=7"
    twin = {"desired": {"threshold": 1, "$version": 1}, "reported": {"$version": 1}}
    assert json.loads(answer.payload) == twin


def test_a_report_is_merged_and_answered_without_content(hub: Hub) -> None:
    a = _with(hub, RESPONSES)
    report = "$iothub/twin/PATCH/properties/reported/?$rid="
    answer = _ask(a, report + "1", b'{"counts": {"scored": 1}, "model": "m"}')
    assert (answer.topic, answer.payload) == ("$iothub/twin/res/204/?$rid=1", b"")
    _ask(a, report + "2", b'{"counts": {"scored": 2}, "model": null}')
    assert hub.cloud.twin("a").reported == {"counts": {"scored": 2}}
    assert json.loads(_ask(a, "$iothub/twin/GET/?$rid=3").payload)["reported"]["$version"] == 3


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_report_that_is_not_an_object_is_refused(hub: Hub, payload: bytes) -> None:
    a = _with(hub, RESPONSES)
    topic = "$iothub/twin/PATCH/properties/reported/?$rid=1"
    assert _ask(a, topic, payload).topic == "$iothub/twin/res/400/?$rid=1"


def test_a_cloud_that_fails_is_a_status_and_no_end(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> Twin:
        raise OSError("away")

    def refuse(_: str, __: Mapping[str, Any]) -> int:
        raise ValueError("too large")

    monkeypatch.setattr(hub.cloud, "twin", fail)
    monkeypatch.setattr(hub.cloud, "report", refuse)
    a = _with(hub, RESPONSES)
    assert _ask(a, "$iothub/twin/GET/?$rid=1").topic == "$iothub/twin/res/500/?$rid=1"
    report = "$iothub/twin/PATCH/properties/reported/?$rid=2"
    assert _ask(a, report, b"{}").topic == "$iothub/twin/res/400/?$rid=2"


@pytest.mark.parametrize("topic", ["$iothub/twin/get/?$rid=1", "$iothub/twin/GET/", "$iothub/twin/PATCH/properties/x"])
def test_an_unknown_topic_of_twins_ends_the_connection(hub: Hub, topic: str) -> None:
    a = _with(hub, RESPONSES)
    a.publish(topic, wait=False)
    a.gone()


def test_an_answer_that_no_one_subscribes_to_is_not_sent(hub: Hub) -> None:
    a = hub.module("a")
    a.publish("$iothub/twin/GET/?$rid=1", qos=0)
    a.nothing()


def test_desired_properties_are_sent_to_a_module_that_is_there(hub: Hub) -> None:
    a = _with(hub, PATCHES)
    version = hub.cloud.desire("a", {"threshold": None, "labels": ["x"]})
    hub.hub.desired_changed("a", {"threshold": None, "labels": ["x"]}, version)
    patch = a.receive()
    assert patch.topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
    assert json.loads(patch.payload) == {"threshold": None, "labels": ["x"], "$version": 2}


def test_desired_properties_are_not_kept_for_a_module_that_is_away(hub: Hub) -> None:
    hub.hub.desired_changed("a", {"threshold": 3}, 3)
    _with(hub, PATCHES).nothing()


def test_a_change_of_reported_properties_is_a_message_for_routes(hub: Hub) -> None:
    hub.routes("FROM /twinChangeNotifications INTO $upstream", "FROM /messages/modules/b/* INTO $upstream")
    a = _with(hub, RESPONSES)
    _ask(a, "$iothub/twin/PATCH/properties/reported/?$rid=1", b'{"state": "on"}')
    (message,) = hub.upstream(1)
    assert (message.body, message.system["messageType"]) == (b'{"state": "on"}', "twinChangeNotification")
    assert message.system["rpSenderModuleId"] == "a"


class _Answering(threading.Thread):
    """A module that answers one call."""

    def __init__(self, module: Module, status: int, payload: bytes) -> None:
        super().__init__(daemon=True)
        self.module, self.status, self.payload = module, status, payload
        self.called: Packet | None = None
        self.start()

    def run(self) -> None:
        self.called = self.module.receive(10)
        request = self.called.topic.partition("$rid=")[2]
        self.module.publish(f"$iothub/methods/res/{self.status}/?$rid={request}", self.payload, qos=0)


def test_a_method_is_called_and_answered(hub: Hub) -> None:
    module = _Answering(_with(hub, METHODS), 201, b'{"done": true}')
    answer = hub.hub.invoke("a", "start it", {"speed": 3})
    assert (answer.status, answer.payload) == (201, {"done": True})
    assert module.called is not None
    assert module.called.topic.startswith("$iothub/methods/POST/start%20it/?$rid=")
    assert json.loads(module.called.payload) == {"speed": 3}


def test_a_method_of_a_module_that_does_not_listen_is_not_found(hub: Hub) -> None:
    with pytest.raises(NotConnected, match="a does not listen for methods"):
        hub.hub.invoke("a", "ping", None)
    hub.module("a")
    with pytest.raises(NotConnected):
        hub.hub.invoke("a", "ping", None, connect_timeout=0.2)


def test_a_method_waits_for_a_module_that_is_about_to_listen(hub: Hub) -> None:
    def later() -> None:
        time.sleep(0.3)
        _Answering(_with(hub, METHODS), 200, b"")

    threading.Thread(target=later, daemon=True).start()
    assert hub.hub.invoke("a", "ping", None, connect_timeout=10).status == 200


def test_a_method_that_is_not_answered_times_out_and_its_late_answer_is_ignored(hub: Hub) -> None:
    a = _with(hub, METHODS)
    with pytest.raises(TimedOut, match=r"did not answer the method ping within 0\.2 s"):
        hub.hub.invoke("a", "ping", None, response_timeout=0.2)
    request = a.receive().topic.partition("$rid=")[2]
    a.publish(f"$iothub/methods/res/200/?$rid={request}", b"{}")
    wait(lambda: any("no longer waited for" in line for line in hub.said))


def test_another_module_cannot_answer_a_method(hub: Hub) -> None:
    a, b = _with(hub, METHODS), hub.module("b")
    done = threading.Thread(target=lambda: _quietly(hub), daemon=True)
    done.start()
    request = a.receive().topic.partition("$rid=")[2]
    b.publish(f"$iothub/methods/res/200/?$rid={request}", b"{}")
    wait(lambda: any("b answers a method that was not called" in line for line in hub.said))
    done.join(5)


def _quietly(hub: Hub) -> None:
    with pytest.raises(TimedOut):
        hub.hub.invoke("a", "ping", None, response_timeout=1)


def test_a_stop_lets_no_caller_wait(hub: Hub) -> None:
    _with(hub, METHODS)
    ended = threading.Event()

    def call() -> None:
        with pytest.raises((TimedOut, NotConnected)):
            hub.hub.invoke("a", "ping", None, response_timeout=60)
        ended.set()

    threading.Thread(target=call, daemon=True).start()
    time.sleep(0.2)
    hub.hub.stop()
    assert ended.wait(5)


def test_an_answer_that_is_not_json_is_given_as_text(hub: Hub) -> None:
    _Answering(_with(hub, METHODS), 200, b"plain")
    assert hub.hub.invoke("a", "ping", None).payload == "plain"
