"""Sends requests to the service's REST API over azure-core's pipeline, where Microsoft's SDK cannot be installed.

Nothing is retried and no redirect is followed here: `retry` decides about the first, and a hub does not redirect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import platform
import threading
import time
from typing import Any, Final
from urllib.parse import quote, quote_plus

import azure.core
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline import Pipeline, PipelineRequest
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest

from manifestgen import __version__
from manifestgen.azure.auth import tokens_of
from manifestgen.azure.iot_hub.wire import API_VERSION, Call, LostError, NoTokenError, RefusedError, Reply
from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import Tokens, Transport, session_of
from manifestgen.azure.trust import proxies_of, verification
from manifestgen.secret import Secret

_SCOPE: Final = "https://iothubs.azure.net/.default"
_USER_AGENT: Final = (
    f"manifestgen/{__version__} azure-core/{azure.core.__version__} "
    f"python/{platform.python_version()} ({platform.system()}-{platform.machine()})"
)
_JSON: Final = "application/json; charset=utf-8"

# How long a signature holds, and how long before its end it is replaced, in seconds.
_SIGNATURE_LASTS: Final = 3600
_SIGNATURE_MARGIN: Final = 300


def from_policy(host: str, policy: str, key: Secret, patience: Patience) -> RestWire:
    """Requests that are signed with the key of a shared access policy."""
    return RestWire(host, _Signature(host, policy, key), patience)


def from_credential(host: str, credential: TokenCredential, patience: Patience) -> RestWire:
    """Requests with a token of Microsoft Entra ID."""
    return RestWire(host, _Bearer(credential, _SCOPE), patience, tokens_of(credential))


class RestWire:
    """A `Wire` over azure-core's pipeline."""

    def __init__(
        self,
        host: str,
        login: SansIOHTTPPolicy[Any, Any] | BearerTokenCredentialPolicy[Any, Any],
        patience: Patience,
        tokens: Tokens | None = None,
    ) -> None:
        self._base = f"https://{host}"
        self._login = login
        self._patience = patience
        self._tokens = tokens
        self._proxies = dict(proxies_of(self._base))
        self._verify = verification()
        self._threads = threading.local()

    @property
    def name(self) -> str:
        """The client that sends the requests, with its version."""
        return f"REST over azure-core {azure.core.__version__}"

    def send(self, call: Call) -> Reply:
        """See `Wire.send`."""
        try:
            response = self._pipeline.run(
                self._request(call),
                proxies=self._proxies,
                connection_timeout=self._patience.connect,
                read_timeout=call.timeout or self._patience.answer,
                connection_verify=self._verify,
            ).http_response
        except AzureError as error:
            cause = error.inner_exception or error
        else:
            reply = Reply(response.status_code, response.headers, response.text("utf-8"))
            if reply.status not in call.operation.success:
                raise RefusedError(reply)
            return reply
        raise LostError("no whole answer arrived") from cause

    @property
    def _pipeline(self) -> Pipeline[HttpRequest, Any]:
        """This thread's pipeline: a session of requests, and so its connection, is not to be shared."""
        pipeline: Pipeline[HttpRequest, Any] | None = getattr(self._threads, "pipeline", None)
        if pipeline is None:
            session = session_of(Transport(self._patience, obeys=True, tokens=self._tokens))
            # Or requests would look into the user's .netrc, whose password would replace the signature.
            session.trust_env = False
            pipeline = Pipeline(RequestsTransport(session=session, use_env_settings=False), [self._login])
            self._threads.pipeline = pipeline
        return pipeline

    def _request(self, call: Call) -> HttpRequest:
        path = call.operation.path.format_map({name: quote(value, safe="") for name, value in call.ids.items()})
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, **call.headers}
        content = None
        if call.body is not None:
            content = call.body if isinstance(call.body, bytes) else _compact(call.body)
            headers["Content-Type"] = _JSON
        return HttpRequest(
            call.operation.method,
            self._base + path,
            params={**call.query, "api-version": API_VERSION},
            headers=headers,
            content=content,
        )


def _compact(body: Any) -> bytes:
    """JSON without whitespace: the hub charges by size."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


class _Bearer(BearerTokenCredentialPolicy[Any, Any]):
    """Distinguishes a missing token from a hub that does not respond: azure-core raises the same errors for both."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        try:
            super().on_request(request)
        except AzureError as error:
            raise NoTokenError(str(error)) from error


class _Signature(SansIOHTTPPolicy[Any, Any]):
    """Signs requests with a shared access signature for the whole hub, which is renewed before it ends.

    Source: learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas.
    """

    def __init__(self, host: str, policy: str, key: Secret) -> None:
        self._resource = quote_plus(host)
        self._policy = policy
        self._key = key
        self._made = ("", 0)

    def on_request(self, request: PipelineRequest[Any]) -> None:
        text, expiry = self._made
        # Two threads may both make one, which does no harm.
        if time.time() > expiry - _SIGNATURE_MARGIN:
            text, expiry = self._made = self._make(int(time.time()) + _SIGNATURE_LASTS)
        request.http_request.headers["Authorization"] = text

    def _make(self, expiry: int) -> tuple[str, int]:
        signed = f"{self._resource}\n{expiry}".encode()
        digest = hmac.digest(base64.b64decode(self._key.reveal()), signed, hashlib.sha256)
        signature = quote(base64.b64encode(digest))
        text = f"SharedAccessSignature sr={self._resource}&sig={signature}&se={expiry}&skn={self._policy}"
        return text, expiry
