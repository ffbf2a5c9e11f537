"""Many edge devices as one document: a series. Each of its devices is computed when a request needs it.

    kind        key     value
    hub:series  NUMBER  {"id", "first", "count", "tags", "created", "seed"}

A device of a series looks as if a client had registered it. Once anything about it changes, it gets its own rows.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from manifestgen.sandbox.hub.documents import AGENT, EDGE_HUB, check_id, new_identity
from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.hub.twins import Json, check_section, new_twin, timestamp
from manifestgen.sandbox.world import World

_KIND: Final = "hub:series"
_PATTERN: Final = re.compile(r"([^{}]*)\{number\}([^{}]*)")
_MOST: Final = 1_000_000


class Series:
    """Devices with numbered IDs. All numbers have the same number of digits, so IDs sort by number.

    Args:
        document: the series' document in the store.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        match = _PATTERN.fullmatch(document["id"])
        if match is None:
            raise ValueError(f"id must contain {{number}} once, not {document['id']!r}")
        self._prefix, self._suffix = match.groups()
        self.first: int = document["first"]
        self.count: int = document["count"]
        self._digits = len(str(self.first + self.count - 1))
        self._tags: Any = document["tags"]
        self._created: str = document["created"]
        self._seed = bytes.fromhex(document["seed"])
        self._identity = new_identity(self._created, {}, edge=True)
        self._module_identity = {**new_identity(self._created, {}), "managedBy": "iotEdge"}

    def device_id(self, number: int) -> str:
        """The ID of the device with this number."""
        return f"{self._prefix}{number:0{self._digits}}{self._suffix}"

    def number(self, device_id: str) -> int | None:
        """A device's number; None if the device is not in this series."""
        end = len(device_id) - len(self._suffix)
        digits = device_id[len(self._prefix) : end]
        if len(digits) != self._digits or not digits.isdecimal() or not digits.isascii():
            return None
        number = int(digits)
        inside = self.first <= number < self.first + self.count
        return number if inside and self.device_id(number) == device_id else None

    def ids(self, after: str = "") -> Iterator[str]:
        """The IDs after this one, in order."""
        low, high = self.first, self.first + self.count
        while low < high:
            middle = (low + high) // 2
            if self.device_id(middle) > after:
                high = middle
            else:
                low = middle + 1
        return (self.device_id(number) for number in range(low, self.first + self.count))

    def device(self, number: int) -> Json:
        """The document of a device that has not changed yet."""
        made = hashlib.blake2b(b"%d" % number, key=self._seed).digest()
        generation = int.from_bytes(made[:9], "big")
        keys = {"primaryKey": _key(made[:32]), "secondaryKey": _key(made[32:])}
        identity = {
            **self._identity,
            "generationId": f"{generation:018x}",
            "authentication": {"type": "sas", "symmetricKey": keys},
            "scope": f"ms-azure-iot-edge://{self.device_id(number)}-{generation % 10**18:018d}",
            "parents": [],
        }
        twin = {**new_twin(self._created), "tags": _filled(self._tags, number, number - self.first)}
        return {"identity": identity, "twin": twin}

    def modules(self, number: int) -> Json:
        """The documents of its modules: the two of every new edge device."""
        generation = hashlib.blake2b(b"%d" % number, key=self._seed, digest_size=9).hexdigest()
        return {
            name: {
                "identity": {
                    **self._module_identity,
                    "generationId": generation,
                    "authentication": {"type": "none"},
                    "parents": [],
                },
                "twin": new_twin(self._created),
                "configurations": {},
            }
            for name in (AGENT, EDGE_HUB)
        }


def _key(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _filled(tags: Any, number: int, position: int) -> Any:
    """Tags for one device: `{number}` in strings is its number; the devices take turns through each list."""
    if isinstance(tags, str):
        return tags.replace("{number}", str(number))
    if isinstance(tags, list):
        return _filled(tags[position % len(tags)], number, position)
    if isinstance(tags, dict):
        return {key: _filled(value, number, position) for key, value in tags.items()}
    return tags


@dataclass(frozen=True)
class Registered:
    """A new series: the IDs of its first and last device, and their number."""

    first: str
    last: str
    count: int


def all_series(world: World) -> list[Series]:
    """All series."""
    return [Series(document) for _, document in world.store.items(_KIND)]


def register(
    world: World, pattern: str, count: int, *, first: int = 1, tags: Mapping[str, Any] | None = None
) -> Registered:
    """Register many edge devices.

    Args:
        world: the hub's world.
        pattern: pattern of the IDs, with `{number}` in it once; leading zeros make all numbers as long as the last.
        count: number of devices.
        first: the first number.
        tags: tags of each device; `{number}` in strings is its number, and the devices take turns through each list.

    Raises:
        ValueError: a hub would reject the IDs or tags, or one of the IDs is taken.
    """
    if not 1 <= count <= _MOST or first < 0:
        raise ValueError(f"count must be from 1 to {_MOST} and first at least 0, not {count} and {first}")
    document = {
        "id": pattern,
        "first": first,
        "count": count,
        "tags": dict(tags or {}),
        "created": timestamp(world.now()),
        "seed": secrets.token_hex(16),
    }
    made = Series(document)
    _check(made, document["tags"])
    _check_free(world, made)
    world.store.put(_KIND, f"{world.store.count(_KIND):04d}", document)
    return Registered(made.device_id(first), made.device_id(first + count - 1), count)


def _check(made: Series, tags: Any) -> None:
    empty = [value for value in _lists(tags) if not value]
    if empty:
        raise ValueError("a list in tags must not be empty")
    last = made.first + made.count - 1
    try:
        check_id("deviceId", made.device_id(last))
        for position in range(min(made.count, 100)):
            check_section("tags", _filled(tags, made.first + position, position))
    except HubError as error:
        raise ValueError(error.message) from error


def _lists(tags: Any) -> Iterator[list[Any]]:
    if isinstance(tags, list):
        yield tags
    values = tags.values() if isinstance(tags, dict) else tags if isinstance(tags, list) else ()
    for value in values:
        yield from _lists(value)


def _check_free(world: World, made: Series) -> None:
    for other in all_series(world):
        small, large = (made, other) if made.count < other.count else (other, made)
        taken = next((device_id for device_id in small.ids() if large.number(device_id) is not None), None)
        if taken is not None:
            raise ValueError(f"a device with the id {taken!r} is already registered")
    for device_id in world.store.keys("hub:device"):
        if made.number(device_id) is not None:
            raise ValueError(f"a device with the id {device_id!r} is already registered")
