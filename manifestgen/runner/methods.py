"""Direct methods: requests from the cloud that the module answers.

`ping` and `status` are answered by the session's thread, while a model scores too; `score` and `reload` wait for the
main thread. Names ignore case, as edgeAgent's do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .jobs import Job, Reload, Score
from .outcome import Outcome
from .request import Request
from .routing import JSON

MAX_BYTES = 128 * 1024
"""What IoT Hub takes as a method's payload, each way."""

METHODS = ("ping", "reload", "score", "status")

Reply = Callable[[int, bytes], None]


def call(
    name: str, payload: bytes, reply: Reply, *, submit: Callable[[Job], None], status: Callable[[], dict[str, Any]]
) -> None:
    """Carry out a method.

    Args:
        name: the method's.
        payload: JSON.
        reply: called once with a status and JSON, in any thread.
        submit: gives a job to the main thread.
        status: what `status` answers.
    """
    method = name.lower()
    content: Any = None
    if method == "score":
        try:
            content = json.loads(payload)
        except ValueError:
            reply(400, _message("the payload is not JSON"))
            return
    if method == "ping":
        reply(200, b"{}")
    elif method == "status":
        reply(200, json.dumps(status()).encode())
    elif method == "reload":
        submit(Reload(lambda outcome: reply(*_answer(outcome))))
    elif method == "score":
        request = Request(json.dumps(content).encode(), {"Content-Type": JSON})
        submit(Score(request, "method", lambda outcome: reply(*_answer(outcome))))
    else:
        reply(404, _message(f"unknown method {name!r}; the methods are {', '.join(METHODS)}"))


def _answer(outcome: Outcome) -> tuple[int, bytes]:
    if outcome.reason:
        return outcome.status, _message(outcome.reason)
    if len(outcome.body) > MAX_BYTES:
        return 413, _message(
            f"the result has {len(outcome.body):,} bytes, and a method may answer with at most {MAX_BYTES:,}"
        )
    if _json_or_none(outcome) is None:
        return 415, _message(f"the result is {outcome.content_type}, and a method must answer with JSON")
    return outcome.status, outcome.body


def _json_or_none(outcome: Outcome) -> bytes | None:
    try:
        json.loads(outcome.body)
    except ValueError:
        return None
    return outcome.body


def _message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()
