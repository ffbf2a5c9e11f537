"""The messages that wait for a sink: a queue for each priority, and an expiry for each message.

Times are monotonic: a clock that is set neither expires a message nor keeps one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from manifestgen.edge.message import Message

#: Overhead of a waiting message in bytes; the measured value is somewhat lower.
_OVERHEAD: Final = 1024


@dataclass(frozen=True)
class Waiting:
    """A message that waits for a sink.

    Attributes:
        priority: 0 is the first.
        expires: a monotonic time; infinity for never.
    """

    message: Message
    priority: int
    expires: float
    size: int


class Endpoint:
    """The queues of one sink.

    Attributes:
        size: of all that waits, in bytes.
    """

    def __init__(self, module: str = "", name: str = "") -> None:
        """Make the endpoint of a module's input, or of the cloud if it has no name."""
        self.module, self.name = module, name
        self.size = 0
        self._queues: dict[int, deque[Waiting]] = {}
        self._taken = 0

    def put(self, message: Message, priority: int, expires: float) -> None:
        """Let a message wait."""
        waiting = Waiting(message, priority, expires, message.size + _OVERHEAD)
        if priority not in self._queues:
            self._queues[priority] = deque()
            self._queues = dict(sorted(self._queues.items()))
        self._queues[priority].append(waiting)
        self.size += waiting.size

    def take(self, now: float) -> Waiting | None:
        """The next message that has not expired, until it is `done` or `given_back`."""
        for queue in self._queues.values():
            while queue:
                waiting = queue.popleft()
                if waiting.expires > now:
                    self._taken += 1
                    return waiting
                self.size -= waiting.size
        return None

    def done(self, waiting: Waiting) -> None:
        """A message has reached its sink, or is given up."""
        self._taken -= 1
        self.size -= waiting.size

    def given_back(self, waiting: Waiting) -> None:
        """A message has not reached its sink: it is the next one again."""
        self._taken -= 1
        self._queues[waiting.priority].appendleft(waiting)

    def sweep(self, now: float) -> None:
        """Remove what has expired."""
        for priority, queue in self._queues.items():
            kept = deque(waiting for waiting in queue if waiting.expires > now)
            self.size -= sum(waiting.size for waiting in queue) - sum(waiting.size for waiting in kept)
            self._queues[priority] = kept

    def __len__(self) -> int:
        return self._taken + sum(map(len, self._queues.values()))
