"""One device gets the new password: its own manifest with nothing else changed, and then it is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from manifestgen.cloud import Hub, Twin
from manifestgen.credentials.rotation.entry import Login
from manifestgen.device.apply import apply, wait
from manifestgen.device.plan import DeviceState, plan
from manifestgen.errors import DeniedError, FoundError, ManifestgenError, NotFoundError
from manifestgen.gate import require_no_errors
from manifestgen.manifest.document import of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import Patience

# A device that somebody else changes at the same time is read and changed again.
_ATTEMPTS = 3
_SYSTEM = ("$edgeAgent", "$edgeHub")

State = Literal["rotated", "unaffected", "offline", "unhealthy", "failed"]


@dataclass(frozen=True)
class DeviceOutcome:
    """How a device ended up.

    Attributes:
        state: `rotated`: it runs healthy with the new password. `unaffected`: it does not use the token. `offline`: it
            gets the new password when it connects. `unhealthy`: it has the new password and does not come to run.
            `failed`: the new password could not be set.
        words: why.
        changed: whether this run set the new password.
    """

    device: str
    state: State
    words: str = ""
    changed: bool = False


def move(
    hub: Hub,
    device: str,
    login: Login,
    patience: Patience,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> DeviceOutcome:
    """Give a device the new password and wait until it is healthy; one that is offline is not waited for.

    A device that has it already is only waited for. What goes wrong with one device is its outcome, never an error of
    the whole run.
    """
    changed = False
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            state = state_of(hub, device)
            if not login.passwords_in(state.content):
                return DeviceOutcome(device, "unaffected", f"it has no credential of {login.username}")
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
        wait(hub, device, replace(patience, clock=clock, sleep=sleep))
    except ManifestgenError as error:
        return DeviceOutcome(device, "unhealthy", error.what, changed)
    return DeviceOutcome(device, "rotated", changed=changed)


def state_of(hub: Hub, device: str) -> DeviceState:
    """A device with the two twins that a rotation may touch; the twins of its modules stay as they are.

    Raises:
        NotFoundError: there is no such device.
    """
    found = hub.device(device)
    twins = {name: twin for name in _SYSTEM if (twin := hub.module_twin(device, name)) is not None}
    return DeviceState(hub.host, found, twins)


def has_taken(agent: Twin, login: Login) -> bool:
    """Whether a device has confirmed that it took a manifest with the new password, and no other since.

    edgeAgent reports the version of the desired properties that it last understood.
    """
    content = {"modulesContent": {"$edgeAgent": {"properties.desired": dict(agent.desired)}}}
    return login.is_in(content) and agent.reported.get("lastDesiredVersion") == agent.desired_version


def _set(hub: Hub, state: DeviceState, login: Login) -> bool:
    """Set the device's own manifest with the new password; whether there was anything to set.

    No snapshot is kept: it would differ in the former password only, which nobody should go back to.
    """
    manifest = Manifest.of(login.put_into(state.content))
    # What is on the device was taken once; only what the hub itself would refuse now is worth stopping for.
    require_no_errors(of_manifest(manifest, f"the manifest of device {state.device.id!r}"), force=True)
    planned = plan(manifest, state)
    return apply(planned, hub)
