"""Compares a manifest with a device's state: the result is a Plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from manifestgen.cloud import Device, Twin
from manifestgen.cloud.distribution import Platform
from manifestgen.compare.diff import Change, diff
from manifestgen.compare.env_values import with_env_values
from manifestgen.compare.merge import merge as merge_manifests
from manifestgen.errors import CloudError
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.twin import MAX_DESIRED_BYTES, size

# Above this, the device's report may no longer fit: it repeats the desired properties and adds to them
# (Azure/iotedge#7035).
_NEARLY_FULL = 0.75


@dataclass(frozen=True)
class DeviceState:
    """A device and the twins that a manifest can change, as they are on the hub.

    Attributes:
        hub: the hub's host.
        twins: by module id, `$edgeAgent` and `$edgeHub` among them.
    """

    hub: str
    device: Device
    twins: Mapping[str, Twin] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        """The device's current desired state."""
        return Manifest.of_twins({name: dict(twin.desired) for name, twin in self.twins.items() if twin.desired})

    @property
    def version(self) -> int:
        """The hub's version of `$edgeAgent`'s desired properties; 0 if it has none."""
        agent = self.twins.get("$edgeAgent")
        return agent.desired_version if agent else 0

    @property
    def platform(self) -> Platform | None:
        """The device's platform; None if its `$edgeAgent` has not reported one."""
        agent = self.twins.get("$edgeAgent")
        return Platform.reported(agent.reported) if agent is not None else None


@dataclass(frozen=True)
class Plan:
    """The changes; empty if the device already has this manifest.

    Attributes:
        version: of `$edgeAgent`'s desired properties when the plan was made; the plan is stale once it changes.
        warnings: sentences for the person who decides.
        before: what the device has now; for a snapshot.
        kept: what a merge keeps although the manifest does not name it, such as `module filter`.
        platform: of the device, once its `$edgeAgent` has reported it.
    """

    hub: str
    device: str
    manifest: Manifest
    changes: tuple[Change, ...]
    version: int
    warnings: tuple[str, ...] = ()
    before: Manifest = field(default_factory=lambda: Manifest.of_twins({}), repr=False)
    kept: tuple[str, ...] = ()
    platform: Platform | None = None

    @property
    def removed_modules(self) -> tuple[str, ...]:
        """Names of the modules that would be removed from the device."""
        return tuple(change.name for change in self.changes if change.kind == "removed" and change.subject == "module")


def plan(manifest: Manifest, state: DeviceState, *, merge: bool = False) -> Plan:
    """Compare a manifest with what a device has.

    Args:
        merge: keep what the manifest does not name: other modules, their twins, routes, credentials, unknown fields.

    Raises:
        CloudError: the device is not an edge device.
    """
    device = state.device
    if not device.edge:
        raise CloudError(
            "the device is not an IoT Edge device",
            where=f"device {device.id!r}",
            fix="register an edge device with 'manifestgen device register': the capability cannot be added later",
        )
    conflicts: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    if merge:
        manifest, conflicts, kept = _merged(manifest, state)
    before = state.manifest
    changes = diff(before, manifest)
    warnings = (*conflicts, *_warnings(manifest, state, changes))
    return Plan(state.hub, device.id, manifest, changes, state.version, warnings, before, kept, state.platform)


def with_env(plan: Plan) -> Plan:
    """The plan with the values of the environment variables that change, but for those that seem to be secrets."""
    return replace(plan, changes=with_env_values(plan.changes, plan.before, plan.manifest))


def _merged(manifest: Manifest, state: DeviceState) -> tuple[Manifest, tuple[str, ...], tuple[str, ...]]:
    """The merged manifest; its conflicts, in words; the names of what only the device has."""
    merged = merge_manifests(manifest, state.manifest)
    entries = {
        name: entry
        for name, entry in merged.manifest.entries.items()
        # A twin that the file does not name is left alone by the hub; to send it would only raise its version.
        if name in manifest.entries or name in ("$edgeAgent", "$edgeHub")
    }
    conflicts = tuple(conflict.message for conflict in merged.conflicts)
    kept = tuple(f"{kind} {name}" for (kind, name), origin in merged.origins.items() if origin == "device")
    return Manifest.of({"modulesContent": entries}), conflicts, kept


def _warnings(manifest: Manifest, state: DeviceState, changes: tuple[Change, ...]) -> Iterator[str]:
    device, agent = state.device, state.twins.get("$edgeAgent")
    if not device.enabled:
        yield f"device {device.id!r} is disabled: it cannot connect until it is enabled"
    elif agent is not None and not agent.connected:
        yield f"device {device.id!r} is offline: it gets its modules when it connects"
    if agent is not None and agent.configurations:
        names = ", ".join(repr(name) for name in sorted(agent.configurations))
        yield f"device {device.id!r} is targeted by automatic deployment {names}, which will overwrite what is set here"
    changed = {change.name for change in changes if change.subject in ("module", "system module")}
    for module in manifest.modules():
        if module.image is not None and module.image.floating and module.name not in changed:
            yield (
                f"module {module.name!r} is unchanged, and its tag may have moved: "
                f"the device will not pull {module.image_text!r} again"
            )
    for name, section in manifest.sections().items():
        bytes_ = size(section.whole.value) if section.whole is not None else 0
        if bytes_ > _NEARLY_FULL * MAX_DESIRED_BYTES:
            yield f"the desired properties of {name!r} count {bytes_} bytes; IoT Hub takes at most {MAX_DESIRED_BYTES}"
