"""A snapshot of a device, or of an automatic deployment, in words and as JSON data: a row of `history`."""

from __future__ import annotations

from typing import Any

from manifestgen.deployments.snapshots import Snapshot as DeploymentSnapshot
from manifestgen.device.snapshots import Snapshot as DeviceSnapshot


def device_row(snapshot: DeviceSnapshot) -> tuple[str, dict[str, Any]]:
    """A device's snapshots."""
    words = f"version {snapshot.version}  {', '.join(snapshot.modules) or 'no modules'}"
    return words, {"version": snapshot.version, "modules": list(snapshot.modules)}


def deployment_row(snapshot: DeploymentSnapshot) -> tuple[str, dict[str, Any]]:
    """An automatic deployment's snapshots."""
    was = snapshot.deployment
    modules = ", ".join(was.modules) or "no modules"
    words = f"{was.id}  priority {was.priority}, for {was.condition}  {modules}"
    data = {"id": was.id, "condition": was.condition, "priority": was.priority, "modules": list(was.modules)}
    return words, data
