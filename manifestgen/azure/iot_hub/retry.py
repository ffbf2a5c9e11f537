"""Retries requests to IoT Hub, and turns final failures into our errors.

Reads are repeated after every transient failure. Writes are repeated only where the hub has certainly not acted: it
throttled the request, or no connection came about. A write whose answer is lost raises `UnconfirmedError`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, TypeVar

from manifestgen.azure.answer import decoded, not_understood
from manifestgen.azure.iot_hub.wire import (
    NO_CONTENT,
    Call,
    GarbledError,
    LostError,
    NoTokenError,
    RefusedError,
    Reply,
    Wire,
    WireError,
)
from manifestgen.azure.patience import (
    TRANSIENT,
    Again,
    Patience,
    asked,
    duration,
    never_sent,
    repeated,
    root_words,
    seconds_of,
)
from manifestgen.azure.pipeline_login import advice
from manifestgen.errors import CloudError, DeniedError, NotFoundError, UnconfirmedError
from manifestgen.waits import waiting

_T = TypeVar("_T")

# 403 that is not about who asks: learn.microsoft.com/rest/api/iothub/common-error-codes
_LIMITS: Final = frozenset(
    {"DeviceModelMaxPropertiesExceeded", "IotHubQuotaExceeded", "DeviceMaximumQueueDepthExceeded"}
    | {"MaximumModulesOnDeviceExceeded", "DeviceMaximumActiveFileUploadLimitExceeded"}
)
_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,100}")
_MESSAGE: Final = re.compile(r"ErrorCode:(?P<code>[A-Za-z0-9]+);?(?P<words>.*)", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A rejection in the service's own words.

    Attributes:
        code: the service's name for the error, such as `DeviceNotFound`; empty if it did not say.
        number: its number in the body, such as `404103`; empty without one.
    """

    status: int
    code: str
    words: str
    retry_after: float | None
    number: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.status), self.code, self.words) if part)


def answer_of(error: RefusedError) -> Answer:
    """The service's answer in a rejection."""
    reply = error.reply
    named = reply.headers.get("iothub-errorcode", "")
    code = named if _CODE.fullmatch(named) else ""
    words = number = ""
    data = _object(reply.text)
    if data is not None:
        # Three forms are in use: {"Message": "ErrorCode:X;…"}, {"message": …, "errorCode": 404001}, and, for direct
        # methods, the second one as a text inside the first (Azure/azure-iot-cli-extension#54).
        data = _object(data.get("Message")) or data
        said = [data[name] for name in ("Message", "message") if isinstance(data.get(name), str) and data[name]]
        words = said[0] if said else ""
        found = _MESSAGE.match(words)
        if found is not None:
            code, words = code or found["code"], found["words"]
        number = str(data.get("errorCode") or "")
        number = number if _CODE.fullmatch(number) else ""
    words = " ".join(words.split()).rstrip(".")
    return Answer(reply.status, code or number, words, seconds_of(reply.headers.get("Retry-After")), number)


def _object(text: Any) -> dict[str, Any] | None:
    """The JSON object in a text, or None."""
    try:
        data = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def refusal_of(error: CloudError) -> Answer | None:
    """The service's answer that an error was made from, or None if it gave none."""
    cause = error.__cause__
    return answer_of(cause) if isinstance(cause, RefusedError) else None


