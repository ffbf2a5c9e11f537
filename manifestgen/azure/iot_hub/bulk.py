"""`cloud.BulkHub`: one request per call, its body already encoded, no retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from manifestgen.azure.iot_hub.retry import Requests, is_throttled, is_transient, refusal_of
from manifestgen.azure.iot_hub.shapes import ModuleTwin
from manifestgen.azure.iot_hub.wire import APPLY_CONTENT, GET_MODULE_TWIN, Call
from manifestgen.errors import BusyError, CloudError, DeniedError, NotFoundError, UnconfirmedError

_T = TypeVar("_T")

# The daily quota is used up; it resets at midnight UTC, so this says nothing about the device.
_QUOTA: Final = "IotHubQuotaExceeded"


class BulkIotHub:
    """An IoT hub for runs over many devices. Created by `IotHub.bulk`.

    Args:
        host: of the hub.
        requests: with a single attempt each.
    """

    def __init__(self, host: str, requests: Requests) -> None:
        self._host = host
        self._requests = requests

    @property
    def host(self) -> str:
        """Its host name."""
        return self._host

    def set_modules(self, device_id: str, body: bytes) -> None:
        """Replace the device's modules by the JSON in `body`."""
        call = Call(APPLY_CONTENT, {"device": device_id}, body=body)
        self._translated(lambda: self._requests.write(f"device {device_id!r}", call))

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        """Desired properties of a module twin; None if the device has no such module."""
        call = Call(GET_MODULE_TWIN, {"device": device_id, "module": module})
        try:
            twin = self._translated(
                lambda: self._requests.value(f"module {module!r} of device {device_id!r}", call, ModuleTwin)
            )
        except NotFoundError as error:
            refusal = refusal_of(error)
            if refusal is not None and refusal.code == "ModuleNotFound":
                return None
            raise
        desired = (twin.properties.desired if twin.properties else None) or {}
        return {key: value for key, value in desired.items() if not key.startswith("$")}

    def _translated(self, ask: Callable[[], _T]) -> _T:
        """The result of a request, with BusyError if the same request may succeed later."""
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
                f"the hub returned {answer}",
                where=error.where,
                fix="try again later, or reduce the request rate",
                retry_after=answer.retry_after,
                throttled=is_throttled(answer),
            ) from error
