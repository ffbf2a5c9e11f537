"""Faults of a device's edgeAgent when its direct methods are called.

    kind         key     value
    agent-fault  DEVICE  [{"kind": "late", "method": "", "times": 1, "after": 0, "seconds": 1.0}, …]

`timeout`: no answer; the hub says so after `seconds`, or when the caller's time is up. `lost`: carried out, but not
answered. `late`: answered after `seconds`. `restart`: edgeAgent restarts instead of answering, and forgets its tasks.
`old`: an old agent: what is too large is said in place of a log, and it has only `ping` and `GetModuleLogs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from manifestgen.sandbox.world import World

AgentTrouble = Literal["timeout", "lost", "late", "restart", "old"]
_KIND: Final = "agent-fault"


@dataclass(frozen=True)
class AgentFault:
    """One fault.

    Attributes:
        method: whose calls are hit, in any case; empty for all.
        times: how many calls are hit; None for all.
        after: how many calls to let through first.
        seconds: see above; None is the caller's own time, or one second for `late`.
    """

    kind: AgentTrouble
    method: str = ""
    times: int | None = 1
    after: int = 0
    seconds: float | None = None


def parse(data: Mapping[str, Any]) -> AgentFault:
    """Read a fault from JSON. Raises ValueError with the reason."""
    flat = {**data, "times": None if data.get("times") == "forever" else data.get("times", 1)}
    if flat.get("kind") not in get_args(AgentTrouble):
        raise ValueError(f"kind must be one of {', '.join(get_args(AgentTrouble))}, not {flat.get('kind')!r}")
    try:
        fault = AgentFault(**flat)
    except TypeError as error:
        raise ValueError(f"known keys are kind, method, times, after, seconds: {error}") from error
    for key, kinds in (("method", (str,)), ("times", (int, type(None))), ("after", (int,))):
        if not isinstance(getattr(fault, key), kinds) or isinstance(getattr(fault, key), bool):
            raise ValueError(f"{key} must be {kinds[0].__name__}, not {getattr(fault, key)!r}")
    if fault.seconds is not None and not isinstance(fault.seconds, int | float):
        raise ValueError(f"seconds must be a number, not {fault.seconds!r}")
    return fault


def add(world: World, device_id: str, fault: AgentFault) -> None:
    """Add a fault to those of a device."""
    world.store.put(_KIND, device_id, [*(world.store.get(_KIND, device_id) or ()), asdict(fault)])


def clear(world: World, device_id: str) -> None:
    """Remove all faults of a device's edgeAgent."""
    world.store.delete(_KIND, device_id)


def strike(world: World, device_id: str, method: str) -> AgentFault | None:
    """The fault that hits this call, or None. Call it once for each call of a method."""
    known = world.store.get(_KIND, device_id)
    if not known:
        return None
    hit: AgentFault | None = None
    left = []
    for data in known:
        fault = AgentFault(**data)
        if hit is not None or (fault.method and fault.method.lower() != method.lower()):
            left.append(data)
        elif fault.after > 0:
            left.append({**data, "after": fault.after - 1})
        else:
            hit = fault
            if fault.times is None or fault.times > 1:
                left.append({**data, "times": None if fault.times is None else fault.times - 1})
    world.store.put(_KIND, device_id, left)
    return hit
