"""What the main thread is given to do, one job at a time; a `Delivery` is one, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Union

from .inflight import Delivery
from .request import Request
from .routing import JSON


@dataclass(frozen=True)
class Outcome:
    """What became of a request that waits for an answer.

    Attributes:
        status: as an HTTP status.
        body: the answer.
        content_type: of the body.
        headers: further headers, if the scorer gave some.
        reason: what went wrong, for an operator.
        run_failed: whether it was the scorer that failed; None where no scorer has a part in it.
        milliseconds: how long the scorer took.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    run_failed: bool | None = False
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Score:
    """Score a request of a direct method or of HTTP."""

    request: Request
    source: str
    reply: Callable[[Outcome], None]


@dataclass(frozen=True)
class Reload:
    """Load the scorer anew."""

    reply: Callable[[Outcome], None]


@dataclass(frozen=True)
class Configure:
    """Apply desired properties."""

    desired: Mapping[str, Any]
    version: int


@dataclass(frozen=True)
class Stop:
    """End the process with this exit code. What was begun is finished, nothing else is begun."""

    exit_code: int
    reason: str = ""


Job = Union[Delivery, Score, Reload, Configure, Stop]
Jobs = SimpleQueue[Job]
