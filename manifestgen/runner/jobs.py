"""The jobs of the main thread, one at a time; a `Delivery` is one, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Union

from .inflight import Delivery
from .outcome import Outcome
from .request import Request


@dataclass(frozen=True)
class Score:
    """Score a request of a direct method or of HTTP."""

    request: Request
    source: str
    reply: Callable[[Outcome], None]


@dataclass(frozen=True)
class Reload:
    """Reload the scorer."""

    reply: Callable[[Outcome], None]


@dataclass(frozen=True)
class Configure:
    """Apply desired properties."""

    desired: Mapping[str, Any]
    version: int


@dataclass(frozen=True)
class Stop:
    """End the process with this exit code: finish the current job and start no other."""

    exit_code: int
    reason: str = ""


Job = Union[Delivery, Score, Reload, Configure, Stop]
Jobs = SimpleQueue[Job]
