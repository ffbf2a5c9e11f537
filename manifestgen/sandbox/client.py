"""A client of the admin API of a running sandbox, for commands about it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from manifestgen.errors import CloudError

_GRACE_SECONDS: Final = 5.0
_SECONDS: Final = 10.0
_GONE: Final = "it has already stopped: unset its environment variables"


def stop(admin: str) -> None:
    """Stop the sandbox at this admin address and return once it is gone. Raises CloudError if none responds."""
    _asked(admin, "POST", "/stop")
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            _call(admin, "GET", "/", timeout=1)
        except (OSError, http.client.HTTPException):
            return
        time.sleep(0.05)


def messages(admin: str, device: str, after: int = 0) -> Mapping[str, Any]:
    """The messages of a device: `sent`, the total, and `messages`, those that are kept, oldest first.

    Args:
        admin: address of the admin API, with its token.
        device: ID.
        after: number of the last message that is known already.

    Raises:
        CloudError: no sandbox responds.
    """
    found: Mapping[str, Any] = json.loads(
        _asked(admin, "GET", f"/messages?device={quote(device, safe='')}&after={after}")
    )
    return found


def _asked(admin: str, method: str, path: str) -> bytes:
    try:
        return _call(admin, method, path, timeout=_SECONDS)
    except PermissionError as error:
        raise CloudError(
            f"the sandbox at {without_token(admin)} does not accept the token",
            fix="use the value of MANIFESTGEN_SANDBOX that 'manifestgen sandbox start' printed",
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CloudError(f"no sandbox responds at {without_token(admin)}", fix=_GONE) from error


def _call(admin: str, method: str, path: str, *, timeout: float) -> bytes:
    """Bypass any proxy in the environment: the address is on this machine."""
    address = urlsplit(admin)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    login = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Authorization": f"Basic {login}"})
        response = connection.getresponse()
        content = response.read()
        if response.status in (401, 403):
            raise PermissionError(f"HTTP {response.status}")
        return content


def without_token(admin: str) -> str:
    """The admin API's address for people."""
    return urlsplit(admin)._replace(netloc=urlsplit(admin).netloc.rpartition("@")[2]).geturl()
