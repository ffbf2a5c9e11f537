"""A change under trouble of every kind and length: what is sent, what is read, how long it takes, what is said.

Retries, rounds and words are those of users; the hub is a wire in memory and time passes only where somebody sleeps.
`pytest -s` prints the table.
"""

from __future__ import annotations

import json
import threading
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
    DELETE_CONFIGURATION,
    GET_CONFIGURATION,
    GET_MODULE_TWIN,
    GET_MODULES,
    GET_TWIN,
    PUT_CONFIGURATION,
    Call,
    LostError,
    RefusedError,
    Reply,
)
from manifestgen.cloud import Configuration
from manifestgen.deployments.deployment import NAME_LABEL
from manifestgen.deployments.writing import Writer
from manifestgen.device.apply import apply, read_state
from manifestgen.device.plan import plan
from manifestgen.errors import CloudError, DeniedError, ManifestgenError, UnconfirmedError
from manifestgen.manifest.manifest import Manifest
from manifestgen.target import SENDING, Patience

HOST, DEVICE, NAME = "contoso.azure-devices.net", "edge-01", "fleet"
WANTED = content({"scorer": module("acme.azurecr.io/scorer:1")})
CONFIGURATION = Configuration("fleet-1", WANTED, "tags.site = 'lab'", 10, {NAME_LABEL: NAME})
FOR_EVER = 10**6


class Clock:
    """Time that passes only where a thread sleeps: in each by itself, as reads side by side take no longer than one."""

    def __init__(self) -> None:
        self._owner = threading.get_ident()
        self._times = {self._owner: 0.0}

    @property
    def now(self) -> float:
        """In the thread of the test, the latest time of all; another thread begins with the test's."""
        me = threading.get_ident()
        if me == self._owner:
            self._times[me] = max(list(self._times.values()))
        return max(self._times.get(me, 0.0), self._times[self._owner])

    @now.setter
    def now(self, seconds: float) -> None:
        if threading.get_ident() == self._owner:
            self._times.clear()
        self._times[threading.get_ident()] = seconds

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


#: What a change comes to; raises, or returns to carry on.
Trouble = Callable[["Service", Call], None]


@dataclass
class Service:
    """A hub with one device and, if anything set one, one automatic deployment.

    Attributes:
        trouble: what befalls a change.
        until: seconds that the trouble lasts.
        reads_too: whether it befalls reads as well.
    """

    clock: Clock
    trouble: Trouble
    until: float
    reads_too: bool = False
    twins: dict[str, Mapping[str, Any]] = field(default_factory=lambda: {"$edgeAgent": {}, "$edgeHub": {}})
    configuration: dict[str, Any] | None = None
    version: int = 1
    sends: int = 0
    reads: int = 0
    name: str = "in memory"

    def send(self, call: Call) -> Reply:
        self.clock.now += 0.05
        writes = call.operation in (APPLY_CONTENT, PUT_CONFIGURATION, DELETE_CONFIGURATION)
        self.sends += writes
        self.reads += not writes
        if self.clock.now < self.until and (writes or self.reads_too):
            self.trouble(self, call)
        if writes:
            self.take(call)
            return Reply(204 if call.operation.success == {204} else 200, {}, "{}")
        return Reply(200, {}, json.dumps(self._answer(call)))

    def take(self, call: Call) -> None:
        """Do what a change asks for."""
        self.version += 1
        if call.operation == APPLY_CONTENT:
            self.twins = {name: entry["properties.desired"] for name, entry in WANTED["modulesContent"].items()}
        elif call.operation == PUT_CONFIGURATION:
            assert isinstance(call.body, dict)
            self.configuration = call.body
        else:
            self.configuration = None

    def _answer(self, call: Call) -> Any:
        if call.operation == GET_CONFIGURATION:
            if self.configuration is None:
                raise RefusedError(Reply(404, {}, "{}"))
            return {**self.configuration, "etag": f"etag-{self.version}"}
        if call.operation == GET_TWIN:
            return {"deviceId": DEVICE, "capabilities": {"iotEdge": True}}
        if call.operation == GET_MODULES:
            return [{"moduleId": name} for name in self.twins]
        assert call.operation == GET_MODULE_TWIN
        name = call.ids["module"]
        return {"moduleId": name, "properties": {"desired": {**self.twins[name], "$version": self.version}}}


def status(code: int) -> Trouble:
    def answer(service: Service, call: Call) -> None:
        raise RefusedError(Reply(code, {"iothub-errorcode": "Sandboxed"}, "{}"))

    return answer


