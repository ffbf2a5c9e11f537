"""The one transport of every client that is built on requests: ours, azure-core's, msrest's and azureml-core's.

A `Transport` makes one attempt, within limits of time and size; a `RetryingTransport` repeats it where that helps and
is safe. Both check what an SDK would accept: redirects to another origin, a `Retry-After` that is too long.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    ReadTimeout,
    RequestException,
)
from requests.utils import DEFAULT_CA_BUNDLE_PATH, rewind_body
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import HTTPError, ProtocolError

from manifestgen.azure.exchange import POOLS, LimitError, TooLargeError, body_of, exchange, origin_of
from manifestgen.azure.patience import (
    TRANSIENT,
    Again,
    Patience,
    asked,
    duration,
    never_sent,
    repeated,
    root_words,
    seconds_of,
    untrusted,
)
from manifestgen.azure.trust import NO_RETRIES, trusting
from manifestgen.errors import CloudError, UnconfirmedError
from manifestgen.waits import waiting

if TYPE_CHECKING:
    from azure.core.pipeline.transport import RequestsTransport

#: Bytes of a body, compressed or not; no answer of a service comes near.
LARGEST: Final = 32 << 20
NETWORK: Final = "check the network and HTTPS_PROXY, then run the same command again"

_LONGEST_PAUSE: Final = 120.0
_LOOK: Final = "run the same command again: it looks for what was made"
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
# Methods that change nothing (RFC 9110, 9.2.1).
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Methods that have the same effect when they are repeated (RFC 9110, 9.2.2).
_IDEMPOTENT: Final = _SAFE | {"PUT", "DELETE"}
# POSTs that read, and those whose repetition leaves nothing behind that anyone would see.
_READING_POSTS: Final = re.compile(
    r"/(listCredentials|listKeys|listSecrets|oauth2/(v2\.0/)?(token|exchange)|assets|artifacts/batch/metadata/.*"
    r"|oidctoken|listBuildSourceUploadUrl|runs/[^/]+/(listLogSasUrl|cancel))$",
    re.IGNORECASE,
)


class Tokens(Protocol):
    """The tokens of one login."""

    def current(self, token: str) -> str:
        """The token that has replaced this one; the same if none has."""
        ...

    def renewed(self, token: str) -> str | None:
        """Another token in place of one that a service rejected; None if there is none. Raises nothing."""
        ...


class UnreachableError(CloudError):
    """No connection came about; the cause says why."""


class Transport(HTTPAdapter):
    """Makes one attempt for each request, within limits.

    Args:
        patience: its limits; a request's own timeouts only shorten them.
        obeys: a request's own timeout for the answer replaces the limit.
        tokens: replace a token that the service rejects, once for each request.

    Raises by `send`:
        CloudError: the certificate is not trusted, the answer too large, or a redirect to another origin.
        RequestException: anything else that went wrong with the connection, `LimitError` among its causes.
    """

    def __init__(self, patience: Patience, *, obeys: bool = False, tokens: Tokens | None = None) -> None:
        super().__init__(max_retries=NO_RETRIES)
        self.patience = patience
        self._obeys = obeys
        self._tokens = tokens

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **named: Any) -> None:
        """See `HTTPAdapter.init_poolmanager`."""
        super().init_poolmanager(connections, maxsize, block, **named)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        """See `HTTPAdapter.proxy_manager_for`."""
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        """See `HTTPAdapter.build_connection_pool_key_attributes`; all connections share what was read of a CA store.

        Otherwise every connection reads it again, which takes 30 ms of a core.
        """
        host, named = super().build_connection_pool_key_attributes(request, verify, cert)
        pool: dict[str, Any] = {**named}
        if verify and host["scheme"] == "https":
            pool.pop("ca_certs", None)
            pool.pop("ca_cert_dir", None)
            pool["ssl_context"] = trusting(verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """See `HTTPAdapter.cert_verify`."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call] # so are its stubs
        if verify:
            conn.ca_certs = conn.ca_cert_dir = None  # the context has them

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """The answer, with its whole body; see `HTTPAdapter.send`."""
        return self._renewing(request, lambda: self._attempt(request, timeout, verify, cert, proxies))

    def _renewing(self, request: PreparedRequest, send: Callable[[], Response]) -> Response:
        """The answer; if the token has expired or was revoked, the answer to a new one."""
        scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or self._tokens is None:
            return send()
        # SDKs keep a token until it expires, whatever a service said of it.
        token = self._tokens.current(token)
        request.headers["Authorization"] = f"{scheme} {token}"
        response = send()
        if response.status_code == 401 and _is_rewound(request):
            fresh = self._tokens.renewed(token)
            if fresh is not None:
                request.headers["Authorization"] = f"{scheme} {fresh}"
                return send()
        return response

    def _attempt(self, request: PreparedRequest, timeout: Any, verify: Any, cert: Any, proxies: Any) -> Response:
        host = urlsplit(request.url or "").netloc
        connect, answer = self._limits(timeout)
        request.headers["Accept-Encoding"] = "identity"
        try:
            with exchange(connect, answer):
                response = super().send(
                    request, stream=True, timeout=(connect, answer), verify=verify, cert=cert, proxies=proxies
                )
                return _sanitized(self._whole(request, response), request, host)
        except TooLargeError as error:
            raise CloudError(str(error), where=host, fix=f"{NETWORK}; what answers may be another server") from error
        except LimitError as error:
            raise ReadTimeout(error, request=request) from error
        except ProtocolError as error:
            raise ChunkedEncodingError(error, request=request) from error
        except zlib.error as error:
            raise ContentDecodingError(error, request=request) from error
        except HTTPError as error:
            raise ConnectionError(error, request=request) from error
        except (RequestException, OSError) as error:
            distrust = untrusted(error, host)
            if distrust is not None:
                raise distrust from error
            if isinstance(error, RequestException):
                raise
            raise ConnectionError(error, request=request) from error

    def _limits(self, timeout: Any) -> tuple[float, float]:
        given = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        own = (self.patience.connect, self.patience.answer)
        if self._obeys:
            connect, answer = (limit if wish is None else wish for wish, limit in zip(given, own, strict=True))
            return min(connect, own[0]), answer
        connect, answer = (
            min(wish, limit) if isinstance(wish, int | float) else limit for wish, limit in zip(given, own, strict=True)
        )
        return connect, answer

    def _whole(self, request: PreparedRequest, response: Response) -> Response:
        """The response with its body read, in a form that every client can read once more in its own way."""
        body = body_of(response.raw, LARGEST)
        headers = HTTPHeaderDict(response.raw.headers)
        for name in ("Content-Encoding", "Transfer-Encoding"):
            headers.discard(name)
        if request.method != "HEAD":  # its length is that of the body that a GET would bring
            headers["Content-Length"] = str(len(body))
        raw = HTTPResponse(
            io.BytesIO(body),
            headers,
            response.status_code,
            version=response.raw.version,
            reason=response.raw.reason,
            preload_content=False,
            request_method=request.method,
        )
        return self.build_response(request, raw)


