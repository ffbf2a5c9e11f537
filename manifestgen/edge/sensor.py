"""The simulated temperature sensor: a module that sends what Microsoft's of this name sends.

    python -m manifestgen.edge.sensor

A machine warms up from 21 to 100 °C, by half a degree a message on average, and stays there; its pressure follows from
its temperature. Source: learn.microsoft.com/azure/iot-edge/tutorial-simulated-temperature-sensor… and the module's own
`SimulatedTemperatureSensor` in Azure/iotedge: output `temperatureOutput`, input `control`, method `reset`, desired
properties `SendData` and `SendInterval`, variables `MessageDelay` and `MessageCount`.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

from manifestgen.runner import log, topics
from manifestgen.runner.edge import subscriptions
from manifestgen.runner.endpoint import Endpoint
from manifestgen.runner.errors import RunnerError
from manifestgen.runner.handler import Receipt
from manifestgen.runner.identity import from_environment
from manifestgen.runner.log import logger
from manifestgen.runner.session import Session
from manifestgen.runner.topics import ModuleTopics
from manifestgen.runner.twin import Twin

OUTPUT: Final = "temperatureOutput"
CONTROL: Final = "control"
DELAY: Final = "MessageDelay"

_DEFAULT_DELAY: Final = 5.0
_DEFAULT_COUNT: Final = 500
_TOKEN_SECONDS: Final = 3600.0
_STOP_SECONDS: Final = 5.0
_TIME_SPAN: Final = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?")


@dataclass(frozen=True)
class Simulation:
    """The simulation: the machine's range of temperature (°C) and pressure, and the air around it."""

    temperature: tuple[float, float] = (21.0, 100.0)
    pressure: tuple[float, float] = (1.0, 10.0)
    ambient: float = 21.0

    def bodies(self, reset: Callable[[], bool], dice: random.Random) -> Iterator[dict[str, Any]]:
        """One message's body after the other; where `reset` returns true, the machine is cold again."""
        low, high = self.temperature
        slope = (self.pressure[1] - self.pressure[0]) / (high - low)
        current = low
        while True:
            if reset():
                current = low
            current += dice.random() - 0.5 if current > high else -0.25 + dice.random() * 1.5
            yield {
                "machine": {"temperature": current, "pressure": self.pressure[0] + (current - low) * slope},
                "ambient": {"temperature": self.ambient + dice.random() - 0.5, "humidity": dice.randrange(24, 27)},
                "timeCreated": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            }


def delay_of(text: str) -> float:
    """Seconds of a time span as .NET writes it, such as `00:00:05`; 5 for anything else."""
    found = _TIME_SPAN.fullmatch(text.strip())
    if found is None:
        return _DEFAULT_DELAY
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds + float(found[5] or 0)


