"""From results to messages: which output, which properties, which body. Functions on values."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from .message import MAX_BYTES, Message, Outgoing
from .settings import Settings
from .topics import CONTENT_ENCODING, CONTENT_TYPE, CORRELATION_ID, MESSAGE_ID, OUTPUT_NAME, ModuleTopics

JSON = "application/json"

# Of a topic in MQTT, in bytes.
_LONGEST_TOPIC = 65535

# Of an IoT Hub message ID.
_LONGEST_ID = 128

# NaN and Infinity are not JSON: edgeHub and the hub would not read the body for a route's or a query's condition.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Unsendable(Exception):
    """The return value of `run` cannot be sent. The text says why."""


@dataclass(frozen=True)
class Body:
    """A result as bytes."""

    content: bytes
    content_type: str = JSON


@dataclass(frozen=True)
class Sender:
    """Properties of results about their origin."""

    module: str
    model: str
    version: str
    topics: ModuleTopics


def is_response(result: Any) -> bool:
    """Whether this is an `AMLResponse` or a response of Flask, which say more than a body."""
    return hasattr(result, "status_code") and hasattr(result, "get_data")


def encode(result: Any) -> Body:
    """A result of `run` as the body of a message.

    Raises:
        Unsendable: JSON cannot represent it, or it is a response that says that scoring failed.
    """
    if is_response(result):
        if result.status_code >= 400:
            raise Unsendable(f"run() returned a response with status {result.status_code}")
        return response_body(result)
    try:
        return Body(_encode(result).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Unsendable(f"run() returned a value that JSON cannot represent: {error}") from None


def response_body(response: Any) -> Body:
    """The body of an `AMLResponse` or of a response of Flask.

    Raises:
        Unsendable: it has none, for example since it is a stream.
    """
    try:
        content = bytes(response.get_data())
        return Body(content, str(response.headers.get("Content-Type") or "application/octet-stream"))
    except Exception as error:
        raise Unsendable(f"run() returned a response whose body cannot be read: {error}") from error


def results(message: Message, result: Any, settings: Settings, sender: Sender) -> list[Outgoing]:
    """The messages that a result becomes: none for None, one for each item of a list if the settings say so.

    Raises:
        Unsendable: JSON cannot represent it, or a message would be larger than edgeHub takes.
    """
    if result is None:
        return []
    output = settings.output_of(message.input) or settings.output
    if settings.split_lists and isinstance(result, (list, tuple)):
        items = ((f":{number}", item) for number, item in enumerate(result) if item is not None)
        return [_message(message, output, encode(item), suffix, {}, sender) for suffix, item in items]
    return [_message(message, output, encode(result), "", {}, sender)]


def error(message: Message, kind: str, reason: str, settings: Settings, sender: Sender) -> list[Outgoing]:
    """The message that says why an input has no result; none if the error output is switched off."""
    if not settings.error_output:
        return []
    content = {"error": reason, "kind": kind, "input": message.input, "messageId": message.id}
    try:
        return [_message(message, settings.error_output, encode(content), ":error", {"error": kind}, sender)]
    except Unsendable:
        # The input's own properties are what is too large.
        bare = Message(message.input, b"", {MESSAGE_ID: message.id[:_LONGEST_ID]} if message.id else {})
        return [_message(bare, settings.error_output, encode(content), ":error", {"error": kind}, sender)]


def _message(message: Message, output: str, body: Body, suffix: str, more: dict[str, str], sender: Sender) -> Outgoing:
    origin = message.id
    system = [(OUTPUT_NAME, output), (MESSAGE_ID, _result_id(origin, sender.module, suffix))]
    if origin:
        system.append((CORRELATION_ID, origin))
    system.append((CONTENT_TYPE, body.content_type))
    if body.content_type == JSON or body.content_type.endswith("charset=utf-8"):
        system.append((CONTENT_ENCODING, "utf-8"))
    custom = {**message.custom, **more}
    if sender.model:
        custom["model"] = sender.model
    if sender.version:
        custom["modelVersion"] = sender.version
    topic = sender.topics.event(system, custom)
    # Properties are encoded to ASCII; device and module IDs are ASCII, too.
    if len(topic) > _LONGEST_TOPIC:
        raise Unsendable(
            f"the result's properties are too large: {len(topic):,} bytes, and MQTT accepts at most {_LONGEST_TOPIC:,}"
        )
    if len(topic) + len(body.content) > MAX_BYTES:
        what = f"{len(body.content):,} bytes and {len(topic):,} of properties"
        raise Unsendable(f"the result is too large: {what}, and edgeHub accepts at most {MAX_BYTES:,} in total")
    return Outgoing(topic, body.content)


def _result_id(origin: str | None, module: str, suffix: str) -> str:
    """The same for the same input, so that a result which is sent twice can be recognized."""
    made = f"{origin}:{module}{suffix}" if origin else ""
    return made if 0 < len(made) <= _LONGEST_ID else str(uuid.uuid4())
