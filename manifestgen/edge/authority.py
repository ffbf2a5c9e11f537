"""A throwaway certificate authority: it exists only while its process runs, and its key is never written to disk."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import trustme

_NAME = "manifestgen sandbox, not Azure"

# A client may ask for any name below a wildcard such as *.azurecr.io; only the most recent certificates are kept.
_KEPT = 128


class Authority:
    """Issues a certificate for each host name, on a client's first request for it."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name=_NAME)
        self._context = lru_cache(maxsize=_KEPT)(self._make_context)

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self._ca.cert_pem.bytes().decode("ascii")

    def write(self, path: Path) -> None:
        """Write the authority's certificate as PEM, for the clients' trust settings."""
        path.write_bytes(self._ca.cert_pem.bytes())

    def context(self, host: str) -> ssl.SSLContext:
        """A context that presents the certificate of one host to every client, whatever name the client gives."""
        return self._issued(host)

    def server_context(self, serves: Callable[[str], bool]) -> ssl.SSLContext:
        """A context that presents the certificate of the served host that the client names.

        Args:
            serves: whether the sandbox serves a host (in lower case); handshakes for other hosts are rejected. A client
                that names no host gets the certificate of `localhost`.
        """

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            host = (name or "localhost").lower()
            if host != "localhost" and not serves(host):
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = self._context(host)
            return None

        context = self._make_context("localhost")
        # typeshed declares the callback with the socket variant; asyncio passes an SSLObject.
        callback: Any = choose
        context.sni_callback = callback
        return context

    def _make_context(self, host: str) -> ssl.SSLContext:
        context = self._issued(host)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _issued(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        names = ("localhost", "127.0.0.1") if host == "localhost" else (host,)
        self._ca.issue_cert(*names, organization_name=_NAME).configure_cert(context)
        return context
