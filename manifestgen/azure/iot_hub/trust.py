"""Connections to a hub: the CA store is read once a process, the environment's proxies once a hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from ssl import SSLContext
from typing import Any, Final

from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import Retry
from urllib3.util.ssl_ import create_urllib3_context

#: `retry` decides what is sent again.
NO_RETRIES: Final = Retry(total=0, raise_on_status=False, respect_retry_after_header=False)


def proxies_of(url: str) -> Mapping[str, str]:
    """The proxies that the environment names for a URL, by scheme."""
    return get_environ_proxies(url)


def verification() -> str | bool:
    """The CA store that the environment names, or True for the default one."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def trust_once(session: Session) -> None:
    """Let a session's connections share what was read of the CA store.

    Otherwise every connection reads it anew, which takes 30 ms of a core.
    """
    session.mount("https://", _SharedTrust(max_retries=NO_RETRIES))


class _SharedTrust(HTTPAdapter):
    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        host, named = super().build_connection_pool_key_attributes(request, verify, cert)
        pool: dict[str, Any] = {**named}
        if verify:
            pool.pop("ca_certs", None)
            pool.pop("ca_cert_dir", None)
            pool["ssl_context"] = _trusting(verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call] # so are its stubs
        if verify:
            conn.ca_certs = conn.ca_cert_dir = None  # the context has them


@lru_cache(maxsize=8)
def _trusting(store: str) -> SSLContext:
    context = create_urllib3_context()
    if os.path.isdir(store):  # noqa: PTH112 - as requests distinguishes a folder from a file
        context.load_verify_locations(capath=store)
    else:
        context.load_verify_locations(cafile=store)
    return context
