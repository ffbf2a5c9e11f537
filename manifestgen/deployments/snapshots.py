"""Snapshots of an automatic deployment before each change, for `rollback`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from manifestgen.cloud import Configuration
from manifestgen.deployments.deployment import Deployment, of_configuration
from manifestgen.manifest.manifest import Manifest
from manifestgen.state import SnapshotStore


@dataclass(frozen=True)
class Snapshot:
    """A deployment at a point in time.

    Attributes:
        taken: when, in UTC.
    """

    hub: str
    taken: datetime
    deployment: Deployment
    path: Path


def take(hub: str, deployment: Deployment, root: Path, *, now: datetime | None = None) -> Path | None:
    """Take a snapshot of a deployment, and delete the oldest beyond `state.KEPT`.

    Args:
        root: from `state.state_folder`.
        now: the time, in UTC; the clock's if none is given.

    Returns:
        The file; None if the newest snapshot is the same.

    Raises:
        InputError: the folder cannot be written to. The caller must not change the deployment then.
    """
    store = _store(hub, deployment.name, root)
    known = store.all()
    if known and known[0].deployment == deployment:
        return None
    data = {
        "hub": hub,
        "deployment": deployment.name,
        "id": deployment.id,
        "condition": deployment.condition,
        "priority": deployment.priority,
        "labels": dict(deployment.labels),
        "metrics": dict(deployment.metrics),
        "content": deployment.content,
    }
    return store.take(data, now=now)


def snapshots(hub: str, name: str, root: Path) -> list[Snapshot]:
    """A deployment's snapshots, newest first; files that are not snapshots are skipped."""
    return _store(hub, name, root).all()


def folder_of(hub: str, name: str, root: Path) -> Path:
    """The folder of a deployment's snapshots."""
    return _store(hub, name, root).folder


def find(hub: str, name: str, root: Path, number: int | None, current: Configuration | None) -> Snapshot:
    """The snapshot to roll back to.

    Args:
        number: 1 for the newest; None for the newest that differs from the current deployment.
        current: the deployment that devices follow now.

    Raises:
        NoSnapshotError: there is no such snapshot.
        InputError: one cannot be read.
    """
    now = of_configuration(current) if current is not None else None
    return _store(hub, name, root).find(
        number,
        differs=lambda snapshot: snapshot.deployment != now,
        where=f"deployment {name!r}",
        history=f"manifestgen history --deployment {name}",
        elsewhere="the hub has no previous configuration of it",
    )


def _store(hub: str, name: str, root: Path) -> SnapshotStore[Snapshot]:
    return SnapshotStore(root, "deployments", hub, name, _parsed)


def _parsed(data: Mapping[str, Any], path: Path) -> Snapshot:
    Manifest.of(data["content"])
    deployment = Deployment(
        data["deployment"], data["content"], data["condition"], data["priority"], data["labels"], data["metrics"]
    )
    return Snapshot(data["hub"], datetime.fromisoformat(data["taken"]), deployment, path)
