"""A `cloud.BulkHub` in memory, with everything that may go wrong on the way to one."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from manifestgen.errors import BusyError, CloudError, NotFoundError, UnconfirmedError


def busy(retry_after: float | None = None, *, throttled: bool = True) -> BusyError:
    """What a hub says that does not want a request now."""
    what = "the hub returned 429 ThrottlingException" if throttled else "the hub returned 503"
    return BusyError(what, fix="try again later", retry_after=retry_after, throttled=throttled)


class FakeBulkHub:
    """A hub that remembers what it was asked.

    Attributes:
        taken: for each device the bodies that the hub took, in order.
        reads: how many twins were read.
        gone: devices that the hub does not know.
        before: called with the device before each request; what it raises the caller gets, and the hub does nothing.
        lost: called with the device after the hub took a manifest; what it raises the caller gets.
    """

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = defaultdict(list)
        self.reads = 0
        self.gone: set[str] = set()
        self.before: Callable[[str], None] = lambda device: None
        self.lost: Callable[[str], None] = lambda device: None
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return "fake-hub.azure-devices.net"

    def set_modules(self, device_id: str, body: bytes) -> None:
        with self._lock:
            self.before(device_id)
            if device_id in self.gone:
                raise NotFoundError("the hub returned 404 DeviceNotFound", fix="check the id")
            self.taken[device_id].append(body)
            self.lost(device_id)

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        with self._lock:
            self.before(device_id)
            self.reads += 1
            if not self.taken[device_id]:
                return {}
            entry = json.loads(self.taken[device_id][-1])["modulesContent"].get(module)
            return None if entry is None else entry["properties.desired"]


def lost_answer() -> UnconfirmedError:
    """What the adapter says of an answer that did not arrive."""
    return UnconfirmedError("the response to a change was lost: connection reset", fix="look whether it was made")


def refusal() -> CloudError:
    """What the adapter says of a manifest that the hub does not take."""
    return CloudError("the hub returned 400 InvalidConfigurationContent", fix="correct the request")