class Requests:
    """Sends requests to one hub, and retries them where that can help and is safe.

    Args:
        wire: sends each of them once.
        host: of the hub, for errors.
        rights: what the caller's credential needs, for errors: the policy's rights or the role.
        patience: how long to keep retrying.
        expired: what to do about a login that the hub does not accept at all; None for the same as for `rights`.
    """

    def __init__(self, wire: Wire, host: str, rights: str, patience: Patience, *, expired: str | None = None) -> None:
        self._wire = wire
        self._host = host
        self._rights = rights
        self._patience = patience
        self._expired = expired

    @property
    def client(self) -> str:
        """The client that sends them, with its version."""
        return self._wire.name

    def once(self) -> Requests:
        """The same, without retries."""
        patience = replace(self._patience, total=-1.0, unreachable=-1.0)
        return Requests(self._wire, self._host, self._rights, patience, expired=self._expired)

    def read(self, about: str, call: Call) -> Reply:
        """The response to a request that changes nothing, or is safe to repeat."""
        return self._send(about, call, is_transient, writes=False)

    def write(self, about: str, call: Call) -> Reply:
        """The response to a request that changes something. Raises UnconfirmedError if the response was lost."""
        return self._send(about, call, _is_harmless, writes=True)

    def value(self, about: str, call: Call, shape: type[_T], *, writes: bool = False) -> _T:
        """The value in the response to a request. Raises CloudError if it has another shape."""
        reply = self.write(about, call) if writes else self.read(about, call)
        return decoded(reply.json, shape, service="IoT Hub", where=f"{about} in {self._host}")

    def _send(self, about: str, call: Call, again: Callable[[BaseException], bool], *, writes: bool) -> Reply:
        def judge(outcome: Any) -> Again | None:
            error = outcome.exception()
            if error is None or not again(error):
                return None
            after = answer_of(error).retry_after if isinstance(error, RefusedError) else None
            # A response that is cut off is a matter of moments; a proxy's page stays what it is.
            return Again(after, unreachable=isinstance(error, GarbledError) or never_sent(error))

        started = self._patience.clock()
        with waiting("the IoT hub", changes=writes):
            try:
                return repeated(lambda: self._attempt(call), judge, self._patience)
            except WireError as error:
                self._give_up(error, about, writes=writes, seconds=self._patience.clock() - started)

    def _attempt(self, call: Call) -> Reply:
        reply = self._wire.send(call)
        if call.operation.success != NO_CONTENT:
            reply.json  # noqa: B018 - an answer that was cut off counts as lost
        return reply

    def _give_up(self, error: WireError, about: str, *, writes: bool, seconds: float) -> NoReturn:
        where = f"{about} in {self._host}" if about else self._host
        if isinstance(error, RefusedError):
            answer = answer_of(error)
            raise self._refused(answer, where, writes=writes, seconds=seconds) from error
        if isinstance(error, NoTokenError):
            raise DeniedError(
                f"no token for the hub: {_first_line(error)}",
                where=self._host,
                fix=f"set IOTHUB_CONNECTION_STRING; or {advice(os.environ)}",
            ) from error
        if never_sent(error):
            raise CloudError(
                f"the hub could not be reached: {root_words(error)}",
                where=self._host,
                fix="check the hub's host name (NAME.azure-devices.net), the network and the proxy settings",
            ) from error
        if isinstance(error, GarbledError):
            garbled = not_understood("IoT Hub", where, str(error))
            raise (_unconfirmed(garbled.what, where) if writes else garbled) from error
        if writes:
            raise _unconfirmed(root_words(error), where) from error
        raise CloudError(
            f"the hub did not respond for {seconds:.0f} s: {root_words(error)}",
            where=where,
            fix="check the network and try again",
        ) from error

    def _refused(self, answer: Answer, where: str, *, writes: bool, seconds: float) -> CloudError:
        said = f"the hub returned {answer}"
        if answer.status == 401 and self._expired is not None and not _is_about_roles(answer):
            what = f"{said}: the login has expired or was revoked"
            return DeniedError(what, where=self._host, fix=self._expired)
        if answer.status == 401 or (answer.status == 403 and answer.code not in _LIMITS):
            return DeniedError(f"{said} (access denied)", where=self._host, fix=self._rights)
        if answer.status == 404:
            return NotFoundError(
                said, where=where, fix="check the ID and the hub; 'manifestgen device list' shows devices"
            )
        if is_throttled(answer):
            wish = "" if answer.retry_after is None else f" {asked(answer.retry_after)}"
            return CloudError(
                f"still throttled after {duration(seconds)}: the hub returned {answer}{wish}",
                where=where,
                fix="try again later, reduce the request rate, or add units to the hub",
            )
        if answer.status in TRANSIENT:
            if writes:
                return _unconfirmed(said, where)
            return CloudError(f"still failing after {duration(seconds)}: {said}", where=where, fix="try again later")
        if answer.status == 412:
            return CloudError(said, where=where, fix="it was changed in the meantime: review it, then try again")
        if answer.status == 409:
            return CloudError(said, where=where, fix="use what is there, or give another name")
        return CloudError(said, where=where, fix="see what the hub says, and correct the request")


def _unconfirmed(what: str, where: str) -> UnconfirmedError:
    return UnconfirmedError(
        f"the response to a change was lost: {what}",
        where=where,
        fix="check whether the change was made before retrying",
    )


def _is_about_roles(answer: Answer) -> bool:
    """Whether a 401 is about the identity's role: the hub says so only in words."""
    return "not authorized for" in answer.words or "permission" in answer.words


def is_throttled(answer: Answer) -> bool:
    """Whether the hub throttled the request, so that it did nothing."""
    throttling = "throttl" in answer.code.lower() or answer.retry_after is not None
    return answer.status == 429 or (answer.status == 503 and throttling)


def is_transient(error: BaseException | None) -> bool:
    """Whether a retry may help."""
    if isinstance(error, RefusedError):
        return error.reply.status in TRANSIENT
    return isinstance(error, LostError)


def _is_harmless(error: BaseException) -> bool:
    if isinstance(error, RefusedError):
        return is_throttled(answer_of(error))
    return isinstance(error, LostError) and never_sent(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
