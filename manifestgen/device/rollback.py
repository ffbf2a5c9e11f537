"""Rolls back a device to a snapshot, with the current passwords."""

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
    """Plan a rollback of a device to a snapshot; changes nothing.

    Args:
        root: from `state.state_folder`.
        number: of the snapshot; None for the newest that differs from the device's current manifest.
        say: called with the target of the rollback, and with each password that was replaced.

    Raises:
        NotFoundError: the hub has no such device.
        NoSnapshotError: there is no such snapshot.
        InputError: the snapshot, or the stored password of a token, cannot be read.
        CloudError: the device is not an edge device.
    """
    state = read_state(hub, device)
    snapshot = find(hub.host, device, root, number, state.manifest)
    say(f"rolling back to the snapshot {snapshot.path}")
    content, notes = renewed(snapshot.manifest.content, root)
    for note in notes:
        say(note)
    return plan(Manifest.of(content), state)
