"""Calls to the cloud: they may block, so a separate thread makes them, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from manifestgen.edge.cloud import Cloud
from manifestgen.edge.hub.endpoint import Endpoint, Waiting
from manifestgen.edge.hub.limits import Limits

_T = TypeVar("_T")

#: As many messages go to the cloud's thread at a time.
_BATCH: Final = 50
_GOODBYE: Final = 5.0


class Upstream:
    """Brings messages to the cloud, and asks it about twins. All methods belong to the loop's thread."""

    def __init__(self, cloud: Cloud, limits: Limits, log: Callable[[str], None], emptied: Callable[[], None]) -> None:
        """Make the way; `emptied` is called whenever messages have left the queue."""
        self.endpoint = Endpoint()
        self._cloud, self._limits, self._log, self._emptied = cloud, limits, log, emptied
        self._thread: ThreadPoolExecutor | None = None
        self._sending: list[Waiting] = []
        self._asked: set[Future[Any]] = set()
        self._pause = limits.retry[0]
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin with what waits."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edgehub-cloud")
        self.pump()

    async def stop(self) -> None:
        """Stop sending. A message in flight counts as sent if accepted soon; otherwise it is queued again."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)
        if self._asked:
            await asyncio.wait([asyncio.wrap_future(future) for future in self._asked], timeout=_GOODBYE)
            await asyncio.sleep(0)
        self._asked.clear()
        for waiting in reversed(self._sending):
            self.endpoint.given_back(waiting)
        self._sending = []

    def ask(self, question: Callable[[], _T], answered: Callable[[Future[_T]], None]) -> None:
        """Have a question answered by the cloud's thread; `answered` is called in the loop's."""
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        future = self._thread.submit(question)
        self._asked.add(future)

        def finish() -> None:
            if future in self._asked:
                self._asked.remove(future)
                answered(future)

        future.add_done_callback(lambda _: _soon(loop, finish))

    def pump(self) -> None:
        """Send what waits, unless something is being sent or the cloud has just failed."""
        if self._thread is None or self._sending or self._retry is not None:
            return
        now = asyncio.get_running_loop().time()
        while len(self._sending) < _BATCH and (waiting := self.endpoint.take(now)) is not None:
            self._sending.append(waiting)
        if self._sending:
            batch = list(self._sending)
            self.ask(lambda: self._deliver(batch), self._delivered)

    def _deliver(self, batch: list[Waiting]) -> tuple[int, Exception | None]:
        for count, waiting in enumerate(batch):
            try:
                self._cloud.received(waiting.message)
            except Exception as error:  # the cloud's own, whatever it is: the message must not be lost
                return count, error
        return len(batch), None

    def _delivered(self, done: Future[tuple[int, Exception | None]]) -> None:
        count, error = done.result()
        batch, self._sending = self._sending, []
        for waiting in batch[:count]:
            self.endpoint.done(waiting)
        for waiting in reversed(batch[count:]):
            self.endpoint.given_back(waiting)
        if count:
            self._emptied()
            self._pause = self._limits.retry[0]
        if error is not None:
            self._log(f"the hub did not take a message, the next attempt is in {self._pause:g} s: {error}")
            self._retry = asyncio.get_running_loop().call_later(self._pause, self._again)
            self._pause = min(2 * self._pause, self._limits.retry[1])
        self.pump()

    def _again(self) -> None:
        self._retry = None
        self.pump()


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
        loop.call_soon_threadsafe(act)
