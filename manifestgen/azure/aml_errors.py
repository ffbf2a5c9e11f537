"""Translates the errors of azureml-core and its dependencies; the service's own words are kept.

They come from four families: its own (`AzureMLException`), msrest's, requests', azure-core's; and none of them reliably
carries what the service said: that is looked for in the HTTP answer, which hangs somewhere in the chain of causes.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azureml.exceptions import AuthenticationException, AzureMLException, UserErrorException, WebserviceException
from msrest.exceptions import ClientException, DeserializationError
from requests import JSONDecodeError, RequestException
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL, MissingSchema

from manifestgen.azure.aml_answer import CHECK_IDS, LATER, NETWORK, http_error
from manifestgen.azure.answer import not_understood
from manifestgen.azure.pipeline_login import advice
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, unquoted
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError

_FAMILIES: tuple[type[Exception], ...] = (
    AzureMLException,
    ClientException,
    RequestException,
    AzureError,
    OSError,
    *SHAPE_ERRORS,
)
# Classes that the SDKs also raise for other reasons than an answer's shape.
_NOT_SHAPE = (ClientException, RequestException, AzureMLException, OSError)

# Errors of requests for invalid URLs, which come from a response and are quoted.
_NO_ADDRESS = (InvalidSchema, InvalidURL, MissingSchema)

_PRINTED = re.compile(r"Response Code: (\d+)\n.*?Content: b?(['\"]?)(.*)\2\s*$", re.DOTALL)
_UNSEEN_SUBSCRIPTION = re.compile(r"You don't have access to (\S+) subscription")


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate the SDK's errors into ours; `where` is what the call was about."""
    try:
        yield
    except ManifestgenError:
        raise
    except _FAMILIES as error:
        raise _translate(error, where) from SdkError(error)


def _translate(error: BaseException, where: str) -> ManifestgenError:
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, ManifestgenError):  # from our credential, which the SDK called
            return link
    # The printed message is the second choice: the SDK leaves out the important part.
    answers = [*map(_answer, chain), *map(_printed, chain)]
    for answer in answers:
        if answer is not None and answer[0] >= 400:
            return http_error(*answer, where)
    if any(_is_shape(link) for link in chain):
        return not_understood("Azure ML", where)
    words = _message(error)
    if any(isinstance(link, (AuthenticationException, ClientAuthenticationError)) for link in chain):
        return DeniedError(f"could not get a token: {words}", where=where, fix=advice(os.environ))
    if any(_is_connection(link) for link in chain):
        return CloudError(f"Azure ML could not be reached: {words}", where=where, fix=NETWORK)
    if isinstance(error, AzureMLException) and (unseen := _UNSEEN_SUBSCRIPTION.search(words)):
        return NotFoundError(f"the identity has no access to subscription {unseen[1]}", where=where, fix=CHECK_IDS)
    if isinstance(error, AzureMLException) and re.search(r"not ?found", words, re.IGNORECASE):
        return NotFoundError(words, where=where, fix=CHECK_IDS)
    if isinstance(error, OSError):
        return InputError(words, where=error.filename or where, fix="check that the file exists and is readable")
    if isinstance(error, (UserErrorException, WebserviceException)):
        return InputError(words, where=where, fix="correct it in the project file")
    return CloudError(words, where=where, fix=LATER)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, each once."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = getattr(link, "inner_exception", None)
        pending += [inner if isinstance(inner, BaseException) else None, link.__cause__, link.__context__]


def _answer(error: BaseException) -> tuple[int, str] | None:
    """Status and body of the HTTP answer that an error carries."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if not isinstance(status, int):
        return None
    text = response.text() if callable(response.text) else response.text
    return status, str(text or "")


def _printed(error: BaseException) -> tuple[int, str] | None:
    """Status and body of the HTTP answer that the SDK printed into its message."""
    if isinstance(error, AzureMLException) and (found := _PRINTED.search(str(error.message))):
        return int(found[1]), found[3]
    return None


def _is_shape(error: BaseException) -> bool:
    """Whether an answer could not be taken apart."""
    if isinstance(error, (DeserializationError, JSONDecodeError)):
        return True
    if isinstance(error, _NO_ADDRESS) and not isinstance(error, InvalidProxyURL):
        return True
    return isinstance(error, SHAPE_ERRORS) and not isinstance(error, _NOT_SHAPE)


def _is_connection(error: BaseException) -> bool:
    if isinstance(error, (RequestException, ClientException, AzureError)):
        return True
    # Of the operating system's errors, those of sockets.
    return isinstance(error, (ConnectionError, TimeoutError))


def _message(error: BaseException) -> str:
    own = getattr(error, "message", None)
    text = own if isinstance(own, str) and own else str(error)
    return unquoted(text)
