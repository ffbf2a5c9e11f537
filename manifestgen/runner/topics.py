"""The MQTT topics of a module at edgeHub, and the properties of a message as the last part of its topic.

`manifestgen.edge.hub.topics` is edgeHub's side of the same, written apart on purpose: the runner imports nothing else
of manifestgen, and two sides that share a mistake would understand only each other.

Source: Azure/iotedge, edge-hub; the same as azure-iot-device 2.14 uses, which a test compares byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

TWIN_RESPONSES = "$iothub/twin/res/#"
TWIN_PATCHES = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"

_TWIN_RESPONSE = "$iothub/twin/res/"
_TWIN_PATCH = "$iothub/twin/PATCH/properties/desired/"
_METHOD = "$iothub/methods/POST/"

MESSAGE_ID = "$.mid"
CORRELATION_ID = "$.cid"
OUTPUT_NAME = "$.on"
CONTENT_TYPE = "$.ct"
CONTENT_ENCODING = "$.ce"
SYSTEM_PREFIX = "$."


@dataclass(frozen=True)
class TwinResponse:
    """edgeHub's answer to a twin request."""

    status: int
    request_id: str
    version: int | None


@dataclass(frozen=True)
class TwinPatch:
    """Desired properties that have changed; the payload holds them."""

    version: int | None


@dataclass(frozen=True)
class MethodCall:
    """A call of a direct method."""

    name: str
    request_id: str


def decode_properties(text: str) -> dict[str, str]:
    """`k=v&…` with percent-encoding, as a dict. A property without `=` has an empty value; `+` is a plus sign."""
    found: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        if name:
            found[_unquoted(name)] = unquote(value) if "%" in value else value
    return found


def encode_properties(system: Iterable[tuple[str, str]], custom: Mapping[str, str]) -> str:
    """System properties in the order given, then the custom ones sorted by name: the order of azure-iot-device."""
    pairs = [f"{_IDS[name]}={_quoted(value)}" if name in _IDS else _pair(name, value) for name, value in system]
    pairs += [_pair(name, value) for name, value in sorted(custom.items())]
    return "&".join(pairs)


def _pair(name: str, value: str) -> str:
    # IDs are new in every message; the rest is nearly always the same. Long values are not worth their memory.
    return _pair_again(name, value) if len(value) <= _SHORT else f"{_quoted(name)}={_quoted(value)}"


def _quoted(text: str) -> str:
    """`quote(text, safe="")`, in a fraction of its time: every result has half a dozen of these."""
    if _plain(text):
        return text
    return text.translate(_ESCAPES) if text.isascii() else quote(text, safe="")


def _unquoted(text: str) -> str:
    # Most names are the same in every message. Long ones are not worth their memory.
    return _unquoted_again(text) if len(text) <= _SHORT else unquote(text)


_SHORT = 64
_plain = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_ESCAPES = {number: quote(chr(number), safe="") for number in range(128)}
_IDS = {name: _quoted(name) for name in (MESSAGE_ID, CORRELATION_ID)}
_pair_again = lru_cache(maxsize=256)(lambda name, value: f"{_quoted(name)}={_quoted(value)}")
_unquoted_again = lru_cache(maxsize=1024)(unquote)


class ModuleTopics:
    """The topics that carry one module's messages. Device and module IDs go into topics unencoded."""

    def __init__(self, device: str, module: str) -> None:
        base = f"devices/{device}/modules/{module}"
        self.inputs = f"{base}/inputs/#"
        self._input = f"{base}/inputs/"
        self._events = f"{base}/messages/events/"

    def read_input(self, topic: str) -> tuple[str, dict[str, str]] | None:
        """The input's name and all properties of a received message, or None if the topic is not an input's."""
        if not topic.startswith(self._input):
            return None
        name, _, properties = topic[len(self._input) :].partition("/")
        # No property holds a slash: encoded it is %2F.
        return unquote(name), decode_properties(properties.strip("/"))

    def event(self, system: Iterable[tuple[str, str]], custom: Mapping[str, str]) -> str:
        """Where a message with these properties is published."""
        return self._events + encode_properties(system, custom)


def twin_get(request_id: int) -> str:
    """Where an empty payload asks for the twin."""
    return f"$iothub/twin/GET/?$rid={request_id}"


def twin_report(request_id: int) -> str:
    """Where a patch of the reported properties is published."""
    return f"$iothub/twin/PATCH/properties/reported/?$rid={request_id}"


def method_response(status: int, request_id: str) -> str:
    """Where the answer to a direct method is published."""
    return f"$iothub/methods/res/{status}/?$rid={quote(request_id, safe='')}"


def read_twin_response(topic: str) -> TwinResponse | None:
    """Parse a twin response's topic; None for another topic or a malformed one."""
    if not topic.startswith(_TWIN_RESPONSE):
        return None
    status, _, query = topic[len(_TWIN_RESPONSE) :].partition("/")
    properties = decode_properties(query.lstrip("?"))
    if not status.isdigit() or "$rid" not in properties:
        return None
    return TwinResponse(int(status), properties["$rid"], _number(properties.get("$version")))


def read_twin_patch(topic: str) -> TwinPatch | None:
    """Parse a desired properties patch's topic; None for another topic."""
    if not topic.startswith(_TWIN_PATCH):
        return None
    properties = decode_properties(topic[len(_TWIN_PATCH) :].lstrip("?"))
    return TwinPatch(_number(properties.get("$version")))


def read_method(topic: str) -> MethodCall | None:
    """Parse a direct method's topic; None for another topic or a malformed one."""
    if not topic.startswith(_METHOD):
        return None
    name, _, query = topic[len(_METHOD) :].partition("/")
    properties = decode_properties(query.lstrip("?"))
    if not name or "$rid" not in properties:
        return None
    return MethodCall(unquote(name), properties["$rid"])


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
