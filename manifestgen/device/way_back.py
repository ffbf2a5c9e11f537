"""Where a rollback of a device goes: a snapshot, with the passwords that are current now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from manifestgen.cloud import Hub
from manifestgen.credentials.rotation import renewed
from manifestgen.device.apply import read_state
from manifestgen.device.plan import Plan, plan
from manifestgen.device.snapshots import find
from manifestgen.manifest.manifest import Manifest


def propose_rollback(hub: Hub, device: str, root: Path, number: int | None, say: Callable[[str], None]) -> Plan:
    """Plan going back to a snapshot of a device; changes nothing.

    Args:
        root: from `state.state_folder`.
        number: of the snapshot; None for the newest that differs from what the device has.
        say: called with where it goes back to, and with each password that is not the snapshot's.

    Raises:
        NotFoundError: the hub has no such device.
        NoSnapshotError: there is no such snapshot.
        InputError: the snapshot, or the stored password of a token, cannot be read.
        CloudError: the device is not an edge device.
    """
    state = read_state(hub, device)
    snapshot = find(hub.host, device, root, number, state.content)
    say(f"going back to the snapshot {snapshot.path}")
    content, notes = renewed(snapshot.content, root)
    for note in notes:
        say(note)
    return plan(Manifest.of(content), state)
