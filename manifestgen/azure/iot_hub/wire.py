"""The seam between the requests to an IoT hub and the client that sends them.

`hub`, `configurations` and `bulk` say what to ask as a `Call`; a `Wire` sends it: `sdk` with Microsoft's SDK, `rest`
over azure-core's pipeline. Both answer with a `Reply` or fail with one of the three failures below, so that parsing,
retries and error messages exist once.

Source of the operations: learn.microsoft.com/rest/api/iothub/service, api-version 2021-04-12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

API_VERSION: Final = "2021-04-12"
OK: Final = frozenset({200})
NO_CONTENT: Final = frozenset({204})


@dataclass(frozen=True)
class Operation:
    """An operation of the service's REST API.

    Attributes:
        path: template of the path; names in braces are those of `Call.ids`.
        success: the statuses of a success.
    """

    method: str
    path: str
    success: frozenset[int] = OK


GET_IDENTITY: Final = Operation("GET", "/devices/{device}")
PUT_IDENTITY: Final = Operation("PUT", "/devices/{device}")
DELETE_IDENTITY: Final = Operation("DELETE", "/devices/{device}", NO_CONTENT)
GET_TWIN: Final = Operation("GET", "/twins/{device}")
UPDATE_TWIN: Final = Operation("PATCH", "/twins/{device}")
GET_MODULES: Final = Operation("GET", "/devices/{device}/modules")
GET_MODULE_TWIN: Final = Operation("GET", "/twins/{device}/modules/{module}")
INVOKE_METHOD: Final = Operation("POST", "/twins/{device}/modules/{module}/methods")
APPLY_CONTENT: Final = Operation("POST", "/devices/{device}/applyConfigurationContent", NO_CONTENT)
QUERY: Final = Operation("POST", "/devices/query")
LIST_CONFIGURATIONS: Final = Operation("GET", "/configurations")
GET_CONFIGURATION: Final = Operation("GET", "/configurations/{configuration}")
PUT_CONFIGURATION: Final = Operation("PUT", "/configurations/{configuration}", frozenset({200, 201}))
DELETE_CONFIGURATION: Final = Operation("DELETE", "/configurations/{configuration}", NO_CONTENT)
TEST_QUERIES: Final = Operation("POST", "/configurations/testQueries")


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        ids: what the names in the operation's path stand for, not yet percent-encoded.
        query: query parameters beside `api-version`.
        headers: `If-Match`, `x-ms-continuation` or `x-ms-max-item-count`.
        body: a JSON value, or ready-made JSON that is sent byte for byte; None for no body.
        timeout: of one attempt, in seconds; None for the wire's own.
    """

    operation: Operation
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    timeout: float | None = None


@dataclass(frozen=True)
class Reply:
    """An answer of the hub.

    Attributes:
        headers: names are matched whatever their case.
    """

    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)

    @cached_property
    def json(self) -> Any:
        """The body's JSON value. Raises GarbledError if the body is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            raise GarbledError("it is not JSON") from None


class WireError(Exception):
    """A request that did not succeed."""


class RefusedError(WireError):
    """The hub responded with a status other than success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


class LostError(WireError):
    """No complete response arrived; the cause says why, and whether the request was sent at all."""


class GarbledError(LostError):
    """A response arrived that a hub does not send: one that was cut off, or that of a proxy."""


class NoTokenError(WireError):
    """The credential gave no token; nothing was sent."""


class Wire(Protocol):
    """Sends requests to one hub, each once. May be used from many threads."""

    @property
    def name(self) -> str:
        """The client that sends the requests, with its version."""
        ...

    def send(self, call: Call) -> Reply:
        """The hub's answer. Raises RefusedError, LostError, NoTokenError, and the errors of our login."""
        ...
