"""Sends requests with Microsoft's IoT Hub service SDK; the only module that imports it.

Its operations build the address, headers and body of each request. As the SDK comes (azure-iot-hub 2.7 on msrest 0.7),
it closes its connection after every call and reads the CA store again for the next, sends JSON with blanks, waits 100 s
for an answer, and repeats some requests and not others: a GET after a reset, a POST only when a proxy is in between, a
429 never without Retry-After. So it is set up to keep connections, to send compact bodies and to retry nothing:
`retry` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.iot.hub import IoTHubConfigurationManager
from msrest.exceptions import ClientException, ClientRequestError, DeserializationError, HttpOperationError
from msrest.pipeline import Pipeline, SansIOHTTPPolicy
from msrest.pipeline.requests import PipelineRequestsHTTPSender, RequestsCredentialsPolicy
from msrest.universal_http.requests import RequestsHTTPSender
from requests import RequestException, Session

from manifestgen import __version__
from manifestgen.azure.auth import tokens_of
from manifestgen.azure.iot_hub import wire
from manifestgen.azure.iot_hub.wire import (
    Call,
    GarbledError,
    LostError,
    NoTokenError,
    Operation,
    RefusedError,
    Reply,
)
from manifestgen.azure.patience import Patience
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError
from manifestgen.azure.transport import Tokens, Transport
from manifestgen.azure.trust import NO_RETRIES, proxies_of, verification
from manifestgen.secret import Secret

_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}

# The SDK's names of the operations. Its own objects are not needed: it accepts and returns the REST API's JSON.
_CALLS: Final[Mapping[Operation, Callable[[Any, Call, Mapping[str, Any]], Any]]] = {
    wire.GET_IDENTITY: lambda sdk, call, how: sdk.devices.get_identity(call.ids["device"], **how),
    wire.PUT_IDENTITY: lambda sdk, call, how: sdk.devices.create_or_update_identity(
        call.ids["device"], call.body, call.headers.get("If-Match"), **how
    ),
    wire.DELETE_IDENTITY: lambda sdk, call, how: sdk.devices.delete_identity(
        call.ids["device"], call.headers.get("If-Match"), **how
    ),
    wire.GET_TWIN: lambda sdk, call, how: sdk.devices.get_twin(call.ids["device"], **how),
    wire.UPDATE_TWIN: lambda sdk, call, how: sdk.devices.update_twin(
        call.ids["device"], call.body, call.headers.get("If-Match"), **how
    ),
    wire.GET_MODULES: lambda sdk, call, how: sdk.modules.get_modules_on_device(call.ids["device"], **how),
    wire.GET_MODULE_TWIN: lambda sdk, call, how: sdk.modules.get_twin(call.ids["device"], call.ids["module"], **how),
    wire.INVOKE_METHOD: lambda sdk, call, how: sdk.modules.invoke_method(
        call.ids["device"], call.ids["module"], call.body, **how
    ),
    wire.APPLY_CONTENT: lambda sdk, call, how: sdk.configuration.apply_on_edge_device(
        call.ids["device"], call.body, **how
    ),
    wire.QUERY: lambda sdk, call, how: sdk.query.get_twins(
        call.body, call.headers.get("x-ms-continuation"), call.headers.get("x-ms-max-item-count"), **how
    ),
    wire.LIST_CONFIGURATIONS: lambda sdk, call, how: sdk.configuration.get_configurations(
        int(call.query["top"]), **how
    ),
    wire.GET_CONFIGURATION: lambda sdk, call, how: sdk.configuration.get(call.ids["configuration"], **how),
    wire.PUT_CONFIGURATION: lambda sdk, call, how: sdk.configuration.create_or_update(
        call.ids["configuration"], call.body, call.headers.get("If-Match"), **how
    ),
    wire.DELETE_CONFIGURATION: lambda sdk, call, how: sdk.configuration.delete(
        call.ids["configuration"], call.headers.get("If-Match"), **how
    ),
    wire.TEST_QUERIES: lambda sdk, call, how: sdk.configuration.test_queries(call.body, **how),
}


def from_policy(host: str, policy: str, key: Secret, patience: Patience) -> SdkWire:
    """Requests that are signed with the key of a shared access policy."""
    text = f"HostName={host};SharedAccessKeyName={policy};SharedAccessKey={key.reveal()}"
    return SdkWire(IoTHubConfigurationManager.from_connection_string(text), patience)


def from_credential(host: str, credential: TokenCredential, patience: Patience) -> SdkWire:
    """Requests with a token of Microsoft Entra ID."""
    return SdkWire(IoTHubConfigurationManager.from_token_credential(host, credential), patience, tokens_of(credential))


class SdkWire:
    """A `Wire` that is Microsoft's SDK."""

    def __init__(
        self,
        manager: IoTHubConfigurationManager,
        patience: Patience,
        tokens: Tokens | None = None,
    ) -> None:
        # Its client serves devices, modules, twins and queries as well. IoTHubRegistryManager, which the SDK has for
        # those, would open an AMQP link for messages to devices, which manifestgen never sends.
        self._client = manager.protocol
        self._patience = patience
        config = self._client.config
        config.keep_alive = True
        config.connection.timeout = (patience.connect, patience.answer)
        config.retry_policy = lambda: NO_RETRIES
        config.redirect_policy.allow = False  # a hub does not redirect, and its signature must not reach another host
        _read_environment_once(config)
        config.add_user_agent(f"manifestgen/{__version__}")
        config.pipeline = Pipeline(
            [config.user_agent_policy, RequestsCredentialsPolicy(config.credentials), _CompactBody()],
            PipelineRequestsHTTPSender(_Sender(config, lambda: Transport(patience, obeys=True, tokens=tokens))),
        )

    @property
    def name(self) -> str:
        """The client that sends the requests, with its version."""
        return f"azure-iot-hub {version('azure-iot-hub')}"

    def send(self, call: Call) -> Reply:
        """See `Wire.send`."""
        try:
            return self._send(call)
        except HttpOperationError as error:
            raise RefusedError(_reply_of(error.response)) from error
        except (DeserializationError, *SHAPE_ERRORS) as error:
            raise GarbledError("the client cannot take it apart") from SdkError(error)
        except AzureError as error:
            # Only the credential is azure-core's; all else here is msrest's.
            raise NoTokenError(str(error)) from error
        except ClientRequestError as error:
            # It repeats the error that it wraps.
            cause = error.inner_exception or error
        except (ClientException, RequestException) as error:
            cause = error
        raise LostError("no whole answer arrived") from cause

    def _send(self, call: Call) -> Reply:
        if isinstance(call.body, bytes):
            return self._send_raw(call, call.body)
        how: dict[str, Any] = {"raw": True}
        if call.timeout is not None:
            how["timeout"] = (self._patience.connect, call.timeout)
        return _reply_of(_CALLS[call.operation](self._client, call, how).response)

    def _send_raw(self, call: Call, body: bytes) -> Reply:
        # The SDK turns a manifest into JSON value by value, which takes half of the time of a call. Its pipeline
        # (addresses, signatures, connections, proxies) accepts bytes as well. A call with such a body is always a POST.
        operations = self._client.configuration
        ids = {name: operations._serialize.url(name, value, "str") for name, value in call.ids.items()}
        url = operations._client.format_url(call.operation.path, **ids)
        request = operations._client.post(url, {"api-version": operations.api_version}, dict(_JSON), None)
        request.data = body
        request.headers["Content-Length"] = str(len(body))
        reply = _reply_of(operations._client.send(request, stream=False))
        if reply.status not in call.operation.success:
            raise RefusedError(reply)
        return reply


