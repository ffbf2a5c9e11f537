"""HTTP to container registries, as plainly as it can be had: no cookie is kept, no ~/.netrc read, nothing done unasked.

urllib3 itself, which requests is made of: one pool of connections and one TLS context serve all threads, and every
step that could carry a credential somewhere is written out in `registry_login` and `registry_api`.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import tenacity
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from manifestgen.azure.registry_network import needs_none, proxies_of, proxy_of, tls_context
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.secret import Secret, redact

_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS: Final = 5
_CHUNK: Final = 1 << 16
_LONGEST_WORDS: Final = 300
# What OpenSSL calls an answer that is no TLS; which one depends on its version and on the answer.
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


@dataclass(frozen=True)
class Patience:
    """How long a registry is given, in seconds.

    Attributes:
        connect: for a connection to come about.
        read: for the next bytes of an answer.
        total: for one request, from the first attempt to the last; a Retry-After beyond it is not waited for.
        first, longest: pauses between attempts where the registry asks for none; each may be twice as long as the last.
    """

    connect: float = 10.0
    read: float = 20.0
    total: float = 30.0
    first: float = 0.5
    longest: float = 8.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Answer:
    """What came back: any status, and the body within the limit that was asked for."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def host(self) -> str:
        """Who answered, with the port if it is not the usual one."""
        return urlsplit(self.url).netloc

    def json(self) -> Any:
        """Its body. Raises ValueError if that is no JSON."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    @cached_property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """The registry's codes and words, in the form of the distribution specification; empty if it gave none."""
        try:
            data = self.json()
        except ValueError:
            return ()
        entries = data.get("errors") if isinstance(data, dict) else None
        if not isinstance(entries, list):
            return ()
        return tuple(
            (str(entry.get("code") or ""), _printable(str(entry.get("message") or "")))
            for entry in entries
            if isinstance(entry, dict)
        )

    @property
    def words(self) -> str:
        """What the registry says, or nothing."""
        return self.errors[0][1] if self.errors else ""


class Http:
    """Sends requests; any number of threads may use it at once.

    Args:
        patience: with each registry.
        environ: for HTTPS_PROXY, NO_PROXY and the certificates to trust.
    """

    def __init__(self, patience: Patience, environ: Mapping[str, str]) -> None:
        self.patience = patience
        self._proxies = proxies_of(environ)
        self._pools: dict[str, urllib3.PoolManager] = {}
        # Reading the certificates takes tens of milliseconds: once, and before several threads could do it.
        self._context = tls_context(environ)

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()
        self._pools.clear()

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, limit: int, method: str = "GET") -> Answer:
        """`send`, and on to where the answer redirects. Only the origin that was asked sees the `Authorization`.

        Registries keep layers and configurations elsewhere and redirect there; the URL itself is the right to read
        then, and so a secret.

        Raises:
            PullError: as `send`; or it redirects without end, or to where there is no TLS.
        """
        headers = dict(headers or {})
        for _ in range(_REDIRECTS):
            answer = self.send(method, url, headers, limit=limit)
            place = answer.headers.get("Location")
            if answer.status not in _REDIRECTING or not place:
                return answer
            target = urljoin(url, place)
            if _origin(target) != _origin(url):
                headers.pop("Authorization", None)
            if urlsplit(target).scheme not in {"https", urlsplit(url).scheme}:
                what = f"the registry redirects to {_without_query(target)!r}, where there is no TLS"
                raise PullError(Trouble.FAILING, what, where=urlsplit(url).netloc, fix="check the registry's settings")
            Secret(urlsplit(target).query)
            url = target
        what = "the registry redirects without end"
        raise PullError(Trouble.FAILING, what, where=urlsplit(url).netloc, fix="check the registry's settings")

    def send(self, method: str, url: str, headers: Mapping[str, str], *, limit: int) -> Answer:
        """Send a request that changes nothing, again where that may help.

        Args:
            method: GET or HEAD.
            url: absolute.
            headers: `Authorization` among them only if the URL's host may see it.
            limit: the most bytes of body to read.

        Raises:
            PullError: nothing that could be judged came back.
        """
        started = self.patience.clock()

        def over(state: tenacity.RetryCallState) -> bool:
            return self.patience.clock() - started + state.upcoming_sleep > self.patience.total

        pause = tenacity.wait_random_exponential(multiplier=self.patience.first, max=self.patience.longest)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda answer: answer.status in _AGAIN)
            | tenacity.retry_if_exception(_may_pass),
            wait=lambda state: _retry_after(state) or pause(state),
            stop=over,
            sleep=self.patience.sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            answer: Answer = attempts(lambda: self._once(method, url, headers, limit, started + self.patience.total))
        except (HTTPError, OSError) as error:
            raise _translated(error, url, self.patience) from error
        if answer.status in _AGAIN:
            raise _refused(answer, self.patience.clock() - started)
        return answer

    def _once(self, method: str, url: str, headers: Mapping[str, str], limit: int, deadline: float) -> Answer:
        sent = {"User-Agent": "manifestgen", "Accept-Encoding": "identity", **headers}
        response = self._pool(url).request(
            method,
            url,
            headers=sent,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=self.patience.connect, read=self.patience.read),
        )
        try:
            body = bytearray()
            for chunk in response.stream(_CHUNK, decode_content=False):
                body += chunk
                if len(body) > limit:
                    response.close()
                    what = f"the registry sent more than {limit >> 20} MiB where a short answer was due"
                    raise PullError(Trouble.FAILING, what, where=urlsplit(url).netloc, fix="check the registry's name")
                if self.patience.clock() > deadline:
                    response.close()
                    raise _slow(urlsplit(url).netloc, f"an answer is not complete after {self.patience.total:.0f} s")
            return Answer(url, response.status, response.headers, bytes(body))
        finally:
            response.release_conn()

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if needs_none(parts.netloc, parts.hostname or "", self._proxies.get("no", "")):
            proxy = None
        if (proxy or "") not in self._pools:
            self._pools[proxy or ""] = self._new_pool(proxy)
        return self._pools[proxy or ""]

    def _new_pool(self, proxy: str | None) -> urllib3.PoolManager:
        # As many connections as threads may ask, so that none is thrown away and made again.
        settings: dict[str, Any] = {
            "maxsize": 32,
            "num_pools": 64,
            "ssl_context": self._context,
            "cert_reqs": "CERT_REQUIRED",
        }
        if proxy is None:
            return urllib3.PoolManager(**settings)
        url, login = proxy_of(proxy)
        return urllib3.ProxyManager(url, proxy_headers=login, **settings)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _without_query(url: str) -> str:
    return _printable(url.partition("?")[0])


