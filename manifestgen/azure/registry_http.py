"""A minimal HTTP client for container registries: it keeps no cookies, reads no ~/.netrc, and does nothing implicitly.

It uses urllib3 directly. One connection pool and one TLS context serve all threads. Every step that could send a
credential somewhere is explicit, in `registry_login` and `registry_api`.
"""

from __future__ import annotations

import json
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from manifestgen.azure.answer import one_line
from manifestgen.azure.exchange import POOLS, LimitError, TooLargeError, body_of, exchange, origin_of
from manifestgen.azure.patience import TRANSIENT, Again, Patience, asked, chain, repeated, seconds_of
from manifestgen.azure.registry_network import bypasses_proxy, proxies_of, proxy_of, tls_context
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.secret import Secret
from manifestgen.waits import waiting

_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS: Final = 5
# OpenSSL's reasons for a response that is not TLS; which one depends on its version and on the response.
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


@dataclass(frozen=True)
class Response:
    """A registry's response: any status, and the body up to the requested limit."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def host(self) -> str:
        """The host that responded, with the port unless it is the default."""
        return urlsplit(self.url).netloc

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is not JSON."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    @cached_property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """The registry's error codes and messages, per the distribution specification; empty if it sent none."""
        try:
            data = self.json()
        except ValueError:
            return ()
        entries = data.get("errors") if isinstance(data, dict) else None
        if not isinstance(entries, list):
            return ()
        return tuple(
            (str(entry.get("code") or ""), one_line(str(entry.get("message") or "")))
            for entry in entries
            if isinstance(entry, dict)
        )

    @property
    def words(self) -> str:
        """The registry's error messages; empty if it sent none."""
        return self.errors[0][1] if self.errors else ""


class Http:
    """A thread-safe HTTP client.

    Args:
        patience: timeouts and retries for each registry.
        environ: environment variables: HTTPS_PROXY, NO_PROXY and those that name trusted certificates.
    """

    def __init__(self, patience: Patience, environ: Mapping[str, str]) -> None:
        self.patience = patience.scaled(environ)
        self._proxies = proxies_of(environ)
        self._pools: dict[str, urllib3.PoolManager] = {}
        # Reading the certificates takes tens of milliseconds, so it is done once, before any thread needs them.
        self._context = tls_context(environ)

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()
        self._pools.clear()

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, limit: int, method: str = "GET") -> Response:
        """`send` a GET request and follow redirects. Only the requested origin gets the `Authorization` header.

        Registries store layers and configurations elsewhere and redirect to them. Such a URL grants access by itself,
        so it is a secret.

        Raises:
            PullError: as for `send`; too many redirects, or a redirect to a URL without TLS.
        """
        headers = dict(headers or {})
        for _ in range(_REDIRECTS):
            response = self.send(method, url, headers, limit=limit)
            place = response.headers.get("Location")
            if response.status not in _REDIRECTING or not place:
                return response
            target = urljoin(url, place)
            if origin_of(target) != origin_of(url):
                headers.pop("Authorization", None)
            if urlsplit(target).scheme not in {"https", urlsplit(url).scheme}:
                what = f"the registry redirects to {_without_query(target)!r}, which does not use TLS"
                raise PullError(Trouble.FAILING, what, where=urlsplit(url).netloc, fix="check the registry's settings")
            Secret(urlsplit(target).query)
            url = target
        what = "the registry redirects too many times"
        raise PullError(Trouble.FAILING, what, where=urlsplit(url).netloc, fix="check the registry's settings")

    def send(self, method: str, url: str, headers: Mapping[str, str], *, limit: int) -> Response:
        """Send a request that changes nothing, with retries where they may help.

        Args:
            method: GET or HEAD.
            url: absolute URL.
            headers: may contain `Authorization` only if the URL's host may see it.
            limit: maximum number of body bytes to read.

        Raises:
            PullError: there was no usable response.
        """
        started, attempts = self.patience.clock(), 0

        def attempt() -> Response:
            nonlocal attempts
            attempts += 1
            left = self.patience.total - (self.patience.clock() - started)
            return self._once(method, url, headers, limit, min(self.patience.answer, max(1.0, left)))

        host = urlsplit(url).netloc
        try:
            with waiting(f"the registry {host}"):
                response = repeated(attempt, _judge, self.patience)
        except TooLargeError as error:
            what = f"the registry sent more than {limit >> 20} MiB; a short response was expected"
            raise PullError(Trouble.FAILING, what, where=host, fix="check the registry's name") from error
        except (HTTPError, OSError) as error:
            raise _translated(error, url) from error
        if response.status in TRANSIENT:
            # A slow answer to the only request is not one of retries.
            raise _failed(response, self.patience.clock() - started if attempts > 1 else 0.0)
        return response

    def _once(self, method: str, url: str, headers: Mapping[str, str], limit: int, answer: float) -> Response:
        sent = {"User-Agent": "manifestgen", "Accept-Encoding": "identity", **headers}
        pool = self._pool(url)
        connect = self.patience.connect
        with exchange(connect, answer):
            raw = pool.request(
                method,
                url,
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=connect, read=answer),
            )
            try:
                body = body_of(raw, limit)
            except zlib.error:
                body = b""  # no service of a registry compresses what was asked for without
            finally:
                raw.release_conn()
        return Response(url, raw.status, raw.headers, body)

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if bypasses_proxy(parts.netloc, parts.hostname or "", self._proxies.get("no", "")):
            proxy = None
        if (proxy or "") not in self._pools:
            self._pools[proxy or ""] = self._new_pool(proxy)
        return self._pools[proxy or ""]

    def _new_pool(self, proxy: str | None) -> urllib3.PoolManager:
        # One connection per thread, so none is discarded and reopened.
        settings: dict[str, Any] = {
            "maxsize": 32,
            "num_pools": 64,
            "ssl_context": self._context,
            "cert_reqs": "CERT_REQUIRED",
        }
        if proxy is None:
            manager = urllib3.PoolManager(**settings)
        else:
            url, login = proxy_of(proxy)
            manager = urllib3.ProxyManager(url, proxy_headers=login, **settings)
        manager.pool_classes_by_scheme = POOLS
        return manager


