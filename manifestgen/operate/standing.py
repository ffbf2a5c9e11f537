"""How many devices stand: each one's state and reason, read from its twin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manifestgen.cloud import Hub
from manifestgen.device.rollout import Rollout, State, assess
from manifestgen.operate.agent import agent_twin
from manifestgen.operate.fleet import Reply

_OF_ONE_DEVICE = re.compile(r"restarted \d+ times|version -?\d+|it is at -?\d+")


def standing(hub: Hub, device_id: str) -> Rollout:
    """A device's state, in one request: without edgeHub's verdict on its routes. See `agent_twin` for its errors."""
    return assess(agent_twin(hub, device_id), None, device_id)


@dataclass(frozen=True)
class Group:
    """Devices in one state for one reason.

    Attributes:
        state: `healthy`, `waiting`, …, or `unknown` for devices that could not be read.
        reason: in words that are the same for all of them; empty for healthy ones.
    """

    state: str
    reason: str
    devices: tuple[str, ...]

    @property
    def bad(self) -> bool:
        """Whether these devices need attention."""
        return self.state not in (State.HEALTHY.value, State.WAITING.value)


def grouped(replies: Sequence[Reply[Rollout]]) -> tuple[Group, ...]:
    """Devices by state and reason: failing ones first, then the larger groups."""
    found: dict[tuple[str, str], list[str]] = {}
    for reply in replies:
        if reply.value is None:
            key = "unknown", reply.error.what if reply.error is not None else ""
        else:
            key = reply.value.state.value, _OF_ONE_DEVICE.sub(_general, reply.value.reason)
        found.setdefault(key, []).append(reply.device)
    groups = [Group(state, reason, tuple(devices)) for (state, reason), devices in found.items()]
    return tuple(sorted(groups, key=lambda group: (not group.bad, group.state == "healthy", -len(group.devices))))


def counts(groups: Sequence[Group]) -> Mapping[str, int]:
    """How many devices are in each state."""
    found: dict[str, int] = {}
    for group in groups:
        found[group.state] = found.get(group.state, 0) + len(group.devices)
    return found


def _general(found: re.Match[str]) -> str:
    """A reason without what differs between devices."""
    return re.sub(r"-?\d+", "N", found[0])
