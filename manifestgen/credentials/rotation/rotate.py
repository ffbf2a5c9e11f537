"""The whole rotation of one token: new password, proof, devices one beside the other, and the end of the first."""

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

# Everything that edgeAgent may log in with, of every device of the hub.
_QUERY = "SELECT deviceId, properties.desired.runtime AS runtime FROM devices.modules WHERE moduleId = '$edgeAgent'"


@dataclass(frozen=True)
class Left:
    """Something that still needs the first password.

    Attributes:
        what: such as `device 'edge-01'`.
        why: in words.
    """

    what: str
    why: str


@dataclass(frozen=True)
class Rotated:
    """What came of a rotation.

    Attributes:
        new: the password that devices have now.
        devices: the outcome of each device that was named, in their order.
        left: what still needs the first password.
        dropped: the password that no longer works; None if it was kept because somebody needs it.
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
    """Who is told how it goes, and who is asked.

    Attributes:
        permit: is shown a sentence about what will be done, and raises to stop before anything is.
        step: a step that was taken.
        device: a device's outcome.
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
    """Replace a token's password, and drop the former one when nobody in the hub needs it.

    Killed anywhere, the same call goes on. Every password that a device's manifest holds works at every moment: the
    first is dropped only after each device that uses the token has confirmed the second.

    Args:
        target: what to change, see `devices`; others of the hub that use the token keep the first password alive.
        root: the user's state folder.
        days: until the new password expires.
        in_use: the password that devices have now, where that cannot be told.

    Raises:
        InputError: the target does not use the token, or which password is in use cannot be told.
        CloudError: the registry or the hub refused something that concerns all devices.
    """
    host = token.registry.login_server.lower()
    image = _image(target, host, token.name)
    begun = passwords.unfinished(token, root, now())
    name = begun.name if begun is not None else passwords.choose(token, root, in_use, now())
    observer.permit(f"{'go on with' if begun else 'make'} {name} of token {token.name} of {host} for {target.words}")
    if begun is None:
        new = passwords.make(registry, token, name, root, expiry_from(now(), days), now())
        observer.step(f"made {name} of token {token.name}{_until(new)}")
    else:
        new = begun
        observer.step(f"going on with {name} of token {token.name}{_until(new)}")
    if new.password is None:
        raise AssertionError("a password that was made has a text")
    login = Login(host, token.name, new.password)
    passwords.prove(registry, Credential(host, token.name, new.password), image, clock=clock, sleep=sleep)
    observer.step(f"{host} takes {name}")
    outcomes = tuple(target.move(login))
    left = (*_failing(outcomes), *_holders(hub, login, outcomes))
    dropped = None
    if not left:
        dropped = passwords.other(name)
        registry.drop_password(token, dropped)
        observer.step(f"dropped {dropped} of token {token.name}")
        stored.promote(root, host, token.name)
    return Rotated(host, token.name, new, outcomes, left, dropped)


def _until(new: StoredPassword) -> str:
    return f", works until {new.expiry:%Y-%m-%d}" if new.expiry else ""


def _image(target: Target, host: str, username: str) -> str:
    """An image that the target pulls with the token.

    Raises:
        InputError: there is none: a rotation would do nothing but end the former password.
    """
    any_password = Login(host, username, Secret(""))
    for content in target.contents():
        if any_password.passwords_in(content) and (found := images_of(content, host)):
            return found[0]
    raise InputError(
        f"nothing there pulls an image with token {username}: looked at {target.words}",
        where=f"registry {host}",
        fix="bring the token to a device first: 'manifestgen deploy' with registry credentials token",
    )


def _failing(outcomes: Sequence[DeviceOutcome]) -> Iterator[Left]:
    for one in outcomes:
        if one.state in ("unhealthy", "failed"):
            yield Left(f"device {one.device!r}", one.words)


def _holders(hub: Hub, login: Login, outcomes: Sequence[DeviceOutcome]) -> Iterator[Left]:
    """Whoever in the hub has another password of the token than the new one, or has not confirmed that.

    The hub's index, which answers queries, may be some seconds behind, so that whoever it names is read once more.
    """
    settled = {one.device for one in outcomes if one.state in ("rotated", "unhealthy", "failed")}
    for row in hub.query(_QUERY):
        device, runtime = str(row.get("deviceId")), row.get("runtime")
        if device in settled or (isinstance(runtime, dict) and not login.passwords_in(agent_content(runtime))):
            continue
        agent = hub.module_twin(device, "$edgeAgent")
        if agent is None or not login.passwords_in(_content(agent.desired)):
            continue
        if not login.is_in(_content(agent.desired)):
            yield Left(f"device {device!r}", "its manifest holds the former password")
        elif not _has_taken(agent, login):
            yield Left(f"device {device!r}", "it has not taken the new password yet")
    for configuration in hub.configurations():
        if not configuration.content.get("modulesContent"):
            continue  # one for modules, which logs in to no registry
        if login.passwords_in(configuration.content) and not login.is_in(configuration.content):
            yield Left(f"automatic deployment {configuration.id!r}", "it holds the former password")


def _has_taken(agent: Twin, login: Login) -> bool:
    """Whether a device has confirmed a manifest with the new password, and no other since.

    edgeAgent reports the version of the desired properties that it last understood.
    """
    return login.is_in(_content(agent.desired)) and agent.reported.get("lastDesiredVersion") == agent.desired_version


def _content(desired: Mapping[str, Any]) -> dict[str, Any]:
    return {"modulesContent": {"$edgeAgent": {"properties.desired": desired}}}
