"""The inputs that are not acknowledged yet: the part of the runner that ensures that no message is lost.

At least once: an input is acknowledged after edgeHub has acknowledged its results. An input of a lost connection
cannot be acknowledged any more, and is delivered again; if scoring had begun, the new delivery is matched with it
instead of being scored again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from .handler import Receipt
from .message import Message

# A finished input that could not be acknowledged is remembered until it is delivered again; edgeHub has only one.
_REMEMBERED = 64


class _State(enum.Enum):
    QUEUED = "queued"
    BEGUN = "begun"
    FINISHED = "finished"
    DROPPED = "dropped"


class Delivery:
    """One input on its way through the runner.

    Attributes:
        message: what came in.
        at_least_once: whether it stays unacknowledged until its results are.
    """

    __slots__ = ("at_least_once", "key", "message", "receipts", "state")

    def __init__(self, message: Message, key: tuple[str, bytes], receipt: Receipt, at_least_once: bool) -> None:
        self.message = message
        self.key = key
        self.receipts = [receipt]
        self.at_least_once = at_least_once
        self.state = _State.QUEUED

    def begin(self) -> bool:
        """Whether to score it: not if its connection is gone, since it comes again. Called in the main thread."""
        if self.state is _State.DROPPED:
            return False
        self.state = _State.BEGUN
        return True


class Inflight:
    """Deliveries that wait for their acknowledgement. Used in the session's thread only."""

    def __init__(self, ack: Callable[[Receipt], bool]) -> None:
        """`ack` acknowledges a receipt and returns whether that was possible."""
        self._ack = ack
        self._open: dict[Delivery, None] = {}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def begun(self) -> int:
        """How many are in work, or wait for edgeHub to acknowledge their results."""
        return sum(1 for delivery in self._open if delivery.state is _State.BEGUN)

    def connected(self, generation: int) -> None:
        """A new connection: receipts of older ones are void from now on."""
        self.generation = generation

    def disconnected(self) -> None:
        """Drop queued inputs, since they are delivered again."""
        for delivery in [d for d in self._open if d.state is _State.QUEUED]:
            delivery.state = _State.DROPPED
            del self._open[delivery]

    def take(self, message: Message, key: tuple[str, bytes], receipt: Receipt) -> Delivery | None:
        """A new delivery to score, or None if this message is one that is known already.

        Args:
            message: what came in.
            key: topic and body, which a message that comes again has in common with the first.
            receipt: what acknowledges it.
        """
        for delivery in self._open:
            if delivery.key == key and self._redelivered(delivery):
                delivery.receipts.append(receipt)
                if delivery.state is _State.FINISHED:
                    self.finish(delivery)
                return None
        delivery = Delivery(message, key, receipt, at_least_once=True)
        self._open[delivery] = None
        return delivery

    def abandon(self, delivery: Delivery) -> None:
        """Forget it without an acknowledgement: it comes again."""
        self._open.pop(delivery, None)

    def finish(self, delivery: Delivery) -> None:
        """Acknowledge it, or remember that it is finished if its connection is gone."""
        delivery.state = _State.FINISHED
        # All of them: edgeHub may have sent it again within this connection after waiting for too long.
        if any([self._ack(receipt) for receipt in delivery.receipts]):
            self._open.pop(delivery, None)
            return
        finished = [d for d in self._open if d.state is _State.FINISHED]
        for oldest in finished[:-_REMEMBERED]:
            del self._open[oldest]

    def _redelivered(self, delivery: Delivery) -> bool:
        # With a message ID nothing else looks the same. Without one two messages may be equal, but what was not
        # acknowledged in the connection before comes first in this one.
        return delivery.message.id is not None or all(r.generation < self.generation for r in delivery.receipts)
