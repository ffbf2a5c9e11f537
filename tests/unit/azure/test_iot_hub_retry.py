from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
import requests
from msrest.exceptions import ClientRequestError, HttpOperationError

from manifestgen.azure.iot_hub_retry import Patience, Requests, answer_of
from manifestgen.errors import CloudError, DeniedError, UnconfirmedError


def refusal(status: int, body: Any = None, **headers: str) -> HttpOperationError:
    """What the SDK raises for an answer of the hub."""
    response = requests.Response()
    response.status_code = status
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return HttpOperationError(lambda *_: None, response)


def send(error: Exception) -> Any:
    def fail() -> None:
        raise error

    return fail


def asked(**patience: Any) -> Requests:
    return Requests("h.azure-devices.net", "ask for the role", Patience(sleep=lambda seconds: None, **patience))


BODIES = [
    (
        {"Message": "ErrorCode:DeviceNotFound;E: gone.", "ExceptionMessage": "Tracking ID:1"},
        "404 DeviceNotFound E: gone",
    ),
    ({"Message": "E: gone"}, "404 E: gone"),
    ({"message": "gone", "errorCode": 404001, "trackingId": "1"}, "404 404001 gone"),
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
    with pytest.raises(CloudError, match="still failing after 0 s: the hub answered 500"):
        asked(total=0.01).read("device 'd'", send(refusal(500, {})))
    with pytest.raises(CloudError, match="the hub did not answer for 0 s: cut off"):
        asked(total=0.01).read("device 'd'", send(requests.ConnectionError("cut off")))


def test_a_write_whose_connection_is_cut_is_unconfirmed() -> None:
    cut = ClientRequestError("Error occurred in request.", requests.ConnectionError(ConnectionResetError("cut off")))
    with pytest.raises(UnconfirmedError, match="the answer to a change was lost: cut off"):
        asked().write("device 'd'", send(cut))


@pytest.mark.parametrize("code", ["DeviceModelMaxPropertiesExceeded", "IotHubQuotaExceeded"])
def test_a_limit_is_no_missing_role(code: str) -> None:
    with pytest.raises(CloudError) as caught:
        asked().write("device 'd'", send(refusal(403, {"Message": f"ErrorCode:{code};too much"})))
    assert not isinstance(caught.value, DeniedError)


def test_what_is_not_the_sdk_s_is_a_bug_and_passes() -> None:
    with pytest.raises(ZeroDivisionError):
        asked().read("", send(ZeroDivisionError()))
