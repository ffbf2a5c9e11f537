"""What single devices were given: who was served how often, and what their twins came to.

A test of a hundred thousand devices compares them with it, and finds a manifest that was sent twice.

    kind         key     value
    hub:applied  DEVICE  [fingerprint, …] of each manifest that was applied to this device alone, the oldest first
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from manifestgen.sandbox.hub.content import Desired, fingerprint
from manifestgen.sandbox.world import World

_KIND: Final = "hub:applied"
_KEPT: Final = 20


def note(world: World, device_id: str, desired: Desired) -> None:
    """A manifest was applied to a device."""
    known = world.store.get(_KIND, device_id) or []
    world.store.put(_KIND, device_id, [*known, fingerprint(desired)][-_KEPT:])


def applied(world: World, *, after: str = "", limit: int = 10_000) -> dict[str, Any]:
    """A page of the devices that a manifest was applied to, in the order of their ids.

    Returns:
        `devices`, by id: `applies` has the fingerprint of each manifest (the last 20), `twins` that of the desired
        properties of all modules as they are now. `next` is what to give as `after` for the next page, or None.
    """
    found = list(islice(world.store.items(_KIND, after=after, limit=limit + 1), limit + 1))
    page = found[:limit]
    devices = {device_id: {"applies": applies, "twins": _twins(world, device_id)} for device_id, applies in page}
    return {"devices": devices, "next": page[-1][0] if len(found) > limit else None}


def _twins(world: World, device_id: str) -> str:
    modules = world.store.get("hub:modules", device_id) or {}
    return fingerprint({name: document["twin"]["desired"]["value"] for name, document in modules.items()})
