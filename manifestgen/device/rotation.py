"""Devices as the target of a password rotation: each keeps its own manifest, in which only the password changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from manifestgen.cloud import Hub
from manifestgen.credentials.rotation import DeviceOutcome, Login
from manifestgen.device.apply import PATIENCE, apply, wait
from manifestgen.device.plan import DeviceState, plan
from manifestgen.errors import DeniedError, FoundError, ManifestgenError, NotFoundError
from manifestgen.gate import require_no_errors
from manifestgen.manifest.document import of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import Patience

# Devices that are changed and waited for at the same time; a hub of the smallest tier takes five times as many calls.
_WORKERS = 8
# Attempts to change a device that is being changed by another caller at the same time.
_ATTEMPTS = 3
_SYSTEM = ("$edgeAgent", "$edgeHub")


@dataclass(frozen=True)
class Devices:
    """Devices as the target of a rotation.

    Attributes:
        hub: that they are registered in.
        ids: of the devices.
        report: receives each device's outcome.
        patience: with each device's rollout.
        workers: devices that are changed at the same time.
    """

    hub: Hub
    ids: Sequence[str]
    report: Callable[[DeviceOutcome], None] = lambda outcome: None
    patience: Patience = PATIENCE
    workers: int = _WORKERS

    @property
    def words(self) -> str:
        """Their number, in words."""
        return "1 device" if len(self._each) == 1 else f"{len(self._each)} devices"

    def contents(self) -> Iterator[Mapping[str, Any]]:
        """The manifest of each device. Raises NotFoundError if none of them is there."""
        missing: list[NotFoundError] = []
        for one in self._each:
            try:
                yield _state_of(self.hub, one).manifest.content
            except NotFoundError as error:
                missing.append(error)  # reported as the outcome of this device
        if missing and len(missing) == len(self._each):
            raise missing[0]

    def move(self, login: Login) -> Sequence[DeviceOutcome]:
        """Move the devices to the login, several at a time."""
        each = self._each
        pool = ThreadPoolExecutor(max(1, min(self.workers, len(each))))
        outcomes: dict[str, DeviceOutcome] = {}
        try:
            moving = [pool.submit(_move, self.hub, one, login, self.patience) for one in each]
            for done in as_completed(moving):
                outcome = done.result()
                outcomes[outcome.device] = outcome
                self.report(outcome)
        finally:
            # After Ctrl-C, devices that were not started are not waited for.
            pool.shutdown(wait=False, cancel_futures=True)
        return [outcomes[one] for one in each]

    @property
    def _each(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.ids))


def _move(hub: Hub, device: str, login: Login, patience: Patience) -> DeviceOutcome:
    """Set the new password on a device and wait until it is healthy, unless it is offline.

    If the device has it already, only wait. A failure is the outcome of this device and never ends the whole run.
    """
    changed = False
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            state = _state_of(hub, device)
            if not login.passwords_in(state.manifest.content):
                return DeviceOutcome(device, "unaffected", f"it has no registry credential for user {login.username}")
            try:
                changed = _set(hub, state, login) or changed
                break
            except ManifestgenError as error:
                if attempt == _ATTEMPTS or isinstance(error, FoundError | DeniedError | NotFoundError):
                    raise
        agent = state.twins["$edgeAgent"]
        if not agent.connected:
            return DeviceOutcome(device, "offline", "it gets the new password when it connects", changed)
    except ManifestgenError as error:
        return DeviceOutcome(device, "failed", error.message, changed)
    try:
        wait(hub, device, patience)
    except ManifestgenError as error:
        return DeviceOutcome(device, "unhealthy", error.what, changed)
    return DeviceOutcome(device, "rotated", changed=changed)


def _state_of(hub: Hub, device: str) -> DeviceState:
    """A device with the two twins that a rotation may touch; the twins of its modules stay as they are.

    Raises:
        NotFoundError: there is no such device.
    """
    found = hub.device(device)
    twins = {name: twin for name in _SYSTEM if (twin := hub.module_twin(device, name)) is not None}
    return DeviceState(hub.host, found, twins)


def _set(hub: Hub, state: DeviceState, login: Login) -> bool:
    """Set the device's own manifest with the new password; whether there was anything to change.

    No snapshot is taken: it would differ only in the old password, to which no rollback should lead.
    """
    manifest = Manifest.of(login.put_into(state.manifest.content))
    # The device has accepted this manifest before, so only what the hub itself would reject stops it.
    require_no_errors(of_manifest(manifest, f"the manifest of device {state.device.id!r}"), force=True)
    planned = plan(manifest, state)
    return apply(planned, hub)
