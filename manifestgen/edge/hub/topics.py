"""The topics between a module and edgeHub, and a message's properties as the last part of one.

`manifestgen.runner.topics` is the module's side of the same. It is written separately on purpose: the runner is on its
own in an image, and two sides that share a mistake would understand only each other.

Source: Azure/iotedge, appsettings_hub.json, SystemProperties.cs, TwinAddressHelper.cs, SessionStateParser.cs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

TWIN: Final = "$iothub/twin/"
_TWIN_GET: Final = "$iothub/twin/GET/"
_TWIN_REPORT: Final = "$iothub/twin/PATCH/properties/reported/"
METHOD_RESPONSE: Final = "$iothub/methods/res/"

# On the wire, and what edgeHub calls it.
_SYSTEM: Final = {
    "$.exp": "absolute-expiry-time",
    "$.cid": "cid",
    "$.mid": "messageId",
    "$.to": "to",
    "$.uid": "userId",
    "ack": "ack",
    "$.on": "outputName",
    "$.ct": "contentType",
    "$.ce": "contentEncoding",
    "$.schema": "messageSchema",
    "iothub-operation": "operation",
    "$.ctime": "creationTime",
    "$.ifid": "iothub-interface-id",
    "$.sub": "dt-subject",
}
# An output's name and an interface stay with edgeHub; who sent the message is added.
_WIRE: Final = {
    **{name: wire for wire, name in _SYSTEM.items() if wire not in ("$.on", "$.ifid")},
    "connectionDeviceId": "$.cdid",
    "connectionModuleId": "$.cmid",
}


class TopicError(ValueError):
    """A topic that edgeHub cannot read."""


def events(device: str, module: str) -> str:
    """The prefix of the topics of a module's messages."""
    return f"devices/{device}/modules/{module}/messages/events"


def read_event(topic: str, prefix: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """Application and system properties of a message with this topic; None if it is not a message's.

    Raises:
        TopicError: a duplicate property; edgeHub drops such a message.
    """
    if topic != prefix and not topic.startswith(prefix + "/"):
        return None
    text = topic[len(prefix) + 1 :].removesuffix("/")
    if "/" in text:
        return None
    properties: dict[str, str] = {}
    system: dict[str, str] = {}
    seen: set[str] = set()
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        name = unquote(name)
        if not name:
            continue
        if name.lower() in seen:
            raise TopicError(f"the property {name!r} stands there twice")
        seen.add(name.lower())
        bag, key = (system, _SYSTEM[name]) if name in _SYSTEM else (properties, name)
        bag[key] = unquote(value)
    return properties, system


def input_topic(device: str, module: str, name: str, properties: Mapping[str, str], system: Mapping[str, str]) -> str:
    """Where a message for a module's input is published."""
    pairs = dict(properties) | {_WIRE[key]: value for key, value in system.items() if key in _WIRE}
    text = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs.items())
    return f"devices/{device}/modules/{module}/inputs/{quote(name, safe='')}" + (f"/{text}" if text else "")


def read_twin_get(topic: str) -> str | None:
    """The request ID of a topic that asks for the twin; None for another topic or one without it."""
    return _request(topic, _TWIN_GET)


def read_twin_report(topic: str) -> str | None:
    """The request ID of a topic with a reported patch, empty without one; None for another topic."""
    if not topic.startswith(_TWIN_REPORT):
        return None
    return _request(topic, _TWIN_REPORT) or ""


def _request(topic: str, prefix: str) -> str | None:
    if not topic.startswith(prefix + "?"):
        return None
    pairs = (pair.partition("=") for pair in topic[len(prefix) + 1 :].split("&"))
    return next((value for name, _, value in pairs if name == "$rid" and value), None)


def read_method_response(topic: str) -> tuple[int, str] | None:
    """Status and request ID of the answer to a method; None for another topic or a malformed one."""
    match = re.fullmatch(r"\$iothub/methods/res/(-?[0-9]{1,9})/\?\$rid=([^&]+)", topic)
    return (int(match[1]), unquote(match[2])) if match else None


def twin_response(status: int, request: str) -> str:
    """Where a twin request is answered."""
    return f"$iothub/twin/res/{status}/?$rid={request}"


def desired(version: int) -> str:
    """Where changed desired properties are published."""
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def method(name: str, request: str) -> str:
    """Where a direct method is called."""
    return f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={request}"


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic passes a filter; other than in MQTT, `#` alone passes what starts with `$` too."""
    wanted, parts = pattern.split("/"), topic.split("/")
    for index, word in enumerate(wanted):
        if word == "#":
            return index == len(wanted) - 1
        if index >= len(parts) or (word != "+" and word != parts[index]):
            return False
    return len(wanted) == len(parts)


def is_for_inputs(pattern: str) -> bool:
    """Whether edgeHub takes a filter for a module's wish to get messages."""
    return re.fullmatch(r"devices/.+/modules/.+/#", pattern) is not None


def is_for_methods(pattern: str) -> bool:
    """Whether edgeHub takes a filter for a module's wish to get calls of methods."""
    return pattern.startswith("$iothub/methods/POST/")


def is_known(pattern: str) -> bool:
    """Whether edgeHub does anything about a filter; it ignores others and grants them all the same."""
    twin = pattern.startswith("$iothub/twin/PATCH/properties/desired/") or pattern == "$iothub/twin/res/#"
    return twin or is_for_inputs(pattern) or is_for_methods(pattern) or pattern.endswith("messages/devicebound/#")
