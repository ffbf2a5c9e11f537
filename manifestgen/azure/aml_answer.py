"""Interprets error responses of Azure ML, of both versions of its API and of its model storage."""

from __future__ import annotations

import json
import os
import re
from typing import Final
from xml.etree import ElementTree

from manifestgen.azure.pipeline_login import advice
from manifestgen.errors import CloudError, DeniedError, NotFoundError
from manifestgen.secret import redact

ROLE: Final = "give the identity the role 'AzureML Data Scientist' (or Contributor) on the workspace"
NETWORK: Final = "check the network and HTTPS_PROXY, then run the same command again"
LATER: Final = "wait a minute and run the same command again"
CHECK_IDS: Final = "check the workspace's subscription, resource group and name, and that the identity can read it"

_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,100}")
_MAX_WORDS: Final = 600


def http_error(status: int, body: str, where: str, *, role: str = ROLE) -> CloudError:
    """The error for an HTTP answer other than success, with the service's own words; `role` is the advice for a 403."""
    words = redact(_words(body)) or f"status {status}"
    if status == 401:
        return DeniedError(f"the credential was rejected: {words}", where=where, fix=advice(os.environ))
    if status == 403:
        return DeniedError(f"access denied: {words}", where=where, fix=role)
    if status == 404:
        return NotFoundError(words, where=where, fix=CHECK_IDS)
    if status == 429:
        return CloudError(f"still throttled after several retries: {words}", where=where, fix=LATER)
    if status >= 500:
        return CloudError(f"the service failed with status {status}: {words}", where=where, fix=LATER)
    return CloudError(f"rejected with status {status}: {words}", where=where, fix="correct what the service rejects")


def _words(body: str) -> str:
    """The service's message in the body of an error response; empty if the body has another form."""
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