def _without_query(url: str) -> str:
    return one_line(url.partition("?")[0])


def _judge(outcome: Any) -> Again | None:
    error = outcome.exception()
    if error is not None:
        return Again() if _may_pass(error) else None
    response: Response = outcome.result()
    if response.status not in TRANSIENT:
        return None
    return Again(seconds_of(response.headers.get("Retry-After")))


def _may_pass(error: BaseException) -> bool:
    """Whether a retry may help: only if the connection was cut."""
    if not isinstance(error, HTTPError | OSError):
        return False
    lasting = (
        NewConnectionError,
        NameResolutionError,
        ConnectTimeoutError,
        ReadTimeoutError,
        LocationParseError,
        LimitError,
    )
    reasons = list(chain(error))
    if any(isinstance(reason, ssl.SSLEOFError) for reason in reasons):
        return True
    if any(isinstance(reason, (*lasting, ssl.SSLError)) for reason in reasons):
        return False
    return not any("Tunnel connection failed" in str(reason) for reason in reasons)


def _translated(error: Exception, url: str) -> PullError:
    host = urlsplit(url).netloc
    reasons = list(chain(error))
    for reason in reasons:
        if isinstance(reason, NameResolutionError):
            return PullError(
                Trouble.UNKNOWN_HOST,
                "the registry could not be reached: its host name does not resolve",
                where=host,
                fix="check the registry's name in the image, and this machine's DNS",
            )
        if isinstance(reason, ssl.SSLCertVerificationError):
            return PullError(
                Trouble.NOT_TRUSTED,
                f"the registry's TLS certificate is not trusted: {reason.verify_message}",
                where=host,
                fix=f"if the device trusts it (/etc/docker/certs.d/{host}/ca.crt), name that file in "
                "REQUESTS_CA_BUNDLE here; otherwise install a certificate that devices trust",
            )
        if isinstance(reason, ssl.SSLError) and reason.reason in _NOT_TLS:
            return PullError(
                Trouble.NOT_TLS,
                "the registry does not use TLS",
                where=host,
                fix="serve the registry over HTTPS; without it, a device pulls only from hosts in its daemon's "
                "insecure-registries",
            )
        if isinstance(reason, LimitError):
            return _timed_out(host, str(reason))
        if isinstance(reason, ConnectTimeoutError) and not isinstance(reason, NewConnectionError):
            return _timed_out(host, "no connection in time")
    words = _words(reasons)
    return PullError(
        Trouble.UNREACHABLE,
        f"the registry could not be reached: {words}",
        where=host,
        fix="check the registry's name and port, the network and HTTPS_PROXY",
    )


def _timed_out(host: str, words: str) -> PullError:
    return PullError(
        Trouble.TIMEOUT,
        f"the registry timed out: {words}",
        where=host,
        fix="check the network and HTTPS_PROXY; devices on the same network would time out too",
    )


def _failed(response: Response, retried: float) -> PullError:
    said = f": {response.words}" if response.words else ""
    tried = f", after {retried:.0f} s of retries" if retried >= 1 else ""
    if response.status == 429:
        after = seconds_of(response.headers.get("Retry-After"))
        wait = "" if after is None else f" {asked(after)}"
        return PullError(
            Trouble.THROTTLED,
            f"the registry is throttling requests (429){wait}{tried}{said}",
            where=response.host,
            fix="wait, then try again; many registries allow more requests with a login",
        )
    return PullError(
        Trouble.FAILING,
        f"the registry returned status {response.status}{tried}{said}",
        where=response.host,
        fix="try again; if it keeps failing, check the registry's status",
    )


def _words(reasons: list[BaseException]) -> str:
    """The message of the innermost error; those around it only add the URL and class names."""
    for reason in reversed(reasons):
        if isinstance(reason, OSError) and reason.strerror:
            return one_line(reason.strerror.lower())
        text = str(reason).rpartition(": ")[2] if isinstance(reason, HTTPError) else str(reason)
        if text:
            return one_line(text)
    return "no reason given"
