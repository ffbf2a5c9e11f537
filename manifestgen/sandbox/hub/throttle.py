"""The size of the simulated hub, and the throttles of that size.

Stored in `World.store` under `hub-setting`, `size`; by default the hub is one S1 unit and throttles nothing.
Source of the rates: "Operation throttles" in learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.world import World

#: Throttled groups of requests. Setting modules on one device counts as a twin update.
Group = Literal["registry", "twin-read", "twin-write", "query", "configuration", "statistics", "method"]
Tier = Literal["F1", "S1", "S2", "S3"]

_MOST_UNITS: Final[Mapping[Tier, int]] = {"F1": 1, "S1": 200, "S2": 200, "S3": 10}
_SECOND, _MINUTE = 1.0, 60.0


@dataclass(frozen=True)
class Limit:
    """A number of requests per number of seconds. All of them may arrive at once."""

    requests: float
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second, on average."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Size:
    """The hub's tier and units, and how strictly it enforces their limits.

    Attributes:
        tier: `F1`, `S1`, `S2` or `S3`.
        units: number of units.
        throttled: whether requests over the limits get 429.
        speed: how many times faster than a real hub's its clock runs; all limits are multiplied by it.
        retry_after: the header `Retry-After` of each 429, in seconds; None omits it, as the hub does not promise it.
        rates: requests per second by group; they override the tier's limits.
    """

    tier: Tier = "S1"
    units: int = 1
    throttled: bool = False
    speed: float = 1.0
    retry_after: int | None = None
    rates: Mapping[Group, float] = field(default_factory=dict)

    @property
    def configurations(self) -> int:
        """The maximum number of automatic deployments."""
        return 10 if self.tier == "F1" else 100

    def limits(self) -> dict[Group, Limit]:
        """The limit of each group of requests; groups without a limit are missing."""
        found = {
            group: Limit(limit.requests * self.speed, limit.seconds)
            for group, limit in (_limits(self.tier, self.units) if self.throttled else {}).items()
        }
        return {**found, **{group: Limit(rate * self.speed, _SECOND) for group, rate in self.rates.items()}}


def _limits(tier: Tier, units: int) -> dict[Group, Limit]:
    large = tier == "S3"
    if large:
        reads, writes = 500 * units, 250 * units
    elif tier == "S2":
        reads, writes = max(100, 10 * units), max(50, 5 * units)
    else:
        reads, writes = 100, 50
    return {
        "registry": Limit((5000 if large else 100) * units, _MINUTE),
        "query": Limit((1000 if large else 20) * units, _MINUTE),
        "configuration": Limit(20 * units, _MINUTE),
        "twin-read": Limit(reads, _SECOND),
        "twin-write": Limit(writes, _SECOND),
    }


def size(world: World) -> Size:
    """The hub's current size."""
    return Size(**(world.store.get("hub-setting", "size") or {}))


def resize(world: World, changes: Mapping[str, Any]) -> Size:
    """Change the hub's size; settings that `changes` does not name stay. Raises ValueError with the reason."""
    known = asdict(size(world))
    for key, value in changes.items():
        if key not in known:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(known)}")
        _CHECKS[key](key, value)
    changed = Size(**{**known, **changes})
    if changed.units > _MOST_UNITS[changed.tier]:
        raise ValueError(f"units must be at most {_MOST_UNITS[changed.tier]} in tier {changed.tier}")
    world.store.put("hub-setting", "size", asdict(changed))
    return changed


def _is_number(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > least


def _check(what: str, test: Callable[[Any], bool]) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        if not test(value):
            raise ValueError(f"{key} must be {what}, not {value!r}")

    return check


def _are_rates(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key in get_args(Group) and _is_number(rate, 0) for key, rate in value.items()
    )


_CHECKS: Final[Mapping[str, Callable[[str, Any], None]]] = {
    "tier": _check(f"one of {', '.join(get_args(Tier))}", lambda value: value in get_args(Tier)),
    "units": _check("a number of at least 1", lambda value: isinstance(value, int) and _is_number(value, 0)),
    "throttled": _check("true or false", lambda value: isinstance(value, bool)),
    "speed": _check("a number above 0", lambda value: _is_number(value, 0)),
    "retry_after": _check(
        "a number of seconds or null", lambda value: value is None or (isinstance(value, int) and _is_number(value, -1))
    ),
    "rates": _check(f"requests per second by {', '.join(get_args(Group))}", _are_rates),
}


class Throttle:
    """A token bucket for each group of requests, and counts of accepted and rejected requests.

    Args:
        world: stores the hub's size.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, world: World, clock: Callable[[], float] = time.monotonic) -> None:
        self._world = world
        self._clock = clock
        self._buckets: dict[Group, tuple[float, float]] = {}
        self._limits: Mapping[Group, Limit] = {}
        self._headers: Mapping[str, str] = {}
        self._accepted: Counter[Group] = Counter()
        self._rejected: Counter[Group] = Counter()
        self._load("size")
        world.store.watch("hub-setting", self._load)

    def _load(self, key: str) -> None:
        if key == "size":
            now = size(self._world)
            self._limits = now.limits()
            self._headers = {} if now.retry_after is None else {"Retry-After": str(now.retry_after)}
            self._buckets.clear()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of accepted and rejected requests of each group."""
        groups = sorted({*self._accepted, *self._rejected})
        return {group: {"taken": self._accepted[group], "refused": self._rejected[group]} for group in groups}

    def take(self, group: Group) -> None:
        """Count a request. Raises HubError 429."""
        limit = self._limits.get(group)
        if limit is not None and not self._has_room(group, limit):
            self._rejected[group] += 1
            words = "Throttling limit exceeded for this operation"
            raise HubError(429, "ThrottlingException", words, headers=self._headers)
        self._accepted[group] += 1

    def _has_room(self, group: Group, limit: Limit) -> bool:
        now = self._clock()
        most = max(1.0, limit.requests)
        tokens, since = self._buckets.get(group, (most, now))
        tokens = min(most, tokens + (now - since) * limit.rate)
        room = tokens >= 1
        self._buckets[group] = (tokens - 1 if room else tokens, now)
        return room
