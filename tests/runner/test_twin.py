"""The twin, with its clock and edgeHub in the test's hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from manifestgen.runner.topics import TwinPatch, TwinResponse
from manifestgen.runner.twin import Twin


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[str, Any]] = []
        self.changes: list[tuple[dict[str, Any], int]] = []
        self.twin = Twin(
            self._publish, lambda desired, version: self.changes.append((desired, version)), clock=lambda: self.now
        )

    def _publish(self, topic: str, payload: bytes) -> None:
        self.sent.append((topic, json.loads(payload) if payload else None))

    def tick(self, seconds: float = 0) -> None:
        self.now += seconds
        self.twin.tick(self.now)

    @property
    def request(self) -> str:
        return self.sent[-1][0].rpartition("=")[2]

    def answer(self, desired: dict[str, Any], version: int, reported: dict[str, Any] | None = None) -> None:
        twin = {
            "desired": {**desired, "$version": version, "$metadata": {}},
            "reported": {**(reported or {}), "$version": 1},
        }
        self.twin.on_response(TwinResponse(200, self.request, None), json.dumps(twin).encode())

    def patch(self, content: dict[str, Any], version: int | None) -> None:
        self.twin.on_patch(TwinPatch(version), json.dumps(content).encode())


@pytest.fixture
def world() -> World:
    world = World()
    world.twin.connected()
    return world


def test_the_twin_is_asked_for_at_each_connect(world: World) -> None:
    assert world.sent == [("$iothub/twin/GET/?$rid=1", None)]
    world.answer({"a": 1}, 4)
    world.twin.disconnected()
    world.twin.connected()
    assert world.sent[-1] == ("$iothub/twin/GET/?$rid=2", None)
    assert world.changes == [({"a": 1}, 4)]


def test_patches_in_order_are_merged(world: World) -> None:
    world.answer({"a": 1, "o": {"x": 1, "y": 2}}, 4)
    world.patch({"a": None, "o": {"x": None, "z": 3}, "b": 2, "$version": 5}, 5)
    assert world.changes[-1] == ({"o": {"y": 2, "z": 3}, "b": 2}, 5)
    world.patch({"b": 3, "$version": 6}, None)
    assert world.changes[-1] == ({"o": {"y": 2, "z": 3}, "b": 3}, 6)


def test_an_old_patch_is_dropped_and_a_gap_reads_the_twin(world: World) -> None:
    world.answer({"a": 1}, 4)
    world.patch({"a": 0}, 4)
    assert len(world.sent) == 1
    world.patch({"a": 9}, 6)
    assert world.sent[-1] == ("$iothub/twin/GET/?$rid=2", None)
    assert world.changes == [({"a": 1}, 4)]
    world.answer({"a": 9}, 6)
    assert world.changes[-1] == ({"a": 9}, 6)


def test_a_patch_that_overtakes_the_twin_asks_for_it_again(world: World) -> None:
    world.patch({"a": 1}, 5)
    world.twin.on_response(TwinResponse(200, "1", None), b'{"desired": {"$version": 4}}')
    assert world.changes == []
    world.answer({"a": 1}, 5)
    assert world.changes == [({"a": 1}, 5)]


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"desired": 3}'])
def test_an_answer_that_is_not_a_twin_is_asked_for_again_later(world: World, payload: bytes) -> None:
    world.twin.on_response(TwinResponse(200, "1", None), payload)
    world.tick(29)
    assert len(world.sent) == 1
    world.tick(2)
    assert world.sent[-1] == ("$iothub/twin/GET/?$rid=2", None)


def test_a_request_that_is_not_answered_is_repeated(world: World) -> None:
    world.tick(31)
    assert world.sent[-1] == ("$iothub/twin/GET/?$rid=2", None)
    world.twin.on_response(TwinResponse(200, "1", None), b'{"desired": {"late": 1}}')
    assert world.changes == []


def test_only_what_changed_is_reported_and_at_most_every_five_seconds(world: World) -> None:
    world.twin.report({"counts": {"scored": 1, "failed": 0}})
    world.tick()
    assert len(world.sent) == 1
    world.answer({}, 1)
    world.tick()
    topic = "$iothub/twin/PATCH/properties/reported/?$rid=2"
    assert world.sent[-1] == (topic, {"counts": {"scored": 1, "failed": 0}})
    world.twin.on_response(TwinResponse(204, "2", 2), b"")
    settled = [world.twin.settled]
    world.twin.report({"counts": {"scored": 2, "failed": 0}})
    assert [*settled, world.twin.settled] == [True, False]
    world.tick(4)
    assert len(world.sent) == 2
    world.tick(2)
    assert world.sent[-1][1] == {"counts": {"scored": 2}}


def test_what_an_earlier_process_reported_is_cleared_and_what_is_not_ours_stays(world: World) -> None:
    reported = {"threshold": {"value": 1, "ac": 200, "av": 3}, "runner": {"error": "x"}, "theirs": {"a": 1}}
    world.answer({}, 1, reported)
    world.twin.report({"runner": {"version": "1"}})
    world.tick()
    assert world.sent[-1][1] == {"threshold": None, "runner": {"error": None, "version": "1"}}


def test_a_rejected_report_is_tried_again_after_a_minute(world: World) -> None:
    world.answer({}, 1)
    world.twin.report({"a": 1})
    world.tick()
    world.twin.on_response(TwinResponse(400, world.request, None), b"")
    world.tick(59)
    assert len(world.sent) == 2
    world.tick(2)
    assert world.sent[-1][1] == {"a": 1}


def test_a_report_that_is_not_answered_is_repeated(world: World) -> None:
    world.answer({}, 1)
    world.twin.report({"a": 1})
    world.tick()
    world.tick(31)
    assert [content for _, content in world.sent] == [None, {"a": 1}, {"a": 1}]


def test_nothing_is_sent_without_a_connection(world: World) -> None:
    world.answer({}, 1)
    world.twin.disconnected()
    world.twin.report({"a": 1})
    world.tick(100)
    assert len(world.sent) == 1
