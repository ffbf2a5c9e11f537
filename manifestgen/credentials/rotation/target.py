"""The targets of a rotation, as a Protocol: devices, or an automatic deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from manifestgen.credentials.rotation.entry import Login

DeviceState = Literal["rotated", "unaffected", "offline", "unhealthy", "failed"]


@dataclass(frozen=True)
class DeviceOutcome:
    """The outcome of a rotation on a device.

    Attributes:
        state: `rotated`: it runs healthy with the new password. `unaffected`: it does not use the token. `offline`: it
            gets the new password when it connects. `unhealthy`: it has the new password but does not become healthy.
            `failed`: the new password could not be set.
        words: the reason.
        changed: whether this run set the new password.
    """

    device: str
    state: DeviceState
    words: str = ""
    changed: bool = False


class Target(Protocol):
    """A target that gets the new password."""

    @property
    def words(self) -> str:
        """The target in words, such as `3 devices`."""
        ...

    def contents(self) -> Iterator[Mapping[str, Any]]:
        """Its current manifests, each `{"modulesContent": …}`.

        Raises:
            NotFoundError: it does not exist.
        """
        ...

    def move(self, login: Login) -> Sequence[DeviceOutcome]:
        """Put a login into all of its manifests and wait; returns the outcome of each device, if known.

        Raises:
            CloudError: an error that affects all of them.
        """
        ...
