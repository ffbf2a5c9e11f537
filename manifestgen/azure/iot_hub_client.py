"""Microsoft's IoT Hub client, set up so that connections are kept, bodies are compact and nothing is retried behind us.

As it comes (azure-iot-hub 2.7 on msrest 0.7) it closes its connection after every call and reads the CA store anew for
the next, sends JSON with blanks, waits 100 s for an answer, and repeats some requests and not others: a GET after a
reset, a POST only when a proxy is in between, a 429 never without Retry-After. Retrying is `iot_hub_retry`'s business.
"""

from __future__ import annotations

import os
from functools import lru_cache
from ssl import SSLContext
from typing import Any, Final

import msgspec
from azure.core.credentials import TokenCredential
from azure.iot.hub import IoTHubConfigurationManager
from msrest.pipeline import Pipeline, SansIOHTTPPolicy
from msrest.pipeline.requests import PipelineRequestsHTTPSender, RequestsCredentialsPolicy
from msrest.universal_http.requests import RequestsHTTPSender
from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import Retry
from urllib3.util.ssl_ import create_urllib3_context

from manifestgen import __version__
from manifestgen.secret import Secret

# Of one attempt, in seconds: the hub itself gives up a request after 30.
TIMEOUT: Final = 35.0
_NO_RETRIES: Final = Retry(total=0, raise_on_status=False, respect_retry_after_header=False)


def from_connection_string(connection_string: Secret, timeout: float = TIMEOUT) -> Any:
    """The service's operations, signed with a policy's key. Raises ValueError if the SDK cannot read the string."""
    return _prepared(IoTHubConfigurationManager.from_connection_string(connection_string.reveal()), timeout)


def from_credential(host: str, credential: TokenCredential, timeout: float = TIMEOUT) -> Any:
    """The service's operations, with a token of Microsoft Entra ID."""
    return _prepared(IoTHubConfigurationManager.from_token_credential(host, credential), timeout)


def _prepared(manager: IoTHubConfigurationManager, timeout: float) -> Any:
    # Its client serves devices, modules, twins and queries as well. IoTHubRegistryManager, which the SDK has for those,
    # would open an AMQP link for messages to devices, which nobody here sends.
    client = manager.protocol
    config = client.config
    config.keep_alive = True
    config.connection.timeout = timeout
    config.retry_policy = lambda: _NO_RETRIES
    _read_environment_once(config)
    config.add_user_agent(f"manifestgen/{__version__}")
    config.pipeline = Pipeline(
        [config.user_agent_policy, RequestsCredentialsPolicy(config.credentials), _CompactBody()],
        PipelineRequestsHTTPSender(_Sender(config)),
    )
    return client


def _read_environment_once(config: Any) -> None:
    # Before every call requests would look for proxies, which are the same each time, and for the host in the user's
    # .netrc, whose password would replace the signature.
    config.proxies.use_env_settings = False
    for scheme, proxy in get_environ_proxies(config.base_url).items():
        config.proxies.add(scheme, proxy)
    config.connection.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


class _CompactBody(SansIOHTTPPolicy):  # type: ignore[misc] # msrest has no types
    """Takes the blanks out of JSON bodies: the hub charges by size."""

    def on_request(self, request: Any, **kwargs: Any) -> None:
        sent = request.http_request
        if isinstance(sent.data, str):
            sent.data = msgspec.json.format(sent.data.encode(), indent=-1)
            sent.headers["Content-Length"] = str(len(sent.data))


class _Sender(RequestsHTTPSender):  # type: ignore[misc] # msrest has no types
    """Has a session, and so a connection, for each thread; all of them read the CA store once."""

    def _init_session(self, session: Session) -> None:
        session.mount("https://", _SharedTrust())
        super()._init_session(session)


class _SharedTrust(HTTPAdapter):
    """Reads the CA store once a process; otherwise every connection does so, which takes 30 ms of a core."""

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
    if os.path.isdir(store):  # noqa: PTH112 - as requests tells a folder from a file
        context.load_verify_locations(capath=store)
    else:
        context.load_verify_locations(cafile=store)
    return context
