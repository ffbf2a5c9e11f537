"""The messages that devices have sent to the hub: the newest of each, in order of arrival.

kind              key              value
hub:message       DEVICE NUMBER    the message, see `Kept`; the number padded with zeros so that keys sort
hub:message-count DEVICE           how many a device has sent in all
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from manifestgen.edge.message import readable
from manifestgen.sandbox.world import World

#: Messages that are kept of each device.
MOST: Final = 1000
#: Most messages in one response of the admin API.
MOST_AT_ONCE: Final = 1000
_DIGITS: Final = 12


def keep(
    world: World,
    device: str,
    module: str,
    output: str,
    body: bytes,
    properties: Mapping[str, str],
    system: Mapping[str, str],
    enqueued: datetime,
) -> None:
    """Keep a message, and forget the oldest one of its device if there are too many."""
    number = int(world.store.get("hub:message-count", device) or 0) + 1
    message = {
        "number": number,
        "device": device,
        "module": module,
        "output": output,
        "enqueued": enqueued.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "properties": dict(properties),
        "system": dict(system),
        **readable(body),
    }
    with world.store.batch():
        world.store.put("hub:message-count", device, number)
        world.store.put("hub:message", _key(device, number), message)
        world.store.delete("hub:message", _key(device, number - MOST))


def messages(world: World, device: str, *, after: int = 0, limit: int = MOST_AT_ONCE) -> list[dict[str, Any]]:
    """The kept messages of a device that came after this number, oldest first."""
    found = world.store.items("hub:message", prefix=f"{device}\t", after=_key(device, after), limit=limit)
    return [message for _, message in found]


def counts(world: World) -> dict[str, int]:
    """How many messages each device has sent in all."""
    return {device: int(number) for device, number in world.store.items("hub:message-count")}


def forget(world: World, device: str) -> None:
    """Delete the messages of a device."""
    for key, _ in list(world.store.items("hub:message", prefix=f"{device}\t")):
        world.store.delete("hub:message", key)
    world.store.delete("hub:message-count", device)


def _key(device: str, number: int) -> str:
    # No ID of a device has a tab.
    return f"{device}\t{max(0, number):0{_DIGITS}d}"