def _retry_after(state: tenacity.RetryCallState) -> float | None:
    if state.outcome is None or state.outcome.failed:
        return None
    answer: Answer = state.outcome.result()
    return seconds_of(answer.headers.get("Retry-After"))


def seconds_of(header: str | None) -> float | None:
    """Seconds to wait as a `Retry-After` tells them, as a number or as a date; None if it tells nothing."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may do better: the connection was cut; all else stays as it is."""
    if not isinstance(error, HTTPError | OSError):
        return False
    lasting = (NewConnectionError, NameResolutionError, ConnectTimeoutError, ReadTimeoutError, LocationParseError)
    reasons = list(_chain(error))
    if any(isinstance(reason, ssl.SSLEOFError) for reason in reasons):
        return True
    if any(isinstance(reason, (*lasting, ssl.SSLError)) for reason in reasons):
        return False
    return not any("Tunnel connection failed" in str(reason) for reason in reasons)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made from, the outermost first."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            original = current.original_error if isinstance(current, ProxyError) else None
            waiting += [*current.args, original, current.__cause__, current.__context__]


def _translated(error: Exception, url: str, patience: Patience) -> PullError:
    host = urlsplit(url).netloc
    reasons = list(_chain(error))
    for reason in reasons:
        if isinstance(reason, NameResolutionError):
            return PullError(
                Trouble.UNKNOWN_HOST,
                "the registry could not be reached: there is no host of this name",
                where=host,
                fix="check the registry's name in the image, and the DNS that this machine asks",
            )
        if isinstance(reason, ssl.SSLCertVerificationError):
            return PullError(
                Trouble.NOT_TRUSTED,
                f"the registry's TLS certificate is not trusted: {reason.verify_message}",
                where=host,
                fix=f"if the device trusts it (/etc/docker/certs.d/{host}/ca.crt), name that file in "
                "REQUESTS_CA_BUNDLE here; else install a certificate that devices trust",
            )
        if isinstance(reason, ssl.SSLError) and reason.reason in _NOT_TLS:
            return PullError(
                Trouble.NOT_TLS,
                "the registry answers without TLS",
                where=host,
                fix="let the registry serve HTTPS; a device pulls without it only from hosts in its daemon's "
                "insecure-registries",
            )
        if isinstance(reason, ConnectTimeoutError) and not isinstance(reason, NewConnectionError):
            return _slow(host, f"no connection within {patience.connect:g} s")
        if isinstance(reason, ReadTimeoutError):
            return _slow(host, f"no answer within {patience.read:g} s")
    words = _words(reasons)
    return PullError(
        Trouble.UNREACHABLE,
        f"the registry could not be reached: {words}",
        where=host,
        fix="check the registry's name and port, the network and HTTPS_PROXY",
    )


def _slow(host: str, words: str) -> PullError:
    return PullError(
        Trouble.TIMEOUT,
        f"the registry is too slow: {words}",
        where=host,
        fix="check the network and HTTPS_PROXY; devices behind the same network would wait as long",
    )


def _refused(answer: Answer, seconds: float) -> PullError:
    said = f": {answer.words}" if answer.words else ""
    tried = f", after {seconds:.0f} s of trying" if seconds >= 1 else ""
    if answer.status == 429:
        asked = seconds_of(answer.headers.get("Retry-After"))
        wait = "" if asked is None else f" and asks to wait {asked:.0f} s"
        return PullError(
            Trouble.THROTTLED,
            f"the registry answers 'too many requests' (429){wait}{tried}{said}",
            where=answer.host,
            fix="wait, then try again; who logs in is often given more than the public is",
        )
    return PullError(
        Trouble.FAILING,
        f"the registry answered with status {answer.status}{tried}{said}",
        where=answer.host,
        fix="try again; if it goes on, look at the registry's own status",
    )


def _words(reasons: list[BaseException]) -> str:
    """What the innermost error says: what wraps it repeats the URL and the names of classes."""
    for reason in reversed(reasons):
        if isinstance(reason, OSError) and reason.strerror:
            return _printable(reason.strerror.lower())
        text = str(reason).rpartition(": ")[2] if isinstance(reason, HTTPError) else str(reason)
        if text:
            return _printable(text)
    return "no reason given"


def _printable(text: str) -> str:
    """A service's own words on one line, within bounds, without what would drive a terminal."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return redact(line[:_LONGEST_WORDS]).rstrip(".")
