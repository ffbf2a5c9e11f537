from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azureml", reason="azureml-core is not installed")

import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azureml.exceptions import ProjectSystemException, UserErrorException, WebserviceException
from msrest.exceptions import ClientRequestError, HttpOperationError

from manifestgen.azure.aml_answer import http_error
from manifestgen.azure.aml_errors import translated
from manifestgen.azure.sdk_error import SdkError
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError

pytestmark = pytest.mark.azureml

MMS = {
    "code": "BadRequest",
    "statusCode": 400,
    "message": "The request is invalid.",
    "details": [{"code": "TooManyTags", "message": "At most 100 tags."}, {"code": "X"}],
}


def response(status: int, body: Any) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = (body if isinstance(body, str) else json.dumps(body)).encode()
    return made


def translation(error: BaseException) -> ManifestgenError:
    with pytest.raises(ManifestgenError) as caught, translated("workspace w"):
        raise error
    cause = caught.value.__cause__
    assert isinstance(cause, SdkError) and str(cause).startswith(type(error).__name__)
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (MMS, "The request is invalid: At most 100 tags"),
        ({"error": {"code": "UserError", "message": "Artifact not found."}}, "Artifact not found"),
        ({"error": {"code": "OnlyACode"}}, "OnlyACode"),
        ({"error": "invalid_client"}, "invalid_client"),
        ("<Error><Code>Md5Mismatch</Code><Message>Differs.</Message></Error>", "Md5Mismatch: Differs"),
        # What is not an error's answer is not quoted: it may hold anything.
        ("upstream timed out", "status 400"),
        ("", "status 400"),
        ([1], "status 400"),
        ({"error": ["a secret"]}, "status 400"),
        ({"error": {"message": ["a secret"], "details": [{"message": {"a secret": 1}}]}}, "status 400"),
        ('{"error": {"message": "a secret', "status 400"),
        ("<html><body>a secret</body></html>", "status 400"),
    ],
)
def test_the_services_words_are_shown_in_each_of_its_shapes(body: Any, words: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert http_error(400, text, "w").what == f"rejected with status 400: {words}"


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        (401, DeniedError, "az login"),
        (403, DeniedError, "AzureML Data Scientist"),
        (404, NotFoundError, "check the workspace's subscription"),
        (429, CloudError, "wait"),
        (400, CloudError, "correct"),
        (503, CloudError, "wait"),
    ],
)
def test_status_decides_what_to_do(status: int, kind: type[CloudError], fix: str) -> None:
    error = http_error(status, "{}", "w")
    assert type(error) is kind
    assert fix in error.fix


def test_signature_of_a_url_is_hidden() -> None:
    error = http_error(403, "https://a.blob.core.windows.net/c/b?sv=1&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D denied", "w")
    assert "c2VjcmV0" not in str(error)


def test_long_answer_is_cut() -> None:
    assert len(http_error(500, "x" * 100_000, "w").what) < 1000


def test_message_that_the_sdk_drops_is_dug_out() -> None:
    try:
        try:
            raise HttpOperationError(lambda *_: None, response(400, MMS))
        except HttpOperationError:
            # As `model_error_response_to_webservice_exception` of azureml-core 1.61 does.
            raise WebserviceException("Received bad response:\nResponse Code: 400\nContent: []")  # noqa: B904
    except WebserviceException as error:
        outer = error
    assert "At most 100 tags" in translation(outer).what


def test_answer_that_is_only_printed_is_read() -> None:
    text = f"Received bad response:\nResponse Code: 403\nHeaders: {{}}\nContent: b'{json.dumps(MMS)}'"
    error = translation(WebserviceException(text))
    assert isinstance(error, DeniedError)
    assert "At most 100 tags" in error.what


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (WebserviceException("ModelNotFound: Model with name x not found"), NotFoundError, "name x not found"),
        (ProjectSystemException("Workspace not found."), NotFoundError, "Workspace not found"),
        (
            UserErrorException("You are logged-in to t tenant. You don't have access to 1-2 subscription, please"),
            NotFoundError,
            "the identity has no access to subscription 1-2",
        ),
        (WebserviceException("Error, provided image name is invalid."), InputError, "image name is invalid"),
        (UserErrorException("Bad conda file"), InputError, "Bad conda file"),
        (ProjectSystemException("Something else"), CloudError, "Something else"),
        (ClientAuthenticationError("AADSTS7000215: Invalid client secret"), DeniedError, "AADSTS7000215"),
        (ServiceRequestError("Name or service not known"), CloudError, "could not be reached: Name or"),
        (ClientRequestError("Error occurred in request."), CloudError, "could not be reached"),
        (requests.ConnectionError("refused"), CloudError, "could not be reached: refused"),
        (requests.Timeout("read timed out"), CloudError, "could not be reached: read timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), CloudError, "could not be reached"),
        (PermissionError(13, "Permission denied", "model.pkl"), InputError, "Permission denied"),
        (FileNotFoundError("Path does not exist"), InputError, "Path does not exist"),
    ],
)
def test_families_of_errors(error: Exception, kind: type[ManifestgenError], words: str) -> None:
    ours = translation(error)
    assert type(ours) is kind
    assert words in ours.what
    assert ours.fix
    assert not ours.what.endswith(".")


def test_answer_cut_short_is_a_cloud_error() -> None:
    with pytest.raises(CloudError, match=r"the answer of Azure ML was not understood$"), translated("w"):
        json.loads('{"half":')


@pytest.mark.parametrize("url", ["{'canary': 1}/x", "canary", "https://[canary/x", "ftp://canary/x"])
def test_an_address_in_an_answer_that_is_none_is_not_quoted(url: str) -> None:
    with pytest.raises(CloudError, match=r"the answer of Azure ML was not understood$") as caught, translated("w"):
        requests.get(url, timeout=1)
    assert "canary" not in str(caught.value)
    assert "canary" not in str(caught.value.__cause__)


def test_error_of_our_login_is_found_behind_the_sdks() -> None:
    ours = DeniedError("no Azure credential was found", where="Azure login", fix="run 'az login'")
    try:
        try:
            raise ours
        except DeniedError as error:
            raise ProjectSystemException("Could not retrieve user token") from error
    except ProjectSystemException as error:
        outer = error
    assert translation(outer) is ours


def test_our_own_errors_and_bugs_pass(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ours"), translated("w"):
        raise InputError("ours", fix="do")
    with pytest.raises(ZeroDivisionError), translated("w"):
        _ = 1 // 0
    with pytest.raises(KeyboardInterrupt), translated("w"):
        raise KeyboardInterrupt
