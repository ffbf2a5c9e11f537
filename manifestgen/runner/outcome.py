"""The outcome of an input, a result or a failure, and of a request that waits for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import routing
from .log import logger
from .metrics import FAILED
from .routing import JSON, Unsendable


@dataclass(frozen=True)
class Failure:
    """Why an input has no result.

    Attributes:
        kind: `failed` if the scorer has failed, `rejected` if the input does not fit.
        reason: in a line.
        status: as an HTTP status.
    """

    kind: str
    reason: str
    status: int = 500


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request that waits for an answer.

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


def outcome_of(result: Any, failure: Failure | None, milliseconds: float) -> Outcome:
    """The answer that a result or a failure is."""
    if failure is not None:
        run_failed = failure.kind == FAILED and failure.status == 500
        return Outcome(failure.status, b"", reason=failure.reason, run_failed=run_failed, milliseconds=milliseconds)
    try:
        if routing.is_response(result):
            return _of_response(result, milliseconds)
        # None is an empty object, as in Azure ML's server.
        body = routing.encode({} if result is None else result)
    except Unsendable as error:
        logger.error("no result: %s", error)
        return Outcome(500, b"", reason=str(error), milliseconds=milliseconds)
    return Outcome(200, body.content, body.content_type, milliseconds=milliseconds)


def _of_response(result: Any, milliseconds: float) -> Outcome:
    body = routing.response_body(result)
    reason = f"run() returned a response with status {result.status_code}" if result.status_code >= 400 else ""
    failed = result.status_code >= 500
    return Outcome(
        result.status_code, body.content, body.content_type, dict(result.headers), reason, failed, milliseconds
    )
