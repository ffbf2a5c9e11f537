"""Whether a service's answer has the shape that is expected; for all adapters. Imports no SDK.

An answer that cannot be parsed, or has another shape, may hold anything: a password, or a proxy's login page. So
nothing of it becomes a message: see `sdk_error` for the SDKs, whose exceptions quote it.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from manifestgen.errors import CloudError
from manifestgen.secret import redact

_T = TypeVar("_T")

# Characters of a service's message.
_LONGEST: Final = 300

_FIX: Final = (
    "run the same command again; if that does not help, check that no proxy or firewall answers instead of the service"
)


def decoded(data: Any, shape: type[_T], *, service: str, where: str) -> _T:
    """An answer of the shape that is expected.

    Args:
        data: JSON data, or an object of an SDK.
        shape: a type that msgspec can convert to; members that it does not name are ignored.
        service: whose answer it is, for the error.
        where: what it is about, for the error.

    Raises:
        CloudError: it has another shape; the error says where, and nothing of its content.
    """
    try:
        return msgspec.convert(data, shape, from_attributes=True)
    except (msgspec.ValidationError, AttributeError) as error:
        raise not_understood(service, where, str(error)) from None


def not_understood(service: str, where: str, why: str = "") -> CloudError:
    """The error for an answer that is not what the service would send.

    Args:
        why: what is wrong with it, without its content.
    """
    reason = why.replace("`", "'").replace(" - at ", " at ").rstrip(".")
    more = f": {reason[:1].lower()}{reason[1:]}" if reason else ""
    return CloudError(f"the answer of {service} was not understood{more}", where=where, fix=_FIX)


def one_line(text: str) -> str:
    """A service's message on one line, truncated, without control characters, secrets and a full stop."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return redact(" ".join(printable.split())[:_LONGEST]).rstrip(".")
