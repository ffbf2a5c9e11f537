"""What a service's error answer looks like, by the host that gives it.

Shapes: ARM and Azure ML as in the ARM error contract (`{"error": {"code", "message"}}`); IoT Hub
`{"Message": "ErrorCode:…;…", "ExceptionMessage": "Tracking ID:…"}` with the header `iothub-errorcode`; Blob Storage XML
with the header `x-ms-error-code`; registries as the OCI distribution specification says; Entra ID as OAuth 2.0 does.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from http import HTTPStatus

from aiohttp import web

# IoT Hub's codes, by status, as its service SDK documentation lists them.
_HUB_CODES = {
    400: "ArgumentInvalid",
    401: "IotHubUnauthorizedAccess",
    403: "IotHubQuotaExceeded",
    404: "DeviceNotFound",
    409: "DeviceAlreadyExists",
    412: "PreconditionFailed",
    429: "ThrottlingException",
    500: "ServerError",
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
_PUBLIC_REGISTRIES = frozenset({"mcr.microsoft.com", "ghcr.io", "quay.io"})
_REGISTRY_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


def refusal(host: str, status: int, message: str = "", *, code: str = "") -> web.Response:
    """The error answer that the service behind `host` would give.

    Args:
        host: as in the request; `localhost` is the hub.
        status: HTTP status.
        message: in the service's words; the status's own phrase if empty.
        code: the service's error code; the usual one for the status if empty.
    """
    name = host.partition(":")[0].lower()
    message = message or _phrase(status)
    if name.endswith(".azure-devices.net") or name == "localhost":
        return hub_refusal(status, code or _HUB_CODES.get(status, "InvalidErrorCode"), message)
    if ".blob." in name:
        return _blob_refusal(status, code or _CODES.get(status, "InvalidInput"), message)
    if ".azurecr." in name or name in _PUBLIC_REGISTRIES:
        return registry_refusal(status, code or _REGISTRY_CODES.get(status, "UNKNOWN"), message)
    if name == "login.microsoftonline.com":
        return entra_refusal(status, code or "temporarily_unavailable", message)
    return arm_refusal(status, code or _CODES.get(status, "BadRequest"), message)


def arm_refusal(status: int, code: str, message: str) -> web.Response:
    """As Azure Resource Manager and the Azure ML services answer."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def hub_refusal(status: int, code: str, message: str) -> web.Response:
    """As IoT Hub answers."""
    tracking = f"Tracking ID:{uuid.uuid4().hex}-G:0-TimeStamp:{_timestamp()}"
    return web.json_response(
        {"Message": f"ErrorCode:{code};{message}", "ExceptionMessage": tracking},
        status=status,
        headers={"iothub-errorcode": code},
    )


def registry_refusal(status: int, code: str, message: str, *, detail: object = None) -> web.Response:
    """As a container registry answers."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]})
    return web.Response(
        body=body.encode(),
        status=status,
        content_type="application/json",
        headers={"Docker-Distribution-Api-Version": "registry/2.0"},
    )


def entra_refusal(status: int, error: str, description: str, *, number: int = 90033) -> web.Response:
    """As Microsoft Entra ID answers; `number` is the one in `AADSTS…`."""
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


def _blob_refusal(status: int, code: str, message: str) -> web.Response:
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
