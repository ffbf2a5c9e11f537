"""Our own edgeHub as a broker of the conformance suite: what it delivers comes by a route, and goes to `$upstream`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.broker import DEVICE, GENERATION, HUB, MODULE, Result

from manifestgen.edge.cloud import LocalCloud
from manifestgen.edge.hub import EdgeHub, Limits
from manifestgen.edge.identity import Identity
from manifestgen.edge.message import Message
from manifestgen.edge.workload import Workload

FEEDER = "feeder"
_WIRE = {"messageId": "$.mid", "cid": "$.cid", "contentType": "$.ct", "contentEncoding": "$.ce", "outputName": "$.on"}
_SYSTEM = {wire: name for name, wire in _WIRE.items()}


class OwnEdgeHub:
    """An edgeHub with a module, and the cloud behind it.

    Attributes:
        log: what edgeHub has said.
    """

    def __init__(self, folder: Path, limits: Limits = Limits()) -> None:  # noqa: B008 a frozen value
        self.identity = Identity(HUB, DEVICE)
        self.results: list[Result] = []
        self.log: list[str] = []
        self.cloud = LocalCloud(heard=self._heard)
        self.hub = EdgeHub(self.identity, self.cloud, log=self.log.append, limits=limits)
        self.workload = Workload(self.identity, MODULE, GENERATION, folder / "workload.sock")
        self._changed = threading.Condition()
        self._taken = 0
        self._inputs: set[str] = set()
        self._configure()

    def _configure(self) -> None:
        inputs = {
            f"to-{name}": f"FROM /messages/modules/{FEEDER}/outputs/{name} "
            f'INTO BrokeredEndpoint("/modules/{MODULE}/inputs/{name}")'
            for name in self._inputs
        }
        results = {"results": f"FROM /messages/modules/{MODULE}/* INTO $upstream"}
        self.hub.configure({"routes": {**inputs, **results}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}})

    def environment(self) -> dict[str, str]:
        found = self.identity.environment(MODULE, GENERATION, self.workload.uri)
        return {**found, "RuntimeLogLevel": "info", "RUNNER_PORT": str(self.hub.port)}

    def start(self) -> None:
        self.hub.start()

    def stop(self) -> None:
        self.hub.stop()

    def send(self, body: bytes, properties: Mapping[str, str] = {}, name: str = "amlInput") -> None:
        if name not in self._inputs:
            self._inputs.add(name)
            self._configure()
        system = {_SYSTEM[key]: value for key, value in properties.items() if key in _SYSTEM}
        custom = {key: value for key, value in properties.items() if not key.startswith("$.")}
        self.hub.publish(Message(body, custom, system, DEVICE, FEEDER, name))

    def _heard(self, message: Message) -> None:
        system = {_WIRE[key]: value for key, value in message.system.items() if key in _WIRE}
        with self._changed:
            self.results.append(Result({**system, **message.properties}, message.body))
            self._changed.notify_all()

    def wait(self, condition: Callable[[], Any], timeout: float = 30) -> Any:
        """Wait until the condition holds, and return what it returned."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, "timed out: " + "; ".join(self.log)
                self._changed.wait(min(left, 0.2))
        return value

    def result(self, timeout: float = 30) -> Result:
        self.wait(lambda: len(self.results) > self._taken, timeout)
        self._taken += 1
        return self.results[self._taken - 1]

    def no_result(self, seconds: float = 0.5) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self.results) > self._taken, seconds)
            assert len(self.results) == self._taken, f"the module sent {self.results[self._taken]}"

    def desire(self, patch: Mapping[str, Any]) -> int:
        version = self.cloud.desire(MODULE, patch)
        self.hub.desired_changed(MODULE, patch, version)
        return version

    @property
    def reported(self) -> dict[str, Any]:
        return dict(self.cloud.twin(MODULE).reported)

    def call(self, name: str, payload: bytes, timeout: float = 30) -> tuple[int, Any]:
        answer = self.hub.invoke(MODULE, name, payload, connect_timeout=timeout, response_timeout=timeout)
        return answer.status, answer.payload

    def cut(self) -> None:
        self.hub.disconnect(MODULE)


@contextmanager
def own_edge_hub(folder: Path, limits: Limits = Limits()) -> Iterator[OwnEdgeHub]:  # noqa: B008 a frozen value
    """A running edgeHub of our own, with a workload socket for the module."""
    broker = OwnEdgeHub(folder, limits)
    broker.workload.start()
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
        broker.workload.stop()