def time_span(seconds: float) -> str:
    """The text that `delay_of` reads."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}" + f"{seconds % 1:.7f}"[1:]


class Sensor:
    """Sends until it is stopped. The session's thread calls what `Handler` names; `run` is for the main thread."""

    def __init__(self, environ: Mapping[str, str], session: Session, module: ModuleTopics) -> None:
        """Nothing is sent before `run`."""
        self.stopping = threading.Event()
        self._session, self._topics = session, module
        self._twin = Twin(session.publish, self._desired)
        self._delay = delay_of(environ.get(DELAY, ""))
        count = environ.get("MessageCount", "")
        self._count = int(count) if re.fullmatch(r"-?\d+", count) else _DEFAULT_COUNT
        self._sends = True
        self._reset = threading.Event()
        self._wake = threading.Event()
        self._unsent = 0
        self._batch = str(uuid.uuid4())

    def run(self) -> None:
        """Send a message, wait, and so on; after `MessageCount` messages only wait."""
        bodies = Simulation().bodies(self._was_reset, random.Random())  # noqa: S311 - a simulation
        number = 1
        while not self.stopping.is_set() and (self._count < 0 or number <= self._count):
            if self._sends:
                self._session.call_soon(partial(self._send, next(bodies), number))
                number += 1
            self._wake.wait(self._delay)
            self._wake.clear()
        if not self.stopping.is_set():
            logger.info("Done sending %d messages", self._count)
            self.stopping.wait()

    def stop(self) -> None:
        """End `run`."""
        self.stopping.set()
        self._wake.set()

    def _was_reset(self) -> bool:
        found = self._reset.is_set()
        self._reset.clear()
        return found

    def _send(self, body: Mapping[str, Any], number: int) -> None:
        if not self._session.connected and self._unsent > 100:
            return  # a sensor does not keep what it could not send for ever
        self._unsent += 1
        system = ((topics.OUTPUT_NAME, OUTPUT), (topics.CONTENT_TYPE, "application/json"), ("$.ce", "utf-8"))
        custom = {"sequenceNumber": str(number), "batchId": self._batch}
        self._session.publish(self._topics.event(system, custom), json.dumps(body).encode(), self._sent)

    def _sent(self) -> None:
        self._unsent -= 1

    # The session's handler.

    def connected(self) -> None:
        """See `Handler`."""
        self._twin.connected()

    def disconnected(self) -> None:
        """See `Handler`."""
        self._twin.disconnected()

    def received(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        """See `Handler`."""
        self._session.ack(receipt)
        if (response := topics.read_twin_response(topic)) is not None:
            self._twin.on_response(response, payload)
        elif (patch := topics.read_twin_patch(topic)) is not None:
            self._twin.on_patch(patch, payload)
        elif (method := topics.read_method(topic)) is not None:
            self._method(method.name, method.request_id)
        elif (found := self._topics.read_input(topic)) is not None and found[0] == CONTROL:
            self._control(payload)

    def flushed(self) -> None:
        """See `Handler`."""

    def expecting(self) -> bool:
        """See `Handler`."""
        return False

    def tick(self, now: float) -> None:
        """See `Handler`."""
        self._twin.tick(now)

    def idle(self) -> bool:
        """See `Handler`."""
        return not self._unsent

    def _method(self, name: str, request: str) -> None:
        known = name.lower() == "reset"
        if known:
            self._do_reset()
        self._session.publish(topics.method_response(200 if known else 501, request), b"{}" if known else b"null")

    def _control(self, payload: bytes) -> None:
        """A command `{"command": "reset"}`, or a list of them; 0 is the same as `reset`."""
        try:
            content = json.loads(payload)
        except ValueError:
            logger.error("a message at the input %s is not JSON", CONTROL)
            return
        for command in content if isinstance(content, list) else [content]:
            word = command.get("command") if isinstance(command, dict) else None
            if str(word).lower() in ("reset", "0"):
                self._do_reset()

    def _do_reset(self) -> None:
        logger.info("Resetting temperature sensor..")
        self._reset.set()

    def _desired(self, desired: Mapping[str, Any], version: int) -> None:
        interval, sends = desired.get("SendInterval"), desired.get("SendData")
        before = self._delay, self._sends
        if isinstance(interval, int) and not isinstance(interval, bool) and interval >= 0:
            self._delay = float(interval)
        if isinstance(sends, bool):
            if self._sends and not sends:
                logger.info("Sending data disabled. Change twin configuration to start sending again.")
            self._sends = sends
        if before != (self._delay, self._sends):
            self._wake.set()
        self._twin.report({"SendData": self._sends, "SendInterval": self._delay})


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run until SIGTERM; the exit code."""
    log.start("info")
    try:
        found = from_environment(environ)
    except RunnerError as error:
        logger.critical("%s", error)
        return error.exit_code
    if found is None:
        logger.critical("the variables IOTEDGE_… are not set: this is a module of IoT Edge")
        return 1
    identity, signer = found
    module = ModuleTopics(identity.device, identity.module)
    session = Session(
        identity,
        signer,
        Endpoint(identity.gateway, int(environ.get("RUNNER_PORT") or 8883)),
        subscriptions(module),
        product="manifestgen-simulated-temperature-sensor",
        token_ttl=lambda: _TOKEN_SECONDS,
        crashed=lambda: os._exit(1),
    )
    sensor = Sensor(environ, session, module)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sensor.stop())
    session.start(sensor)
    sensor.run()
    session.stop(_STOP_SECONDS)
    session.join(_STOP_SECONDS + 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