def reset(service: Service, call: Call) -> None:
    raise LostError("no whole answer arrived") from requests.ConnectionError(ConnectionResetError("connection reset"))


def lost(service: Service, call: Call) -> None:
    service.take(call)
    reset(service, call)


KINDS: dict[str, Trouble] = {
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
    steps: list[str]

    @property
    def is_made(self) -> bool:
        return self.service.version > 1


def _set_modules(hub: IotHub, sending: Patience, steps: list[str]) -> Callable[[], object]:
    proposed = plan(Manifest.of(WANTED), read_state(hub, DEVICE))
    return lambda: apply(proposed, hub, sending)


def _create(hub: IotHub, sending: Patience, steps: list[str]) -> Callable[[], object]:
    return lambda: Writer(hub, NAME, steps.append, sending).put(CONFIGURATION)


def _update(hub: IotHub, sending: Patience, steps: list[str]) -> Callable[[], object]:
    hub.create_configuration(CONFIGURATION)
    return lambda: Writer(hub, NAME, steps.append, sending).put(replace(CONFIGURATION, priority=11))


def _delete(hub: IotHub, sending: Patience, steps: list[str]) -> Callable[[], object]:
    hub.create_configuration(CONFIGURATION)
    return lambda: Writer(hub, NAME, steps.append, sending).remove(CONFIGURATION)


# Prepares a change and returns what makes it; and the words for its not being made, and its being made.
CHANGES: dict[str, tuple[Callable[[IotHub, Patience, list[str]], Callable[[], object]], str, str]] = {
    "modules": (_set_modules, "its modules are not set", ""),
    "create": (_create, "it is not set", "created 'fleet-1' with priority 10"),
    "update": (_update, "it is not set", "changed 'fleet-1': priority 10 to 11"),
    "delete": (_delete, "it is not deleted", "deleted 'fleet-1'"),
}


def made(change: str, trouble: Trouble, until: float, *, reads_too: bool = False) -> Came:
    clock, steps = Clock(), list[str]()
    service = Service(clock, trouble, 0.0)
    patience = replace(PATIENCE, clock=clock, sleep=clock.sleep)
    hub = IotHub(HOST, Requests(service, HOST, "ask for the role", patience, expired="log in again"))
    make = CHANGES[change][0](hub, replace(SENDING, clock=clock, sleep=clock.sleep), steps)
    clock.now, service.sends, service.reads, service.version = 0.0, 0, 0, 1
    service.until, service.reads_too = until, reads_too
    try:
        make()
    except ManifestgenError as error:
        return Came(service, error, steps)
    return Came(service, None, steps)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_under_trouble_ends_in_time_and_says_what_is_so(change: str, kind: str, length: str) -> None:
    came = made(change, KINDS[kind], LENGTHS[length])
    service, error = came.service, came.error
    words = f"{error.what}; fix: {error.fix}" if error is not None else "made"
    counts = f"{service.sends:>3} sends {service.reads:>4} reads {service.clock.now:>6.1f} s"
    print(f"\n{change:<8} {kind:<12} {length:<9} {counts}  {words}")

    _, not_made, step = CHANGES[change]
    assert service.clock.now < 125
    # Only what was made is told, and that once.
    assert came.steps == ([step] if step and error is None else [])
    if kind == "lost answer":
        # It was looked up, and nothing was sent twice.
        assert (error, service.sends) == (None, 1)
    elif kind == "401":
        assert isinstance(error, DeniedError) and service.sends == 1
        assert error.fix == "log in again"
    elif length == "5 s":
        assert error is None and came.is_made
        assert service.sends <= 12
    else:
        assert type(error) is CloudError and not came.is_made
        # Two minutes of rounds or retries, with pauses between them.
        assert service.clock.now > 90
        assert service.sends <= 25
        if kind != "429":
            assert error.what.startswith(not_made)
            assert error.fix == "run the same command again"
        else:
            assert "still throttled after 2 min" in error.what


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_cannot_be_looked_up_is_not_said_to_be_missing(change: str) -> None:
    came = made(change, reset, FOR_EVER, reads_too=True)
    # What is there is read before anything is sent.
    assert type(came.error) is CloudError and came.service.sends == 0

    def only_the_change(service: Service, call: Call) -> None:
        service.reads_too = True
        reset(service, call)

    came = made(change, only_the_change, FOR_EVER)
    assert isinstance(came.error, UnconfirmedError)
    assert "may or may not be" in came.error.what
    assert came.steps == []
    assert came.service.clock.now < 125
