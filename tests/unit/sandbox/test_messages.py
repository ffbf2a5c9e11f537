"""What the sandbox's hub keeps of what devices send."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from manifestgen.sandbox.hub import messages
from manifestgen.sandbox.world import World

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=timezone.utc)


def keep(world: World, device: str = "d", body: bytes = b"1", **properties: str) -> None:
    messages.keep(world, device, "m", "o", body, properties, {"messageId": "x"}, NOW)


def test_messages_are_listed_in_order_and_after_a_number(world: World) -> None:
    for number in range(3):
        keep(world, body=b'{"n": %d}' % number, kind="test")
    keep(world, "d2")
    found = messages.messages(world, "d", after=1)
    assert [(message["number"], message["body"]) for message in found] == [(2, {"n": 1}), (3, {"n": 2})]
    assert found[0] | {"body": None} == {
        "number": 2,
        "device": "d",
        "module": "m",
        "output": "o",
        "enqueued": "2026-11-30T08:00:00.000Z",
        "properties": {"kind": "test"},
        "system": {"messageId": "x"},
        "body": None,
    }
    assert messages.counts(world) == {"d": 3, "d2": 1}


def test_only_the_newest_are_kept_and_all_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST", 3)
    for _ in range(10):
        keep(world)
    assert [message["number"] for message in messages.messages(world, "d")] == [8, 9, 10]
    assert messages.counts(world) == {"d": 10}
    messages.forget(world, "d")
    assert messages.messages(world, "d") == []
    assert messages.counts(world) == {}


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"a": [1]}', {"body": {"a": [1]}}),
        (b"NaN", {"text": "NaN"}),
        (b"hot", {"text": "hot"}),
        (b"\xff\x00", {"base64": "/wA="}),
    ],
)
def test_a_body_is_kept_as_what_it_is(world: World, body: bytes, kept: dict[str, Any]) -> None:
    keep(world, body=body)
    (message,) = messages.messages(world, "d")
    assert {key: message[key] for key in kept} == kept
