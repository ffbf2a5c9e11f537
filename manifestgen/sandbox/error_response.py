"""Error responses in each service's own format, chosen by host.

Formats: ARM and Azure ML follow the ARM error contract (`{"error": {"code", "message"}}`); IoT Hub sends
`{"Message": "ErrorCode:…;…", "ExceptionMessage": "Tracking ID:…"}` with the header `iothub-errorcode`; Blob Storage
XML with the header `x-ms-error-code`; registries follow the OCI distribution specification; Entra ID follows OAuth 2.0.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from http import HTTPStatus

from aiohttp import web

# IoT Hub's error codes by status, from the documentation of its service SDK.
_HUB_CODES = {
    400: "ArgumentInvalid",
    401: "IotHubUnauthorizedAccess",
    403: "IotHubQuotaExceeded",
    404: "DeviceNotFound",
    409: "DeviceAlreadyExists",
    412: "PreconditionFailed",
    429: "ThrottlingException",
    500: "ServerError",
    501: "NotSupportedBySandbox",
    503: "ServiceUnavailable",
}
_CODES = {
    401: "AuthenticationFailed",
    403: "AuthorizationFailed",
    404: "NotFound",
    408: "RequestTimeout",
    409: "Conflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}
_PUBLIC_REGISTRIES = frozenset({"mcr.microsoft.com", "registry-1.docker.io", "ghcr.io", "quay.io"})
_REGISTRY_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


def error_response(host: str, status: int, message: str = "", *, code: str = "") -> web.Response:
    """The error response that the service at `host` would send.

    Args:
        host: the request's host; `localhost` is the hub.
        status: HTTP status.
        message: the service's error message; the status's standard phrase if empty.
        code: the service's error code; the usual code for the status if empty.
    """
    name = host.partition(":")[0].lower()
    message = message or _phrase(status)
    if _is_hub(host):
        return hub_error(status, code or _HUB_CODES.get(status, "InvalidErrorCode"), message)
    if ".blob." in name:
        return _blob_error(status, code or _CODES.get(status, "InvalidInput"), message)
    if ".azurecr." in name or name in _PUBLIC_REGISTRIES:
        return registry_error(status, code or _REGISTRY_CODES.get(status, "UNKNOWN"), message)
    if name == "login.microsoftonline.com":
        return entra_error(status, code or "temporarily_unavailable", message)
    return arm_error(status, code or _CODES.get(status, "BadRequest"), message)


def unsupported(host: str, status: int, method: str, path: str) -> web.Response:
    """The response to a request that the service at `host` has in Azure, perhaps, but not in the sandbox.

    The hub's is 501 with a code of the sandbox's own: with its usual 404, a client would take the device for missing.
    """
    words = f"No route {method} {path} in this service."
    return error_response(host, 501 if _is_hub(host) else status, words)


def _is_hub(host: str) -> bool:
    name = host.partition(":")[0].lower()
    return name.endswith(".azure-devices.net") or name == "localhost"


def arm_error(status: int, code: str, message: str) -> web.Response:
    """An error of Azure Resource Manager or an Azure ML service."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def hub_error(status: int, code: str, message: str) -> web.Response:
    """An error of IoT Hub."""
    tracking = f"Tracking ID:{uuid.uuid4().hex}-G:0-TimeStamp:{_timestamp()}"
    return web.json_response(
        {"Message": f"ErrorCode:{code};{message}", "ExceptionMessage": tracking},
        status=status,
        headers={"iothub-errorcode": code},
    )


def registry_error(status: int, code: str, message: str, *, detail: object = None) -> web.Response:
    """An error of a container registry."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]})
    return web.Response(
        body=body.encode(),
        status=status,
        content_type="application/json",
        headers={"Docker-Distribution-Api-Version": "registry/2.0"},
    )


def entra_error(status: int, error: str, description: str, *, number: int = 90033) -> web.Response:
    """An error of Microsoft Entra ID; `number` is the one in `AADSTS…`."""
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    words = f"AADSTS{number}: {description} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {_timestamp()}"
    body = {
        "error": error,
        "error_description": words,
        "error_codes": [number],
        "timestamp": _timestamp(),
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return web.json_response(body, status=status)


def _blob_error(status: int, code: str, message: str) -> web.Response:
    text = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}\nRequestId:{uuid.uuid4()}\nTime:{_timestamp()}</Message></Error>"
    )
    return web.Response(
        body=text.encode(), status=status, content_type="application/xml", headers={"x-ms-error-code": code}
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


def _timestamp() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
