"""The simulated hub's errors, in the service's wording and format.

Source: learn.microsoft.com/rest/api/iothub/common-error-codes and error texts quoted in public issue threads.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from manifestgen.sandbox.error_response import hub_error


class HubError(Exception):
    """An error: HTTP status, the service's error code and message."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """The error response."""
        response = hub_error(self.status, self.code, self.message)
        response.headers.update(self.headers)
        return response


def invalid(message: str, code: str = "ArgumentInvalid") -> HubError:
    """400: the request is malformed or exceeds a limit."""
    return HubError(400, code, message)


def device_not_found(device_id: str) -> HubError:
    """404 for a device."""
    return HubError(404, "DeviceNotFound", f"Device {device_id} not registered.")


def module_not_found(device_id: str, module_id: str) -> HubError:
    """404 for a module."""
    return HubError(404, "ModuleNotFound", f"Module {device_id}/{module_id} not registered.")


def configuration_not_found(configuration_id: str) -> HubError:
    """404 for an automatic deployment."""
    return HubError(404, "ConfigurationNotFound", f"Configuration {configuration_id} not found.")


def stale(existing: str, given: str) -> HubError:
    """412: the ETag of If-Match is not the current one."""
    return HubError(
        412, "PreconditionFailed", f"Precondition failed: version did not match, existing:{existing} caller:{given}"
    )
