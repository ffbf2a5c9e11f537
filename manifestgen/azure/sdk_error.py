"""The safe part of an SDK's exception: its type and the service's message, never the response that it quotes."""

from __future__ import annotations

import re
from typing import Final

from azure.core.exceptions import DecodeError, HttpResponseError

from manifestgen.secret import redact, without_quotes

#: Errors of an SDK that cannot parse a response.
SHAPE_ERRORS: Final[tuple[type[Exception], ...]] = (
    AttributeError,
    DecodeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,  # with it msgspec's, json's and the SDKs' own for values that they cannot convert
)

_LONGEST: Final = 300


class SdkError(Exception):
    """An exception of an SDK without the answer that it quotes: its type, and the status, code and request's id."""

    def __init__(self, error: BaseException) -> None:
        parts = [type(error).__name__]
        if isinstance(error, HttpResponseError):
            headers = getattr(error.response, "headers", None) or {}
            parts += [
                f"status {error.status_code}" if error.status_code else "",
                code_of(error),
                f"request {headers['x-ms-request-id']}" if headers.get("x-ms-request-id") else "",
            ]
        elif not isinstance(error, SHAPE_ERRORS):
            parts.append(unquoted(str(error)))
        super().__init__(": ".join(part for part in parts if part))


def code_of(error: HttpResponseError) -> str:
    """The service's name for an error; empty if its answer has none."""
    code = error.error.code if error.error else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9_.]{1,100}", code) else ""


def message_of(error: HttpResponseError) -> str:
    """The service's own message, which may have several lines; empty if its answer could not be parsed."""
    message = error.error.message if error.error else None
    return message.strip() if isinstance(message, str) else ""


def words_of(error: HttpResponseError) -> str:
    """The first line of the service's own message, or the status."""
    return first_line(message_of(error) or f"status {error.status_code} {error.reason or ''}")


def first_line(text: str) -> str:
    """The first line of a text without a full stop and without secrets."""
    lines = text.strip().splitlines()
    return redact(lines[0].strip().rstrip(".")) if lines else "no reason given"


def unquoted(text: str) -> str:
    """The text of an SDK's exception on one line, without the answer that it quotes."""
    return redact(" ".join(without_quotes(text).split())).rstrip(".")[:_LONGEST]
