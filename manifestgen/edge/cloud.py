"""An edgeHub's requests to its IoT hub, as a Protocol, and an in-memory hub for modules that run without one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from manifestgen.edge.message import Message
from manifestgen.runner.twin import merge


@dataclass(frozen=True)
class Twin:
    """A module's twin: both sections without `$version` and `$metadata`, and their versions."""

    desired: Mapping[str, Any] = field(default_factory=dict)
    desired_version: int = 1
    reported: Mapping[str, Any] = field(default_factory=dict)
    reported_version: int = 1


class Cloud(Protocol):
    """The IoT hub. All calls come from one thread, one after the other; an exception is tried again or reported."""

    def received(self, message: Message) -> None:
        """A message has reached `$upstream`. If it raises, the message waits and comes again."""
        ...

    def twin(self, module: str) -> Twin:
        """The twin of a module of this device."""
        ...

    def report(self, module: str, patch: Mapping[str, Any]) -> int:
        """Merge a patch into the reported properties; the new version. `ValueError` for one that it rejects."""
        ...


def _ignore(_: Message) -> None:
    return


class LocalCloud:
    """A hub in memory: it keeps twins and the newest messages.

    Attributes:
        messages: the newest that reached it, oldest first.
    """

    def __init__(
        self,
        twins: Mapping[str, Mapping[str, Any]] = {},
        *,
        kept: int = 1000,
        heard: Callable[[Message], None] = _ignore,
    ) -> None:
        """Start with these desired properties of modules; `heard` is called with each message that arrives."""
        self.messages: deque[Message] = deque(maxlen=kept)
        self._twins = {module: Twin(desired) for module, desired in twins.items()}
        self._heard = heard
        self._lock = threading.Lock()

    def received(self, message: Message) -> None:
        """See `Cloud`."""
        self.messages.append(message)
        self._heard(message)

    def twin(self, module: str) -> Twin:
        """See `Cloud`."""
        with self._lock:
            return self._twins.get(module, Twin())

    def report(self, module: str, patch: Mapping[str, Any]) -> int:
        """See `Cloud`."""
        with self._lock:
            old = self._twins.get(module, Twin())
            version = old.reported_version + 1
            self._twins[module] = replace(
                old, reported=merge(dict(old.reported), dict(patch)), reported_version=version
            )
            return version

    def desire(self, module: str, patch: Mapping[str, Any]) -> int:
        """Merge a patch into the desired properties; the new version, for `EdgeHub.desired_changed`."""
        with self._lock:
            old = self._twins.get(module, Twin())
            version = old.desired_version + 1
            desired = merge(dict(old.desired), dict(patch))
            self._twins[module] = replace(old, desired=desired, desired_version=version)
            return version