def _sanitized(response: Response, request: PreparedRequest, host: str) -> Response:
    """The response, unless it redirects to another origin; without a `Retry-After` that an SDK would stumble over."""
    place = response.headers.get("Location")
    if response.status_code in _REDIRECTING and place:
        target = urljoin(request.url or "", place)
        if origin_of(target) != origin_of(request.url or ""):
            raise CloudError(
                f"the response is a redirect to another server, {urlsplit(target).netloc!r}, which was not followed",
                where=host,
                fix="check the network and HTTPS_PROXY: a sign-in page of the network answers in this way",
            )
    after = response.headers.get("Retry-After")
    if after is not None:
        seconds = seconds_of(after)
        del response.headers["Retry-After"]
        if seconds is not None and seconds < inf:
            response.headers["Retry-After"] = str(int(seconds))
    return response


class RetryingTransport(Transport):
    """Repeats what can be repeated, and gives up in our words, which pass through every SDK unchanged.

    Args:
        name: of the service, for people, such as `Azure Resource Manager`.
        patience: how long.
        tokens: see `Transport`.
        failed: makes the error for a status that does not pass; None lets the SDK make its own.

    Raises by `send`:
        UnreachableError: no connection came about.
        UnconfirmedError: a request that changes something was sent, and no answer came.
        CloudError: as for `Transport`; no answer in time, or the service asks to wait for too long.
    """

    def __init__(
        self,
        name: str,
        patience: Patience,
        *,
        tokens: Tokens | None = None,
        failed: Callable[[Response], CloudError] | None = None,
    ) -> None:
        super().__init__(patience, tokens=tokens)
        self._name = name
        self._failed = failed

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """See `Transport.send`."""
        reads = _is_repeatable(request)
        started = self.patience.clock()

        def attempt() -> Response:
            return self._attempt(request, timeout, verify, cert, proxies)

        def judge(outcome: Any) -> Again | None:
            again = _judge(outcome, reads=reads)
            # A body that came from a stream may not be there any more.
            return again if again is not None and _is_rewound(request) else None

        with waiting(self._name, changes=not _only_reads(request)):
            try:
                response = self._renewing(request, lambda: repeated(attempt, judge, self.patience))
            except RequestException as error:
                raise self._lost(error, request, self.patience.clock() - started, reads=reads) from error
        self._refuse_to_wait(response)
        if response.status_code in TRANSIENT and self._failed is not None:
            failure = self._failed(response)
            if not reads and not _is_throttled(response):
                raise UnconfirmedError(failure.what, where=failure.where, fix=_LOOK)
            raise failure
        return response

    def _refuse_to_wait(self, response: Response) -> None:
        """Raise CloudError if the service asks for more patience than there is: SDKs would wait for as long."""
        after = seconds_of(response.raw.headers.get("Retry-After"))
        # In the response of a running operation, it is the polling interval.
        longest = self.patience.total if response.status_code in TRANSIENT else _LONGEST_PAUSE
        if after is None or after <= longest:
            return
        raise CloudError(
            f"{self._name} returned status {response.status_code} {asked(after)}",
            where=urlsplit(response.url or "").netloc,
            fix="wait, then run the same command again",
        )

    def _lost(self, error: RequestException, request: PreparedRequest, seconds: float, *, reads: bool) -> CloudError:
        host = urlsplit(request.url or "").netloc
        words = root_words(error)
        if never_sent(error):
            return UnreachableError(f"{self._name} could not be reached: {words}", where=host, fix=NETWORK)
        if not reads:
            return UnconfirmedError(
                f"the response to a change was lost: {words}",
                where=host,
                fix=_LOOK,
            )
        tried = f" for {duration(seconds)}" if seconds >= 1 else ""
        return CloudError(f"{self._name} did not respond{tried}: {words}", where=host, fix=NETWORK)


