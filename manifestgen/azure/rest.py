"""Requests to REST interfaces for which no SDK is used, through azure-core's pipeline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import tenacity
from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from manifestgen.azure.registry_http import seconds_of
from manifestgen.errors import BusyError, CloudError, ManifestgenError, UnconfirmedError
from manifestgen.secret import redact

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS: Final = 5
_NETWORK: Final = "check the network and HTTPS_PROXY, then run the same command again"
_LOOK: Final = "run the same command again: it looks for what was made"


@dataclass(frozen=True)
class Patience:
    """Limits in seconds: for a connection, for the next bytes, for all attempts of one request; pauses between them."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 120.0
    first: float = 0.5
    longest: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Answer:
    """A response of any status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Rest:
    """A client for one service.

    Args:
        name: of the service, for messages, such as `Azure Resource Manager`.
        credential: for a service that takes tokens of Entra ID; None if the URLs or headers grant access.
        scope: of these tokens.
        patience: limits.
    """

    def __init__(
        self, name: str, credential: TokenCredential | None = None, scope: str = "", patience: Patience | None = None
    ) -> None:
        self._name = name
        self._patience = patience or Patience()
        policies = [BearerTokenCredentialPolicy(credential, scope)] if credential is not None else []
        transport = RequestsTransport(
            connection_timeout=self._patience.connect, read_timeout=self._patience.read, use_env_settings=True
        )
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            "", policies=policies, transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        reads: bool | None = None,
    ) -> Answer:
        """Send a request; repeat it where that helps and is safe.

        Args:
            method: the HTTP method.
            url: absolute; a query that grants access must be known as a `Secret`.
            body: to send as JSON.
            content: to send as it is.
            headers: more headers.
            reads: whether the request may be repeated; by default, whether its method is not POST.

        Raises:
            UnconfirmedError: a request that may not be repeated was sent, and its answer was lost.
            CloudError: the service could not be reached.
        """
        reads = method != "POST" if reads is None else reads
        started = self._patience.clock()

        def over(state: tenacity.RetryCallState) -> bool:
            late = self._patience.clock() - started + state.upcoming_sleep > self._patience.total
            return late or state.attempt_number >= _ATTEMPTS

        def again(state: tenacity.RetryCallState) -> bool:
            outcome = state.outcome
            if outcome is None:
                return False
            error = outcome.exception()
            if error is not None:
                return reads and isinstance(error, AzureError)
            answer: Answer = outcome.result()
            return answer.status == 429 or (reads and answer.status in _TRANSIENT)

        pause = tenacity.wait_random_exponential(multiplier=self._patience.first, max=self._patience.longest)
        attempts = tenacity.Retrying(
            retry=again,
            wait=lambda state: _after(state) or pause(state),
            stop=over,
            sleep=self._patience.sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        request = HttpRequest(method, url, json=body, content=content, headers=dict(headers or {}))
        try:
            found: Answer = attempts(lambda: self._once(request))
        except ManifestgenError:
            raise
        except AzureError as error:
            raise self._lost(error, urlsplit(url).netloc, reads=reads) from error
        self._check(found, urlsplit(url).netloc, reads=reads)
        return found

    def _once(self, request: HttpRequest) -> Answer:
        response = self._client.send_request(request)
        return Answer(response.status_code, response.headers, response.content)

    def _lost(self, error: AzureError, host: str, *, reads: bool) -> CloudError:
        words = redact(str(error).strip().partition("\n")[0]) or type(error).__name__
        if reads:
            return CloudError(f"{self._name} could not be reached: {words}", where=host, fix=_NETWORK)
        if isinstance(error, ServiceRequestError) and not _was_sent(error):
            return CloudError(f"{self._name} could not be reached: {words}", where=host, fix=_NETWORK)
        return UnconfirmedError(f"the response to a change was lost: {words}", where=host, fix=_LOOK)

    def _check(self, answer: Answer, host: str, *, reads: bool) -> None:
        """Raise the error for a status that says nothing about the request itself."""
        if answer.status not in _TRANSIENT:
            return
        what = f"{self._name} returned status {answer.status}"
        if answer.status == 429:
            after = seconds_of(answer.headers.get("Retry-After"))
            raise BusyError(
                f"{what}: too many requests",
                where=host,
                fix="wait, then run the same command again",
                retry_after=after,
                throttled=True,
            )
        if not reads:
            raise UnconfirmedError(what, where=host, fix=_LOOK)
        raise CloudError(
            what, where=host, fix="run the same command again; if it persists, see https://status.azure.com"
        )


def _after(state: tenacity.RetryCallState) -> float | None:
    if state.outcome is None or state.outcome.failed:
        return None
    answer: Answer = state.outcome.result()
    return seconds_of(answer.headers.get("Retry-After"))


def _was_sent(error: BaseException) -> bool:
    """Whether the request may have arrived: urllib3 calls a connection that a proxy cut a failure to connect, too."""
    return not any(word in str(error) for word in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError"))
