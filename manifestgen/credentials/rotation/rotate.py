"""Rotates one token: new password, test pull, devices in parallel, deletion of the old password."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from manifestgen.cloud import Credential, Hub, Registry, Token, Twin
from manifestgen.credentials import stored
from manifestgen.credentials.acr_token import expiry_from
from manifestgen.credentials.rotation import password as passwords
from manifestgen.credentials.rotation.entry import Login, agent_content, images_of
from manifestgen.credentials.rotation.target import DeviceOutcome, Target
from manifestgen.credentials.stored import StoredPassword
from manifestgen.errors import InputError
from manifestgen.secret import Secret

# The registry credentials of every device of the hub.
_QUERY = "SELECT deviceId, properties.desired.runtime AS runtime FROM devices.modules WHERE moduleId = '$edgeAgent'"


@dataclass(frozen=True)
class Left:
    """Something that still needs the old password.

    Attributes:
        what: such as `device 'edge-01'`.
        why: the reason.
    """

    what: str
    why: str


@dataclass(frozen=True)
class Rotated:
    """The result of a rotation.

    Attributes:
        new: the password that devices have now.
        devices: the outcome of each device of the target, in order.
        left: what still needs the old password.
        dropped: the old password, which was deleted; None if something still needs it.
    """

    registry: str
    username: str
    new: StoredPassword
    devices: tuple[DeviceOutcome, ...]
    left: tuple[Left, ...]
    dropped: str | None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.dropped is not None and all(one.state in ("rotated", "unaffected") for one in self.devices)


@dataclass(frozen=True)
class Observer:
    """Receives the progress of a rotation, and may stop it.

    Attributes:
        permit: receives a sentence about the rotation; raises to stop before anything changes.
        step: receives each step that was taken.
        device: receives each device's outcome.
    """

    permit: Callable[[str], None] = lambda text: None
    step: Callable[[str], None] = lambda text: None
    device: Callable[[DeviceOutcome], None] = lambda outcome: None


def rotate(
    registry: Registry,
    hub: Hub,
    token: Token,
    target: Target,
    *,
    root: Path,
    days: int,
    in_use: str | None = None,
    observer: Observer = Observer(),
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Rotated:
    """Replace a token's password, and delete the old one once nothing in the hub needs it.

    If it is killed, the same call resumes it. The password in a device's manifest is valid throughout: the old one is
    deleted only after each device that uses the token has confirmed the new one.

    Args:
        registry: to which the token belongs.
        hub: whose devices and deployments may use the token.
        token: to rotate.
        target: gets the new password. While anything else in the hub uses the token, the old password is kept.
        root: the user's state folder.
        days: until the new password expires.
        in_use: the password that devices have now, if that cannot be determined.

    Raises:
        InputError: the target does not use the token, or it is unknown which password is in use.
        CloudError: the registry or the hub rejected a request that affects all devices.
    """
    host = token.registry.login_server.lower()
    image = _image(target, host, token.name)
    begun = passwords.unfinished(token, root, now())
    name = begun.name if begun is not None else passwords.choose(token, root, in_use, now())
    observer.permit(f"{'resume with' if begun else 'create'} {name} of token {token.name} of {host} for {target.words}")
    if begun is None:
        new = passwords.make(registry, token, name, root, expiry_from(now(), days), now())
        observer.step(f"created {name} of token {token.name}{_until(new)}")
    else:
        new = begun
        observer.step(f"resuming with {name} of token {token.name}{_until(new)}")
    if new.password is None:
        raise AssertionError("a new password has a text")
    login = Login(host, token.name, new.password)
    passwords.verify_pull(registry, Credential(host, token.name, new.password), image, clock=clock, sleep=sleep)
    observer.step(f"{host} accepts {name}")
    outcomes = tuple(target.move(login))
    left = (*_failing(outcomes), *_holders(hub, login, outcomes))
    dropped = None
    if not left:
        dropped = passwords.other(name)
        registry.drop_password(token, dropped)
        observer.step(f"deleted {dropped} of token {token.name}")
        stored.promote(root, host, token.name)
    return Rotated(host, token.name, new, outcomes, left, dropped)


def _until(new: StoredPassword) -> str:
    return f", expires on {new.expiry:%Y-%m-%d}" if new.expiry else ""


def _image(target: Target, host: str, username: str) -> str:
    """An image that the target pulls with the token.

    Raises:
        InputError: there is none: a rotation would only delete the old password.
    """
    any_password = Login(host, username, Secret(""))
    for content in target.contents():
        if any_password.passwords_in(content) and (found := images_of(content, host)):
            return found[0]
    raise InputError(
        f"{target.words} pulls no image with token {username}",
        where=f"registry {host}",
        fix="put the token on a device first: run 'manifestgen deploy' with registry credentials token",
    )


def _failing(outcomes: Sequence[DeviceOutcome]) -> Iterator[Left]:
    for one in outcomes:
        if one.state in ("unhealthy", "failed"):
            yield Left(f"device {one.device!r}", one.words)


def _holders(hub: Hub, login: Login, outcomes: Sequence[DeviceOutcome]) -> Iterator[Left]:
    """The hub's devices and deployments that have an old password of the token, or have not confirmed the new one.

    Queries use an index that may be some seconds behind, so each twin in the result is read again.
    """
    settled = {one.device for one in outcomes if one.state in ("rotated", "unhealthy", "failed")}
    for row in hub.query(_QUERY, deviceId=str):
        device, runtime = str(row["deviceId"]), row.get("runtime")
        if device in settled or (isinstance(runtime, dict) and not login.passwords_in(agent_content(runtime))):
            continue
        agent = hub.module_twin(device, "$edgeAgent")
        if agent is None or not login.passwords_in(_content(agent.desired)):
            continue
        if not login.is_in(_content(agent.desired)):
            yield Left(f"device {device!r}", "its manifest has the old password")
        elif not _has_taken(agent, login):
            yield Left(f"device {device!r}", "it has not applied the new password yet")
    for configuration in hub.configurations():
        if not configuration.content.get("modulesContent"):
            continue  # a configuration for modules, without registry credentials
        if login.passwords_in(configuration.content) and not login.is_in(configuration.content):
            yield Left(f"automatic deployment {configuration.id!r}", "it has the old password")


def _has_taken(agent: Twin, login: Login) -> bool:
    """Whether the last manifest that a device confirmed has the new password.

    edgeAgent reports the version of the desired properties that it last understood.
    """
    return login.is_in(_content(agent.desired)) and agent.reported.get("lastDesiredVersion") == agent.desired_version


def _content(desired: Mapping[str, Any]) -> dict[str, Any]:
    return {"modulesContent": {"$edgeAgent": {"properties.desired": desired}}}
