"""A change under trouble of every kind and length: what is sent, what is read, how long it takes, what is said.

Retries, rounds and words are those of users; the hub is a wire in memory and time passes only where somebody sleeps.
`pytest -s` prints the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from fakes.hub_service import content, module

from manifestgen.azure.iot_hub import PATIENCE, IotHub
from manifestgen.azure.iot_hub.retry import Requests
from manifestgen.azure.iot_hub.wire import (
    APPLY_CONTENT,
    GET_MODULE_TWIN,
    GET_MODULES,
    GET_TWIN,
    Call,
    LostError,
    RefusedError,
    Reply,
)
from manifestgen.device.apply import apply, read_state
from manifestgen.device.plan import plan
from manifestgen.errors import CloudError, DeniedError, ManifestgenError, UnconfirmedError
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import SENDING

HOST, DEVICE = "contoso.azure-devices.net", "edge-01"
WANTED = content({"scorer": module("acme.azurecr.io/scorer:1")})
FOR_EVER = 10**6


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Service:
    """A hub with one device.

    Attributes:
        trouble: what a write comes to; raises, or returns to carry on.
        until: seconds that the trouble lasts.
        reads_too: whether it befalls reads as well.
    """

    clock: Clock
    trouble: Callable[[Service], None]
    until: float
    reads_too: bool = False
    twins: dict[str, Mapping[str, Any]] = field(default_factory=lambda: {"$edgeAgent": {}, "$edgeHub": {}})
    version: int = 1
    sends: int = 0
    reads: int = 0
    name: str = "in memory"

    def send(self, call: Call) -> Reply:
        self.clock.now += 0.05
        writes = call.operation == APPLY_CONTENT
        self.sends += writes
        self.reads += not writes
        if self.clock.now < self.until and (writes or self.reads_too):
            self.trouble(self)
        if writes:
            self.set()
            return Reply(204, {}, "")
        return Reply(200, {}, json.dumps(self._answer(call)))

    def set(self) -> None:
        self.version += 1
        self.twins = {name: entry["properties.desired"] for name, entry in WANTED["modulesContent"].items()}

    def _answer(self, call: Call) -> Any:
        if call.operation == GET_TWIN:
            return {"deviceId": DEVICE, "capabilities": {"iotEdge": True}}
        if call.operation == GET_MODULES:
            return [{"moduleId": name} for name in self.twins]
        assert call.operation == GET_MODULE_TWIN
        name = call.ids["module"]
        return {"moduleId": name, "properties": {"desired": {**self.twins[name], "$version": self.version}}}


def status(code: int) -> Callable[[Service], None]:
    def answer(service: Service) -> None:
        raise RefusedError(Reply(code, {"iothub-errorcode": "Sandboxed"}, "{}"))

    return answer


def reset(service: Service) -> None:
    raise LostError("no whole answer arrived") from requests.ConnectionError(ConnectionResetError("connection reset"))


def lost(service: Service) -> None:
    service.set()
    reset(service)


KINDS: dict[str, Callable[[Service], None]] = {
    "503": status(503),
    "429": status(429),
    "reset": reset,
    "lost answer": lost,
    "401": status(401),
}
LENGTHS = {"5 s": 5.0, "3 min": 180.0, "for ever": float(FOR_EVER)}


@dataclass(frozen=True)
class Came:
    """What came of it."""

    service: Service
    error: ManifestgenError | None

    @property
    def is_set(self) -> bool:
        return self.service.version > 1


def applied(trouble: Callable[[Service], None], until: float, *, reads_too: bool = False) -> Came:
    clock = Clock()
    service = Service(clock, trouble, until)
    patience = replace(PATIENCE, clock=clock, sleep=clock.sleep)
    hub = IotHub(HOST, Requests(service, HOST, "ask for the role", patience, expired="log in again"))
    proposed = plan(Manifest.of(WANTED), read_state(hub, DEVICE))
    clock.now, service.reads, service.reads_too = 0.0, 0, reads_too
    try:
        apply(proposed, hub, replace(SENDING, clock=clock, sleep=clock.sleep))
    except ManifestgenError as error:
        return Came(service, error)
    return Came(service, None)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_under_trouble_ends_in_time_and_says_what_is_so(kind: str, length: str) -> None:
    came = applied(KINDS[kind], LENGTHS[length])
    service, error = came.service, came.error
    words = f"{error.what}; fix: {error.fix}" if error is not None else "set"
    counts = f"{service.sends:>3} sends {service.reads:>4} reads {service.clock.now:>6.1f} s"
    print(f"\n{kind:<12} {length:<9} {counts}  {words}")

    assert service.clock.now < 125
    if kind == "lost answer":
        # It was looked up, and nothing was sent twice.
        assert (error, service.sends) == (None, 1)
    elif kind == "401":
        assert isinstance(error, DeniedError) and service.sends == 1
        assert error.fix == "log in again"
    elif length == "5 s":
        assert error is None and came.is_set
        assert service.sends <= 12
    else:
        assert type(error) is CloudError and not came.is_set
        # Two minutes of rounds or retries, with pauses between them.
        assert service.clock.now > 90
        assert service.sends <= 25
        if kind != "429":
            assert "its modules are not set" in error.what
            assert error.fix == "run the same command again"
        else:
            assert "still throttled after 2 min" in error.what


def test_a_change_that_cannot_be_looked_up_is_not_said_to_be_missing() -> None:
    came = applied(reset, FOR_EVER, reads_too=True)
    # The version is read before anything is sent.
    assert type(came.error) is CloudError and came.service.sends == 0

    def only_the_change(service: Service) -> None:
        service.reads_too = True
        reset(service)

    came = applied(only_the_change, FOR_EVER)
    assert isinstance(came.error, UnconfirmedError)
    assert "may or may not be set" in came.error.what
    assert came.service.clock.now < 125
