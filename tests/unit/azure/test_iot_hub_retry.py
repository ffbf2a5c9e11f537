from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from manifestgen.azure.iot_hub.retry import Requests, answer_of
from manifestgen.azure.iot_hub.wire import APPLY_CONTENT, Call, LostError, RefusedError, Reply
from manifestgen.azure.patience import Patience
from manifestgen.errors import CloudError, DeniedError, UnconfirmedError

CALL = Call(APPLY_CONTENT, {"device": "d"})


def refusal(status: int, body: Any = None, **headers: str) -> RefusedError:
    """What a wire raises for an answer of the hub."""
    text = body.decode() if isinstance(body, bytes) else json.dumps(body)
    sent = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return RefusedError(Reply(status, sent, text))


def lost(cause: Exception) -> LostError:
    """What a wire raises without a whole answer."""
    error = LostError("no whole answer arrived")
    error.__cause__ = cause
    return error


class Failing:
    """A wire on which every request fails."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def send(self, call: Call) -> Reply:
        raise self._error


def asked(error: Exception, **patience: Any) -> Requests:
    patient = Patience(sleep=lambda seconds: None, **patience)
    return Requests(Failing(error), "h.azure-devices.net", "ask for the role", patient)


BODIES = [
    (
        {"Message": "ErrorCode:DeviceNotFound;E: gone.", "ExceptionMessage": "Tracking ID:1"},
        "404 DeviceNotFound E: gone",
    ),
    ({"Message": "E: gone"}, "404 E: gone"),
    ({"message": "gone", "errorCode": 404001, "trackingId": "1"}, "404 404001 gone"),
    (
        {
            "Message": '{"errorCode":404103,"message":"Timed out waiting for device to connect."}',
            "ExceptionMessage": "",
        },
        "404 404103 Timed out waiting for device to connect",
    ),
    ({"Message": None}, "404"),
    (["gone"], "404"),
    (b"<html>Not Found</html>", "404"),
    (b"", "404"),
]


@pytest.mark.parametrize(("body", "words"), BODIES)
def test_the_service_s_words_are_found_in_each_form(body: Any, words: str) -> None:
    assert str(answer_of(refusal(404, body))) == words


def test_the_code_in_the_header_wins() -> None:
    error = refusal(404, {"Message": "ErrorCode:Other;x"}, iothub_errorcode="DeviceNotFound")
    assert answer_of(error).code == "DeviceNotFound"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-1", None)])
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    assert answer_of(refusal(429, {}, Retry_After=header)).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    later = answer_of(refusal(429, {}, Retry_After=formatdate(time.time() + 100, usegmt=True))).retry_after
    assert later is not None
    assert 90 < later <= 100
    past = answer_of(refusal(429, {}, Retry_After=formatdate(time.time() - 100, usegmt=True))).retry_after
    assert past == 0.0


def test_a_read_that_keeps_failing_says_for_how_long() -> None:
    with pytest.raises(CloudError, match="still failing after 0 s: the hub returned 500"):
        asked(refusal(500, {}), total=0.01).read("device 'd'", CALL)
    with pytest.raises(CloudError, match="the hub did not respond for 0 s: cut off"):
        asked(lost(requests.ConnectionError("cut off")), total=0.01).read("device 'd'", CALL)


def test_a_write_whose_connection_is_cut_is_unconfirmed() -> None:
    cut = lost(requests.ConnectionError(ConnectionResetError("cut off")))
    with pytest.raises(UnconfirmedError, match="the response to a change was lost: cut off"):
        asked(cut).write("device 'd'", CALL)


@pytest.mark.parametrize("code", ["DeviceModelMaxPropertiesExceeded", "IotHubQuotaExceeded"])
def test_a_limit_is_not_a_missing_role(code: str) -> None:
    with pytest.raises(CloudError) as caught:
        asked(refusal(403, {"Message": f"ErrorCode:{code};too much"})).write("device 'd'", CALL)
    assert not isinstance(caught.value, DeniedError)


def test_what_is_not_the_sdk_s_is_a_bug_and_passes() -> None:
    with pytest.raises(ZeroDivisionError):
        asked(ZeroDivisionError()).read("", CALL)