def _reply_of(response: Any) -> Reply:
    return Reply(response.status_code, response.headers, response.text)


def _read_environment_once(config: Any) -> None:
    # Before every call requests would look for proxies, which are the same each time, and for the host in the user's
    # .netrc, whose password would replace the signature.
    config.proxies.use_env_settings = False
    for scheme, proxy in proxies_of(config.base_url).items():
        config.proxies.add(scheme, proxy)
    config.connection.verify = verification()


class _CompactBody(SansIOHTTPPolicy):  # type: ignore[misc] # msrest has no types
    """Removes whitespace from JSON bodies: the hub charges by size."""

    def on_request(self, request: Any, **kwargs: Any) -> None:
        sent = request.http_request
        if isinstance(sent.data, str):
            sent.data = msgspec.json.format(sent.data.encode(), indent=-1)
            sent.headers["Content-Length"] = str(len(sent.data))


class _Sender(RequestsHTTPSender):  # type: ignore[misc] # msrest has no types
    """Has a session with our transport, and so a connection, for each thread."""

    def __init__(self, config: Any, transport: Callable[[], Transport]) -> None:
        self._transport = transport
        super().__init__(config)

    def _init_session(self, session: Session) -> None:
        session.mount("https://", self._transport())
        super()._init_session(session)
