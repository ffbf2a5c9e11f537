"""A record of the manifests set on single devices.

Tests with a hundred thousand devices use it to verify every device, and to find manifests that were sent twice.

    kind         key     value
    hub:applied  DEVICE  [fingerprint, …] of each manifest that was set on this device alone, oldest first
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from manifestgen.sandbox.hub.content import Desired, fingerprint
from manifestgen.sandbox.world import World

_KIND: Final = "hub:applied"
_KEPT: Final = 20


def note(world: World, device_id: str, desired: Desired) -> None:
    """Record a manifest that was set on a device."""
    known = world.store.get(_KIND, device_id) or []
    world.store.put(_KIND, device_id, [*known, fingerprint(desired)][-_KEPT:])


def applied(world: World, *, after: str = "", limit: int = 10_000) -> dict[str, Any]:
    """A page of the devices on which a manifest was set, ordered by ID.

    Returns:
        `devices`, by ID: `applies` has the fingerprints of the last 20 manifests, `twins` the fingerprint of the
        current desired properties of all modules. `next` is the `after` of the next page, or None.
    """
    found = list(islice(world.store.items(_KIND, after=after, limit=limit + 1), limit + 1))
    page = found[:limit]
    devices = {device_id: {"applies": applies, "twins": _twins(world, device_id)} for device_id, applies in page}
    return {"devices": devices, "next": page[-1][0] if len(found) > limit else None}


def _twins(world: World, device_id: str) -> str:
    modules = world.store.get("hub:modules", device_id) or {}
    return fingerprint({name: document["twin"]["desired"]["value"] for name, document in modules.items()})
