"""The module at edgeHub: inputs, twin and methods on top of the session. All state lives in the session's thread."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from . import methods, topics
from .handler import Receipt
from .inflight import Delivery, Inflight
from .jobs import Configure, Job
from .log import logger
from .message import Message, Outgoing
from .metrics import DUPLICATE, IGNORED, Metrics
from .session import Session
from .settings import Settings
from .topics import ModuleTopics
from .twin import Twin

# The first inputs wait this long for the settings in the twin.
_TWIN_TIMEOUT = 10.0


def subscriptions(module: ModuleTopics) -> Sequence[str]:
    """A module's subscriptions, in order: one must exist before the answer to a twin request arrives."""
    return (topics.TWIN_RESPONSES, topics.TWIN_PATCHES, topics.METHODS, module.inputs)


class EdgeModule:
    """Handles a session, and is what the rest of the runner knows of edgeHub."""

    def __init__(
        self,
        session: Session,
        module: ModuleTopics,
        settings: Settings,
        metrics: Metrics,
        *,
        submit: Callable[[Job], None],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        """Nothing happens before `start`.

        Args:
            session: not started yet.
            module: the topics of the module.
            settings: until the twin's are known.
            metrics: what to count in.
            submit: gives a job to the main thread.
            status: what to report, and what the method `status` answers.
        """
        self._session, self._topics, self._settings, self._metrics = session, module, settings, metrics
        self._submit, self._status = submit, status
        self._inflight = Inflight(session.ack)
        self._twin = Twin(session.publish, self._desired)
        self._configured = False
        self._wait_for_twin_until = 0.0
        self._held: list[tuple[str, bytes, Receipt]] = []
        self._ready: list[Delivery] = []
        # At most once: what is acknowledged and unfinished, and what waits for room among it.
        self._accepted = 0
        self._waiting: deque[tuple[Message, Receipt]] = deque()
        self._unsent = 0
        self._ignored: set[str] = set()
        self._answers: Mapping[str, Any] = {}
        self._report_at = 0.0
        self._kinds = 0
        self._busy = False

    def start(self) -> None:
        """Connect, in the session's thread, and stay connected."""
        self._session.start(self)

    # Called in any thread.

    def finish(self, delivery: Delivery, results: Sequence[Outgoing], *, more: bool = False) -> None:
        """Send an input's results; the input is finished once edgeHub has acknowledged them all.

        Args:
            delivery: the input.
            results: to send.
            more: whether another job waits, so that these results may wait for the next ones, for milliseconds.
        """
        call = partial(self._finish, delivery, results)
        if more and self.expecting():
            self._session.call_later(call)
        else:
            self._session.call_soon(call)

    def skip(self, delivery: Delivery) -> None:
        """An input is not scored after all: its connection is gone, or the process ends."""
        self._session.call_soon(partial(self._skip, delivery))

    def configured(self, settings: Settings, answers: Mapping[str, Any]) -> None:
        """Work with these settings from now on, and report what became of each desired property."""
        self._session.call_soon(partial(self._configure, settings, answers))

    def report_soon(self) -> None:
        """Something to report has changed."""
        self._session.call_soon(self._report)

    def stop(self, seconds: float) -> None:
        """Send what is unsent, then disconnect; within these seconds."""
        self._session.stop(seconds)
        self._session.join(seconds + 1)

    def stop_reported(self, seconds: float) -> None:
        """The same, but wait until everything is reported, too."""
        deadline = time.monotonic() + seconds
        self.report_soon()
        self._session.call_soon(self._twin.hurry)
        while time.monotonic() < deadline and not self._twin.settled:
            time.sleep(0.02)
        self.stop(max(1.0, deadline - time.monotonic()))

    # The session's handler.

    def connected(self) -> None:
        """See `Handler`."""
        self._metrics.connected = True
        self._metrics.connections += 1
        self._inflight.connected(self._session.generation)
        self._twin.connected()
        # Settings may have changed while edgeHub was away.
        self._configured = False
        self._wait_for_twin_until = time.monotonic() + _TWIN_TIMEOUT

    def disconnected(self) -> None:
        """See `Handler`."""
        self._metrics.connected = False
        self._inflight.disconnected()
        self._twin.disconnected()
        # Nothing of this was acknowledged: it comes again.
        self._held.clear()
        self._waiting.clear()

    def received(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        """See `Handler`."""
        if not topic.startswith("$iothub/"):
            if self._configured:
                self._take(topic, payload, receipt)
            else:
                self._held.append((topic, payload, receipt))
            return
        self._session.ack(receipt)
        if (response := topics.read_twin_response(topic)) is not None:
            self._twin.on_response(response, payload)
        elif (patch := topics.read_twin_patch(topic)) is not None:
            self._twin.on_patch(patch, payload)
        elif (method := topics.read_method(topic)) is not None:
            logger.info("direct method %s", method.name)
            reply = partial(self._reply_soon, method.request_id)
            methods.call(method.name, payload, reply, submit=self._submit, status=self._status)
        else:
            logger.debug("a message with the unknown topic %s", topic)

    def flushed(self) -> None:
        """See `Handler`. The main thread gets what has arrived together, so that the two rarely wait for each other."""
        for delivery in self._ready:
            self._submit(delivery)
        self._ready.clear()

    def expecting(self) -> bool:
        """See `Handler`. Only the session's thread makes this true: a call that relies on it finds a short wait."""
        return self._metrics.queued > 1

    def tick(self, now: float) -> None:
        """See `Handler`."""
        if self._session.connected and not self._configured and now >= self._wait_for_twin_until:
            logger.warning("no twin from edgeHub within %.0f s: continuing with the current settings", _TWIN_TIMEOUT)
            self._release()
        busy = self._metrics.busy(time.time())
        if now >= self._report_at or busy is not self._busy:
            self._busy = busy
            self._report()
        self._twin.tick(now)

    def idle(self) -> bool:
        """See `Handler`."""
        return not self._unsent and not self._accepted and not self._inflight.begun

    # Inputs.

    def _take(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        found = self._topics.read_input(topic)
        if found is None:
            logger.debug("a message with the unknown topic %s", topic)
            self._session.ack(receipt)
            return
        name, properties = found
        if self._settings.output_of(name) is None:
            self._ignore(name, receipt)
            return
        message = Message(name, payload, properties)
        if self._settings.at_least_once:
            delivery = self._inflight.take(message, (topic, payload), receipt)
            if delivery is None:
                self._metrics.count(name, DUPLICATE)
                logger.debug("message %s came again", message.id)
            else:
                self._queue(delivery)
        elif self._accepted < self._settings.queue:
            self._accept(message, receipt)
        else:
            # Not acknowledged: that is what keeps edgeHub from sending more.
            self._waiting.append((message, receipt))

    def _ignore(self, name: str, receipt: Receipt) -> None:
        self._session.ack(receipt)
        self._metrics.count(name if len(self._ignored) < 100 else "other", IGNORED)
        if name not in self._ignored and len(self._ignored) < 100:
            self._ignored.add(name)
            logger.warning("messages to the input %s are ignored: the setting inputs does not name it", name)

    def _accept(self, message: Message, receipt: Receipt) -> None:
        self._session.ack(receipt)
        self._accepted += 1
        self._queue(Delivery(message, ("", b""), receipt, at_least_once=False))

    def _queue(self, delivery: Delivery) -> None:
        self._metrics.queued += 1
        self._ready.append(delivery)

    def _finish(self, delivery: Delivery, results: Sequence[Outgoing]) -> None:
        self._metrics.queued -= 1
        if (kinds := len(self._metrics.requests)) != self._kinds:
            # The first result or failure is reported at once, because `deploy` waits for it.
            self._kinds = kinds
            self._report()
        remaining = len(results)
        if not remaining:
            self._finished(delivery)

        def sent() -> None:
            nonlocal remaining
            remaining -= 1
            self._unsent -= 1
            self._metrics.sent += 1
            if not remaining:
                self._finished(delivery)

        for outgoing in results:
            self._unsent += 1
            self._session.publish(outgoing.topic, outgoing.body, sent)

    def _skip(self, delivery: Delivery) -> None:
        self._metrics.queued -= 1
        if delivery.at_least_once:
            self._inflight.abandon(delivery)
        else:
            self._accepted -= 1

    def _finished(self, delivery: Delivery) -> None:
        if delivery.at_least_once:
            self._inflight.finish(delivery)
            return
        self._accepted -= 1
        if self._waiting and self._accepted < self._settings.queue:
            self._accept(*self._waiting.popleft())

    # Twin and methods.

    def _desired(self, desired: Mapping[str, Any], version: int) -> None:
        logger.info("desired properties, version %d", version)
        # From here on it is the main thread that inputs wait for, and it may be busy with one.
        self._wait_for_twin_until = math.inf
        self._submit(Configure(desired, version))

    def _configure(self, settings: Settings, answers: Mapping[str, Any]) -> None:
        self._settings, self._answers = settings, answers
        self._release()
        self._report()

    def _release(self) -> None:
        """Take the inputs that came before the settings."""
        self._configured = True
        held, self._held = self._held, []
        for topic, payload, receipt in held:
            self._take(topic, payload, receipt)

    def _report(self) -> None:
        self._report_at = time.monotonic() + self._settings.report_interval
        self._twin.report({**self._answers, **self._status()})

    def _reply_soon(self, request_id: str, status: int, payload: bytes) -> None:
        topic = topics.method_response(status, request_id)
        self._session.call_soon(partial(self._session.publish, topic, payload))
