"""What this machine says about the way to a registry: proxies, and the certificates to trust.

By the variables that Microsoft's SDKs read too, so that what works for them works here.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import urllib3

from manifestgen.errors import InputError
from manifestgen.secret import Secret, redact

# In the order in which requests, and so Microsoft's SDKs, look for them; the last is for whatever uses OpenSSL.
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")


def proxies_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Proxies by scheme, as `urllib.request` reads them: lower case wins; `no` holds the hosts that need none."""
    named = sorted((name for name in environ if name.lower().endswith("_proxy")), key=str.islower)
    found = {name.lower().removesuffix("_proxy"): environ[name] for name in named}
    return {scheme: proxy for scheme, proxy in found.items() if proxy}


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine by its very name."""
    return _LOOPBACK.fullmatch(host) is not None


def needs_none(netloc: str, host: str, hosts: str) -> bool:
    """Whether a host is reached without a proxy.

    This machine always is, as for programs in Go: a request without TLS would carry a password beyond it otherwise.

    Args:
        netloc: the host with its port, if it has one.
        host: without.
        hosts: NO_PROXY: `*`, hosts with or without their port, domains, networks.
    """
    if is_loopback(netloc.lower()):
        return True
    for entry in filter(None, (part.strip().lower() for part in hosts.split(","))):
        name = entry.removeprefix("*").lstrip(".")
        if entry == "*" or any(one == name or one.endswith(f".{name}") for one in (host, netloc.lower())):
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return False


def proxy_of(proxy: str) -> tuple[str, dict[str, str] | None]:
    """A proxy's URL without the login in it, and the headers to log in to it with.

    Raises:
        InputError: it is no HTTP proxy.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"the proxy {redact(url)!r} is none that can be used"
        raise InputError(what, where="HTTPS_PROXY", fix="write it as http://HOST:PORT")
    if not parts.username:
        return url, None
    username, password = unquote(parts.username), unquote(parts.password or "")
    Secret(password)
    return url, dict(urllib3.make_headers(proxy_basic_auth=f"{username}:{password}"))


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trusts what a variable says, else the authorities of this machine and those of certifi.

    Raises:
        InputError: the certificates that a variable names cannot be read.
    """
    variable = next((name for name in _CA_VARIABLES if environ.get(name)), None)
    if variable is None:
        import certifi

        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
    else:
        path = Path(environ[variable])
        try:
            if path.is_dir():
                context = ssl.create_default_context(capath=str(path))
            else:
                context = ssl.create_default_context(cafile=str(path))
        except OSError as error:
            what = f"no certificates can be read from {str(path)!r}: {(error.strerror or str(error)).lower()}"
            raise InputError(what, where=variable, fix="give a file of certificates in PEM form") from error
    # A device's engine is written in Go, which does not insist on the letter of RFC 5280.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
