"""This machine's network settings for registries: proxies and trusted certificates.

They come from the variables that Microsoft's SDKs read, so what works for the SDKs works here.
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

from manifestgen.azure.exchange import limited
from manifestgen.errors import InputError, os_reason
from manifestgen.secret import Secret, redact

# In the order in which requests, and so Microsoft's SDKs, read them; the last is for programs that use OpenSSL.
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")


def proxies_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Proxies by scheme, as `urllib.request` reads them: lower case wins; `no` lists the hosts that need none."""
    named = sorted((name for name in environ if name.lower().endswith("_proxy")), key=str.islower)
    found = {name.lower().removesuffix("_proxy"): environ[name] for name in named}
    return {scheme: proxy for scheme, proxy in found.items() if proxy}


def is_loopback(host: str) -> bool:
    """Whether the name of a host, with or without a port, means this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def bypasses_proxy(netloc: str, host: str, hosts: str) -> bool:
    """Whether a host is reached without a proxy.

    This machine never uses one, as in Go programs: otherwise a request without TLS would send a password to the proxy.

    Args:
        netloc: the host with its port, if it has one.
        host: the host without its port.
        hosts: NO_PROXY: `*`, hosts with or without a port, domains, networks.
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
    """A proxy's URL without its login, and the headers for the login.

    Raises:
        InputError: the proxy is not an HTTP proxy.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"the proxy URL {redact(url)!r} is not supported"
        raise InputError(what, where="HTTPS_PROXY", fix="write it as http://HOST:PORT")
    if not parts.username:
        return url, None
    username, password = unquote(parts.username), unquote(parts.password or "")
    Secret(password)
    return url, dict(urllib3.make_headers(proxy_basic_auth=f"{username}:{password}"))


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the certificates in a variable; without one, those of this machine and of certifi.

    Raises:
        InputError: a variable names certificates that cannot be read.
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
            what = f"cannot read certificates from {str(path)!r}: {os_reason(error)}"
            raise InputError(what, where=variable, fix="name a file with certificates in PEM format") from error
    # A device's container engine is written in Go, which is less strict than RFC 5280.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return limited(context)
