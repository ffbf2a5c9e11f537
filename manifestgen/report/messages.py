"""Messages that reached the sandbox's hub, as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from manifestgen.report.printable import printable

Message = Mapping[str, Any]

_LONGEST: Final = 200


def line(message: Message) -> str:
    """One message: when edgeHub received it, who sent it, its body."""
    sender = message["module"] + (f"/{message['output']}" if message["output"] else "")
    return printable(f"{message['enqueued']}  {sender}  {_body(message)}")


def summary(messages: Sequence[Message]) -> Iterator[str]:
    """A line for each module: how many of its messages there are, what they say, the last one.

    `messages  120 scored by scorer, 3 anomalies, last {"anomaly": false}`: a message of the runner is a result, and
    what is true or false in the results is counted.
    """
    by_module: dict[str, list[Message]] = {}
    for message in messages:
        by_module.setdefault(message["module"], []).append(message)
    for module, found in by_module.items():
        parts = [f"{len(found)} {'scored by' if _is_result(found[-1]) else 'from'} {module}", *_counted(found)]
        yield printable(f"messages  {', '.join(parts)}, last {_body(found[-1])}")
    if not by_module:
        yield "messages  none has reached the hub"


def _is_result(message: Message) -> bool:
    return "model" in message["properties"]


def _counted(messages: Sequence[Message]) -> Iterator[str]:
    """The boolean fields in the bodies, and how often each is true."""
    bodies = [message.get("body") for message in messages]
    objects = [body for body in bodies if isinstance(body, dict)]
    for key in sorted({key for body in objects for key, value in body.items() if isinstance(value, bool)}):
        number = sum(body.get(key) is True for body in objects)
        yield f"{number} {key if number == 1 else _plural(key)}"


def _plural(word: str) -> str:
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _body(message: Message) -> str:
    if "body" in message:
        text = json.dumps(message["body"], ensure_ascii=False)
    else:
        text = message.get("text") or f"base64 {message.get('base64', '')}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
