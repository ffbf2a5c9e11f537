"""What setting modules would change on a device: a manifest and the device's state become a Plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manifestgen.cloud import Device, Twin
from manifestgen.diff import Change, diff
from manifestgen.errors import CloudError
from manifestgen.manifest.manifest import Manifest


@dataclass(frozen=True)
class DeviceState:
    """A device and the twins that a manifest can change, as the hub has them now.

    Attributes:
        hub: the hub's host.
        twins: by module id, `$edgeAgent` and `$edgeHub` among them.
    """

    hub: str
    device: Device
    twins: Mapping[str, Twin] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """What the device should run now, in the form of a manifest."""
        return {
            "modulesContent": {
                name: {"properties.desired": dict(twin.desired)} for name, twin in self.twins.items() if twin.desired
            }
        }

    @property
    def version(self) -> int:
        """The hub's version of `$edgeAgent`'s desired properties; 0 if it has none."""
        agent = self.twins.get("$edgeAgent")
        return agent.desired_version if agent else 0


@dataclass(frozen=True)
class Plan:
    """What would change. Empty changes: the device already has this manifest.

    Attributes:
        version: of `$edgeAgent`'s desired properties when the plan was made: if it moved, the plan is out of date.
        warnings: sentences for the person who decides.
    """

    hub: str
    device: str
    manifest: Manifest
    changes: tuple[Change, ...]
    version: int
    warnings: tuple[str, ...] = ()

    @property
    def removed_modules(self) -> tuple[str, ...]:
        """Names of the modules that would be removed from the device."""
        return tuple(change.name for change in self.changes if change.kind == "removed" and change.subject == "module")


def plan(manifest: Manifest, state: DeviceState) -> Plan:
    """Compare a manifest with what a device has.

    Raises:
        CloudError: the device is not an edge device.
    """
    device = state.device
    if not device.edge:
        raise CloudError(
            "the device is not an IoT Edge device",
            where=f"device {device.id!r}",
            fix="register an edge device with 'manifestgen device register', this capability cannot be added later",
        )
    warnings = []
    if not device.enabled:
        warnings.append(f"device {device.id!r} is disabled: it cannot connect until it is enabled")
    agent = state.twins.get("$edgeAgent")
    if agent is not None:
        names = ", ".join(repr(name) for name in sorted(agent.configurations))
        if names:
            warnings.append(
                f"device {device.id!r} is targeted by automatic deployment {names}, which overwrites what is set here"
            )
    return Plan(state.hub, device.id, manifest, diff(state.content, manifest.content), state.version, tuple(warnings))
