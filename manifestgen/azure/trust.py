"""The CA certificates of connections, and their proxies: the CA store is read once a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from ssl import SSLContext
from typing import Final

from requests.utils import get_environ_proxies
from urllib3 import Retry
from urllib3.util.ssl_ import create_urllib3_context

from manifestgen.azure.exchange import limited
from manifestgen.errors import InputError, os_reason

#: Switches off a client's own retries: `patience` decides what is retried.
NO_RETRIES: Final = Retry(total=0, raise_on_status=False, respect_retry_after_header=False)


def proxies_of(url: str) -> Mapping[str, str]:
    """The proxies that the environment names for a URL, by scheme."""
    return get_environ_proxies(url)


def verification() -> str | bool:
    """The CA store that the environment names, or True for the default one."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


@lru_cache(maxsize=8)
def trusting(store: str) -> SSLContext:
    """A TLS context that trusts a file or folder of certificates, and keeps our limits.

    Raises:
        InputError: they cannot be read.
    """
    context = limited(create_urllib3_context())
    try:
        if os.path.isdir(store):  # noqa: PTH112 - as requests distinguishes a folder from a file
            context.load_verify_locations(capath=store)
        else:
            context.load_verify_locations(cafile=store)
    except OSError as error:
        what = f"cannot read certificates from {store!r}: {os_reason(error)}"
        fix = "name a file with certificates in PEM format"
        raise InputError(what, where="REQUESTS_CA_BUNDLE", fix=fix) from error
    return context
