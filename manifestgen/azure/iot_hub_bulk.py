"""`cloud.BulkHub` with Microsoft's IoT Hub service SDK: one request a call, its body ready-made, nothing repeated.

The SDK turns a manifest into JSON value by value, which takes half of the time of a call. Its pipeline (addresses,
signatures, connections, proxies) takes bytes as well, and carries the 250 requests a second of a large hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msrest.exceptions import HttpOperationError

from manifestgen.azure.iot_hub_retry import Requests, is_throttled, is_transient, refusal_of
from manifestgen.errors import BusyError, CloudError, DeniedError, NotFoundError, UnconfirmedError

_T = TypeVar("_T")

_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
# The day's messages are used up; it begins anew at midnight UTC, so that this is no device's fault.
_QUOTA: Final = "IotHubQuotaExceeded"


class BulkIotHub:
    """An IoT hub for many devices. Made by `IotHub.bulk`.

    Args:
        host: of the hub.
        client: of the SDK, as `iot_hub_client` prepares it.
        requests: with a single attempt each.
    """

    def __init__(self, host: str, client: Any, requests: Requests) -> None:
        self._host = host
        self._client = client
        self._requests = requests

    @property
    def host(self) -> str:
        """Its host name."""
        return self._host

    def set_modules(self, device_id: str, body: bytes) -> None:
        """Replace the device's modules by the JSON in `body`."""
        about = f"device {device_id!r}"
        self._told(lambda: self._requests.write(about, lambda: self._post(device_id, body)))

    def _post(self, device_id: str, body: bytes) -> None:
        operations = self._client.configuration
        url = operations._client.format_url(
            operations.apply_on_edge_device.metadata["url"], id=operations._serialize.url("id", device_id, "str")
        )
        request = operations._client.post(url, {"api-version": operations.api_version}, dict(_JSON), None)
        request.data = body
        request.headers["Content-Length"] = str(len(body))
        response = operations._client.send(request, stream=False)
        if response.status_code != 204:
            raise HttpOperationError(operations._deserialize, response)

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        """Desired properties of a module twin; None if the device has no such module."""
        about = f"module {module!r} of device {device_id!r}"
        try:
            twin = self._told(
                lambda: self._requests.read(about, lambda: self._client.modules.get_twin(device_id, module))
            )
        except NotFoundError as error:
            refusal = refusal_of(error)
            if refusal is not None and refusal.code == "ModuleNotFound":
                return None
            raise
        return {key: value for key, value in (twin.properties.desired or {}).items() if not key.startswith("$")}

    def _told(self, ask: Callable[[], _T]) -> _T:
        """What is asked for, with BusyError for what may be asked again later."""
        try:
            return ask()
        except (UnconfirmedError, NotFoundError, DeniedError):
            raise
        except CloudError as error:
            answer = refusal_of(error)
            if answer is None:
                raise BusyError(error.what, where=error.where, fix=error.fix) from error
            if not is_transient(error.__cause__) and answer.code != _QUOTA:
                raise
            raise BusyError(
                f"the hub answered {answer}",
                where=error.where,
                fix="try again later, or ask for less at once",
                retry_after=answer.retry_after,
                throttled=is_throttled(answer),
            ) from error
