"""The workload API: what IoT Edge offers a module on a socket, to sign tokens and to know whom to trust.

At most ten requests may be under way on a socket; IoT Edge closes the connection of another without an answer, so such
a request is repeated after a short random pause (edgelet's limits, Azure/iotedge).
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from .errors import SettingsError

_TIMEOUT = 10.0
_ATTEMPTS = 5


class WorkloadError(Exception):
    """The workload API could not be reached, or gave an answer that cannot be used."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Workload:
    """Signs with the module's key, which only IoT Edge holds."""

    def __init__(
        self,
        uri: str,
        module: str,
        generation: str,
        api_version: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises `SettingsError` for a URI that is neither `unix://` nor `http://`."""
        parts = urlsplit(uri)
        if parts.scheme not in ("unix", "http") or not (parts.path if parts.scheme == "unix" else parts.hostname):
            raise SettingsError(f"IOTEDGE_WORKLOADURI is {uri!r}: expected unix:///PATH or http://HOST:PORT")
        self._uri, self._parts = uri, parts
        self._query = f"?api-version={quote(api_version, safe='')}"
        self._sign = f"/modules/{quote(module, safe='')}/genid/{quote(generation, safe='')}/sign"
        self._sleep = sleep

    def sign(self, data: bytes) -> str:
        """The HMAC-SHA256 of the data with the module's key, as base64.

        Raises:
            WorkloadError: no usable answer after several attempts.
        """
        body = {"keyId": "primary", "algo": "HMACSHA256", "data": base64.b64encode(data).decode()}
        return self._text("POST", self._sign, "digest", json.dumps(body).encode())

    def trust_bundle(self) -> str:
        """Certificates in PEM that edgeHub's certificate chains to.

        Raises:
            WorkloadError: no usable answer after several attempts.
        """
        return self._text("GET", "/trust-bundle", "certificate", None)

    def _text(self, method: str, path: str, key: str, body: bytes | None) -> str:
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(random.uniform(0.05, 0.1) * 2**attempt)  # noqa: S311 - a pause, not a secret
            try:
                return self._once(method, path, key, body)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                continue
            except (OSError, http.client.HTTPException) as error:
                raise WorkloadError(f"the workload API at {self._uri} is not reachable: {error}") from error
        raise WorkloadError(f"the workload API closed the connection without an answer, {_ATTEMPTS} times")

    def _once(self, method: str, path: str, key: str, body: bytes | None) -> str:
        connection = self._connection()
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path + self._query, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise WorkloadError(f"the workload API answered {method} {path} with status {response.status}")
        try:
            answer: Any = json.loads(content)
            text = answer[key]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str) or not text:
            raise WorkloadError(f"the workload API's answer to {method} {path} has no {key!r}")
        return text

    def _connection(self) -> http.client.HTTPConnection:
        if self._parts.scheme == "unix":
            return _UnixConnection(self._parts.path)
        return http.client.HTTPConnection(self._parts.hostname or "", self._parts.port or 80, timeout=_TIMEOUT)
