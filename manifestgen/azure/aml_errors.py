"""Translates the errors of azureml-core and its dependencies; the service's own words are kept.

They come from four families: its own (`AzureMLException`), msrest's, requests', azure-core's; and none of them reliably
carries what the service said: that is looked for in the HTTP answer, which hangs somewhere in the chain of causes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azureml.exceptions import AuthenticationException, AzureMLException, UserErrorException, WebserviceException
from msrest.exceptions import ClientException, DeserializationError
from requests import JSONDecodeError, RequestException

from manifestgen.azure.answer import not_understood
from manifestgen.azure.pipeline_login import advice
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, unquoted
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError
from manifestgen.secret import redact

_ROLE = "give the identity the role 'AzureML Data Scientist' (or Contributor) on the workspace"
_NETWORK = "check the network and HTTPS_PROXY, then run the same command again"
_LATER = "wait a minute and run the same command again"
_CHECK_IDS = "check the workspace's subscription, resource group and name, and that the identity can read it"

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

_PRINTED = re.compile(r"Response Code: (\d+)\n.*?Content: b?(['\"]?)(.*)\2\s*$", re.DOTALL)
_UNSEEN_SUBSCRIPTION = re.compile(r"You don't have access to (\S+) subscription")
_CODE = re.compile(r"[A-Za-z0-9_.]{1,100}")
_MAX_WORDS = 600


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate the SDK's errors into ours; `where` is what the call was about."""
    try:
        yield
    except ManifestgenError:
        raise
    except _FAMILIES as error:
        raise _translate(error, where) from SdkError(error)


def http_error(status: int, body: str, where: str) -> CloudError:
    """The error for an HTTP answer other than success, with the service's own words."""
    words = redact(_words(body)) or f"status {status}"
    if status == 401:
        return DeniedError(f"the credential was rejected: {words}", where=where, fix=advice(os.environ))
    if status == 403:
        return DeniedError(f"access denied: {words}", where=where, fix=_ROLE)
    if status == 404:
        return NotFoundError(words, where=where, fix=_CHECK_IDS)
    if status == 429:
        return CloudError(f"still throttled after several retries: {words}", where=where, fix=_LATER)
    if status >= 500:
        return CloudError(f"the service failed with status {status}: {words}", where=where, fix=_LATER)
    return CloudError(f"rejected with status {status}: {words}", where=where, fix="correct what the service rejects")


def _translate(error: BaseException, where: str) -> ManifestgenError:
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, ManifestgenError):  # from our credential, which the SDK called
            return link
    # What was printed into a message comes second: the SDK leaves out the words that matter.
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
        return CloudError(f"Azure ML could not be reached: {words}", where=where, fix=_NETWORK)
    if isinstance(error, AzureMLException) and (unseen := _UNSEEN_SUBSCRIPTION.search(words)):
        return NotFoundError(f"the identity has no access to subscription {unseen[1]}", where=where, fix=_CHECK_IDS)
    if isinstance(error, AzureMLException) and re.search(r"not ?found", words, re.IGNORECASE):
        return NotFoundError(words, where=where, fix=_CHECK_IDS)
    if isinstance(error, OSError):
        return InputError(words, where=error.filename or where, fix="check that the file exists and is readable")
    if isinstance(error, (UserErrorException, WebserviceException)):
        return InputError(words, where=where, fix="correct it in the project file")
    return CloudError(words, where=where, fix=_LATER)


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


def _words(body: str) -> str:
    """What the service says in the body of an error answer; empty if that is not what such an answer looks like."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return _sentence(_xml_words(body))
    inner = data.get("error", data) if isinstance(data, dict) else None
    if isinstance(inner, str) and _CODE.fullmatch(inner):
        return inner
    if not isinstance(inner, dict):
        return ""
    details = inner.get("details")
    items = details if isinstance(details, list) else []
    reasons = [item["message"] for item in items if isinstance(item, dict) and isinstance(item.get("message"), str)]
    said = [text for text in (inner.get("message"), inner.get("code")) if isinstance(text, str) and text]
    message = said[0].rstrip(" .") if said else ""
    return _sentence(": ".join(filter(None, (message, "; ".join(reasons)))))


def _xml_words(body: str) -> str:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - a service's answer, from a host whose certificate was checked
    except (ElementTree.ParseError, ValueError, RecursionError):
        return ""
    return ": ".join(filter(None, (root.findtext(tag) for tag in ("Code", "Message"))))


def _sentence(text: str) -> str:
    """One line without a full stop, cut to a length that fits a terminal."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _MAX_WORDS else line[:_MAX_WORDS] + "…"
