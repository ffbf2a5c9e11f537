"""Direct methods: calls that wait for a module's answer.

Source: Azure/iotedge, InvokeMethodHandler.cs, DeviceMessageHandler.cs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from manifestgen.edge.hub import topics
from manifestgen.edge.hub.session import Session


class MethodError(Exception):
    """A method was not answered."""


class NotConnected(MethodError):
    """The module is not there, or does not listen for methods."""


class TimedOut(MethodError):
    """The module was called and did not answer in time."""


@dataclass(frozen=True)
class MethodAnswer:
    """The answer of a method; `payload` is any JSON value."""

    status: int
    payload: Any


_Answer = tuple[int, bytes]


class Methods:
    """The calls under way."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[Session, asyncio.Future[_Answer]]] = {}

    async def invoke(self, session: Session, method: str, payload: bytes, connect: float, respond: float) -> _Answer:
        """Call a method: status and payload of its answer. Raises `NotConnected` or `TimedOut`."""
        loop = asyncio.get_running_loop()
        request = str(uuid4())
        answer: asyncio.Future[_Answer] = loop.create_future()
        self._calls[request] = (session, answer)
        try:
            topic = topics.method(method, request)
            if not session.notify(topic, payload):
                waiter: asyncio.Future[None] = loop.create_future()
                session.waiters.append(waiter)
                await asyncio.wait((waiter,), timeout=connect)
                if not waiter.done() or waiter.cancelled() or not session.notify(topic, payload):
                    waiter.cancel()
                    raise NotConnected(f"{session.module} does not listen for methods")
            await asyncio.wait((answer,), timeout=respond)
            if not answer.done() or answer.cancelled():
                raise TimedOut(f"{session.module} did not answer the method {method} within {respond:g} s")
            return answer.result()
        finally:
            del self._calls[request]

    def answered(self, session: Session, topic: str, payload: bytes) -> bool:
        """Accept an answer; False if no call waits for it."""
        read = topics.read_method_response(topic)
        found = self._calls.get(read[1].lower()) if read is not None else None
        if read is None or found is None or found[0] is not session or found[1].done():
            return False
        found[1].set_result((read[0], payload))
        return True

    def stop(self) -> None:
        """Fail all waiting calls."""
        for session, answer in self._calls.values():
            answer.cancel()
            for waiter in session.waiters:
                waiter.cancel()
            session.waiters.clear()
