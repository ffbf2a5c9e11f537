"""What is said of a service's answer that is not understood: where it differs, and nothing of its content."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from azure.core.exceptions import DecodeError, DeserializationError, HttpResponseError, ServiceRequestError

from manifestgen.azure.answer import decoded, not_understood
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, message_of, unquoted, words_of
from manifestgen.cloud import Twin
from manifestgen.errors import CloudError


class Login(msgspec.Struct):
    username: str
    passwords: list[str]


class Response:
    """An answer as azure-core's exceptions hold it."""

    reason = "Forbidden"
    status_code = 403

    def __init__(self, body: str) -> None:
        self.headers = {"x-ms-request-id": "3f2a"}
        self._body = body

    def text(self, encoding: str | None = None) -> str:
        return self._body


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"username": "u", "passwords": ["canary", {"canary": 1}]}, "expected 'str', got 'object' at '$.passwords[1]'"),
        ({"username": 5, "passwords": ["canary"]}, "expected 'int'"),
        ({"passwords": ["canary"]}, "object missing required field 'username'"),
        (["canary"], "expected 'object', got 'array'"),
        ("canary", "expected 'object', got 'str'"),
        (None, "expected 'object', got 'null'"),
    ],
)
def test_an_answer_of_another_shape_is_described_and_not_quoted(data: Any, why: str) -> None:
    with pytest.raises(CloudError, match="the answer of a registry was not understood: ") as caught:
        decoded(data, Login, service="a registry", where="registry r")
    assert why.replace("expected 'int'", "expected 'str', got 'int'") in caught.value.what
    assert caught.value.where == "registry r"
    assert "canary" not in str(caught.value) + caught.value.fix
    assert caught.value.__cause__ is None


def test_an_sdks_object_is_an_answer_too() -> None:
    class Found:
        username, passwords, more = "u", ["a"], object()

    assert decoded(Found(), Login, service="a registry", where="") == Login("u", ["a"])


def test_what_to_do_names_what_may_have_answered_instead() -> None:
    assert "proxy" in not_understood("IoT Hub", "device 'd'").fix


def test_an_exception_of_an_sdk_is_named_without_the_answer_that_it_quotes() -> None:
    body = '{"passwords": "canary'
    quoting: list[BaseException] = [
        DecodeError(message=f"JSON is invalid: x\nContent: {body}", response=Response(body)),  # type: ignore[arg-type]
        HttpResponseError(response=Response(body)),  # type: ignore[arg-type]
        DeserializationError(f"Cannot deserialize {body}"),
        ValueError(f"invalid literal: {body}"),
        ServiceRequestError(f"Connection aborted\nContent: {body}"),
    ]
    for error in quoting:
        assert "canary" not in str(SdkError(error)), error
        assert type(error).__name__ in str(SdkError(error))
    assert str(SdkError(quoting[1])) == "HttpResponseError: status 403: request 3f2a"
    assert all(isinstance(error, SHAPE_ERRORS) for error in (quoting[0], quoting[2], quoting[3]))


def test_a_services_own_words_are_those_of_an_answer_that_is_an_error() -> None:
    said = HttpResponseError(response=Response('{"error": {"code": "NoRole", "message": "You may not.\\nReally."}}'))  # type: ignore[arg-type]
    assert words_of(said) == "You may not"
    assert message_of(said) == "You may not.\nReally."
    assert "NoRole" in str(SdkError(said))
    for body in ("<html>canary</html>", '{"error": {"code": ["canary"], "message": {"canary": 1}}}', '"canary"'):
        silent = HttpResponseError(response=Response(body))  # type: ignore[arg-type]
        assert words_of(silent) == "status 403 Forbidden"
        assert "canary" not in str(SdkError(silent))


def test_what_follows_an_sdks_quotation_mark_is_left_out() -> None:
    assert unquoted("Received bad response.\nResponse Code: 200\nContent: b'canary'") == "Received bad response"
    assert unquoted("Authentication failed: ['canary']") == "Authentication failed:"


def test_a_twin_does_not_show_what_it_holds() -> None:
    twin = Twin("$edgeAgent", {"password": "canary"}, 3, {"password": "canary"})
    assert "canary" not in repr(twin)
