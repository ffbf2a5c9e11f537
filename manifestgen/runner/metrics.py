"""Counts and times, and their text for Prometheus.

A counter has one thread that adds to it; any may read.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_LONG = 5.0

SCORED, FILTERED, FAILED, REJECTED = "scored", "filtered", "failed", "rejected"
"""Outcomes: a result; none, which is what a filter returns; an exception; an input that does not fit."""

IGNORED, DUPLICATE = "ignored", "duplicate"
"""Outcomes without a call of `run`: no setting names the input; a message that was known already came again."""


class Metrics:
    """Counts since the process started."""

    def __init__(self) -> None:
        self.started = time.time()
        self.last_scored: float | None = None
        # Since when the scorer has been called and has not returned, in seconds since 1970.
        self.busy_since: float | None = None
        self.requests: dict[tuple[str, str], int] = {}
        self.errors_in_a_row = 0
        self.sent = 0
        self.queued = 0
        self.connected = False
        self.connections = 0
        self.seconds = 0.0
        self._buckets = [0] * (len(_BUCKETS) + 1)

    def count(self, source: str, outcome: str, number: int = 1) -> None:
        """One more input, by where it came from and what became of it."""
        key = (source, outcome)
        self.requests[key] = self.requests.get(key, 0) + number

    def busy(self, now: float) -> bool:
        """Whether the scorer has been at one input for so long that it is worth a remark."""
        since = self.busy_since
        return since is not None and now - since > _LONG

    def took(self, seconds: float) -> None:
        """One call of the scorer."""
        self.seconds += seconds
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1

    def total(self, outcome: str) -> int:
        """How many inputs had this outcome."""
        return sum(number for (_, what), number in list(self.requests.items()) if what == outcome)

    def text(self, model: Mapping[str, str]) -> str:
        """All of it in Prometheus' text format 0.0.4."""
        return "\n".join(self._lines(model)) + "\n"

    def _lines(self, model: Mapping[str, str]) -> Iterator[str]:
        yield from _head("runner_requests_total", "counter", "Inputs by source and outcome.")
        for (source, outcome), number in sorted(self.requests.items()):
            yield f"runner_requests_total{_labels(input=source, outcome=outcome)} {number}"
        yield from _head("runner_run_seconds", "histogram", "How long run() took.")
        seen = 0
        for limit, number in zip((*map(repr, _BUCKETS), "+Inf"), self._buckets):
            seen += number
            yield f"runner_run_seconds_bucket{_labels(le=limit)} {seen}"
        yield f"runner_run_seconds_sum {self.seconds!r}"
        yield f"runner_run_seconds_count {seen}"
        yield from _single("runner_sent_total", "counter", "Messages that edgeHub has acknowledged.", self.sent)
        yield from _single("runner_queue_length", "gauge", "Inputs that wait or are in work.", self.queued)
        yield from _single("runner_connected", "gauge", "Whether edgeHub is connected.", int(self.connected))
        yield from _single("runner_connections_total", "counter", "Connections made with edgeHub.", self.connections)
        yield from _single("runner_start_time_seconds", "gauge", "When the process started.", self.started)
        yield from _single(
            "runner_last_scored_seconds", "gauge", "When an input was last scored.", self.last_scored or 0
        )
        yield from _head("runner_model_info", "gauge", "The model.")
        yield f"runner_model_info{_labels(**model)} 1"


def utc(seconds: float) -> str:
    """A time in seconds since 1970 as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"


def _single(name: str, kind: str, words: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, words)
    yield f"{name} {value!r}"


def _labels(**labels: str) -> str:
    escaped = (
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"'))
        for name, value in labels.items()
    )
    return "{" + ",".join(escaped) + "}"