def _only_reads(request: PreparedRequest) -> bool:
    path = urlsplit(request.url or "").path
    return request.method in _SAFE or (request.method == "POST" and _READING_POSTS.search(path) is not None)


def _is_repeatable(request: PreparedRequest) -> bool:
    return request.method in _IDEMPOTENT or _only_reads(request)


def _is_rewound(request: PreparedRequest) -> bool:
    body: Any = request.body  # of any kind, whatever its stub says
    if isinstance(body, str | bytes | type(None)):
        return True
    try:
        rewind_body(request)
    except RequestException:
        return False
    return True


def _judge(outcome: Any, *, reads: bool) -> Again | None:
    """Whether an attempt is worth another one: a change is sent again only if it certainly was not made."""
    error = outcome.exception()
    if isinstance(error, RequestException):
        nothing_sent = never_sent(error)
        return Again(unreachable=nothing_sent) if reads or nothing_sent else None
    if error is not None:
        return None
    response: Response = outcome.result()
    if _is_throttled(response) or (reads and response.status_code in TRANSIENT):
        return Again(seconds_of(response.raw.headers.get("Retry-After")))
    return None


def _is_throttled(response: Response) -> bool:
    """Whether the service did nothing."""
    return response.status_code == 429 or (response.status_code == 503 and "Retry-After" in response.raw.headers)


def session_of(transport: Transport, *, local: Transport | None = None) -> Session:
    """A session that sends everything with a transport.

    Args:
        local: for addresses without TLS, such as that of managed identity; None for the same.
    """
    session = Session()
    session.mount("https://", transport)
    session.mount("http://", local or transport)
    return session


def azure_core_transport(transport: Transport, *, local: Transport | None = None) -> RequestsTransport:
    """The transport of azure-core's pipelines; see `session_of`."""
    from azure.core.pipeline.transport import RequestsTransport

    return RequestsTransport(session=session_of(transport, local=local), session_owner=False)
