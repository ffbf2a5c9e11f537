"""Hubs for tests: a device with modules, and a cloud that remembers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from edge.raw import Module

from manifestgen.edge.cloud import LocalCloud
from manifestgen.edge.hub import EdgeHub, Limits
from manifestgen.edge.identity import Identity
from manifestgen.edge.message import Message

#: Quick enough for a test, in the proportions of the real ones.
QUICK = Limits(acknowledge=0.4, tokens=0.2, connect=1.0, handshake=2.0, sweep=0.2, retry=(0.05, 0.2))


class Hub:
    """A running hub with its device and its cloud.

    Attributes:
        said: the lines of its log.
    """

    def __init__(self, limits: Limits = QUICK, clock: Callable[[], float] = time.time) -> None:
        self.identity = Identity("acme.azure-devices.net", "edge-1")
        for module in ("a", "b", "c"):
            self.identity.add(module)
        self.cloud = LocalCloud({"a": {"threshold": 1}})
        self.said: list[str] = []
        self.hub = EdgeHub(self.identity, self.cloud, log=self.said.append, limits=limits, clock=clock)
        self._stack = ExitStack()

    def routes(self, *texts: str, seconds: int = 7200, **named: Mapping[str, Any]) -> None:
        """Carry out these routes."""
        routes: dict[str, Any] = {f"r{number}": text for number, text in enumerate(texts)}
        store = {"timeToLiveSecs": seconds}
        self.hub.configure({"schemaVersion": "1.1", "routes": routes | named, "storeAndForwardConfiguration": store})

    def open(self, module: str) -> Module:
        """A connection without a CONNECT; it ends with the test."""
        return self._stack.enter_context(Module(self.identity, self.hub.port, module))

    def module(self, name: str, *, inputs: bool = True, clean: bool = False) -> Module:
        """A module that has logged in, and subscribed to its inputs."""
        module = self.open(name)
        assert module.login(clean=clean).body[1] == 0
        if inputs:
            module.subscribe()
        return module

    def feed(self, body: bytes, output: str = "out", module: str = "feeder", **properties: str) -> None:
        """A message of a module inside this process."""
        self.hub.publish(Message(body, properties, device="edge-1", module=module, output=output))

    def upstream(self, count: int, timeout: float = 10) -> list[Message]:
        """The messages that reached the cloud, once there are as many."""
        wait(lambda: len(self.cloud.messages) >= count, timeout)
        assert len(self.cloud.messages) == count
        return list(self.cloud.messages)

    def close(self) -> None:
        self._stack.close()
        self.hub.stop()


def wait(condition: Callable[[], object], timeout: float = 10) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


@contextmanager
def running(limits: Limits = QUICK, clock: Callable[[], float] = time.time) -> Iterator[Hub]:
    """A hub that is started, and stopped in the end."""
    hub = Hub(limits, clock)
    hub.hub.start()
    try:
        yield hub
    finally:
        hub.close()
