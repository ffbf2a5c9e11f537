"""What a rotation needs to know of the things that hold the password: devices, or an automatic deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from manifestgen.credentials.rotation.entry import Login

DeviceState = Literal["rotated", "unaffected", "offline", "unhealthy", "failed"]


@dataclass(frozen=True)
class DeviceOutcome:
    """How a device ended up.

    Attributes:
        state: `rotated`: it runs healthy with the new password. `unaffected`: it does not use the token. `offline`: it
            gets the new password when it connects. `unhealthy`: it has the new password but does not become healthy.
            `failed`: the new password could not be set.
        words: why.
        changed: whether this run set the new password.
    """

    device: str
    state: DeviceState
    words: str = ""
    changed: bool = False


class Target(Protocol):
    """Something that is to hold the new password."""

    @property
    def words(self) -> str:
        """What it is, such as `3 devices`."""
        ...

    def contents(self) -> Iterator[Mapping[str, Any]]:
        """The manifests that it holds now, each `{"modulesContent": …}`.

        Raises:
            NotFoundError: it is not there.
        """
        ...

    def move(self, login: Login) -> Sequence[DeviceOutcome]:
        """Put a login into all of them and wait; the outcome of each device, if it knows its devices.

        Raises:
            CloudError: something went wrong that concerns all of them.
        """
        ...
