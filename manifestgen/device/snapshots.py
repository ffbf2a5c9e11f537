"""Snapshots of what a device had before each apply; what `rollback` goes back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from manifestgen.compare.diff import diff
from manifestgen.manifest.manifest import Manifest
from manifestgen.state import SnapshotStore


@dataclass(frozen=True)
class Snapshot:
    """The state of a device at a point in time.

    Attributes:
        taken: when, in UTC.
        version: of `$edgeAgent`'s desired properties then.
        manifest: what it should run; holds secrets.
    """

    hub: str
    device: str
    taken: datetime
    version: int
    path: Path
    manifest: Manifest = field(repr=False)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules, without the system modules."""
        return tuple(module.name for module in self.manifest.modules() if not module.system)


def take(
    hub: str, device: str, version: int, manifest: Manifest, root: Path, *, now: datetime | None = None
) -> Path | None:
    """Take a snapshot of what a device has, and delete the oldest beyond `state.KEPT`.

    Args:
        manifest: what it has.
        root: from `state.state_folder`.
        now: the time, in UTC; the clock's if none is given.

    Returns:
        The file; None if the device has nothing yet, which is nothing to go back to.

    Raises:
        InputError: the folder cannot be written to. The caller must not change the device then.
    """
    if not manifest.entries:
        return None
    data = {"hub": hub, "device": device, "version": version, "content": manifest.content}
    return _store(hub, device, root).take(data, now=now)


def snapshots(hub: str, device: str, root: Path) -> list[Snapshot]:
    """A device's snapshots, newest first; files that are not snapshots are skipped."""
    return _store(hub, device, root).all()


def folder_of(hub: str, device: str, root: Path) -> Path:
    """Where the snapshots of a device are."""
    return _store(hub, device, root).folder


def find(hub: str, device: str, root: Path, number: int | None, current: Manifest) -> Snapshot:
    """The snapshot to roll back to.

    Args:
        number: 1 for the newest; None for the newest that differs from what the device has now.
        current: what the device has now.

    Raises:
        NoSnapshotError: there is no such snapshot.
        InputError: one cannot be read.
    """
    return _store(hub, device, root).find(
        number,
        differs=lambda snapshot: bool(diff(current, snapshot.manifest)),
        where=f"device {device!r}",
        history=f"manifestgen history --device {device}",
        elsewhere="the hub keeps nothing of what a device had",
    )


def _store(hub: str, device: str, root: Path) -> SnapshotStore[Snapshot]:
    return SnapshotStore(root, "snapshots", hub, device, _parsed)


def _parsed(data: Mapping[str, Any], path: Path) -> Snapshot:
    taken = datetime.fromisoformat(data["taken"])
    return Snapshot(data["hub"], data["device"], taken, int(data["version"]), path, Manifest.of(data["content"]))
