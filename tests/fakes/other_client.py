"""Another client of the hub, to see what ours did: Microsoft's SDK, or plain HTTP where that cannot be installed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import requests

try:
    from azure.iot.hub import IoTHubConfigurationManager
    from azure.iot.hub.sastoken import SasToken
except ImportError:
    IoTHubConfigurationManager = SasToken = None

HAS_SDK = SasToken is not None


def signature(host: str, key: str, policy: str, ttl: int = 3600) -> str:
    """A shared access signature, by the service SDK itself where there is one."""
    if SasToken is not None:
        return str(SasToken(host, key, policy, ttl))
    resource, expiry = quote_plus(host), int(time.time()) + ttl
    signed = hmac.digest(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256)
    sig = quote(base64.b64encode(signed))
    return f"SharedAccessSignature sr={resource}&sig={sig}&se={expiry}&skn={policy}"


class OtherClient:
    """A hub, by the connection string of a policy."""

    def __init__(self, connection_string: str) -> None:
        self._parts = dict(part.split("=", 1) for part in connection_string.split(";"))
        self._sdk = None
        if IoTHubConfigurationManager is not None:
            self._sdk = IoTHubConfigurationManager.from_connection_string(connection_string).protocol

    def desired(self, device: str, module: str = "$edgeAgent") -> Mapping[str, Any]:
        """Desired properties of a module's twin, with `$metadata` and `$version`."""
        if self._sdk is not None:
            properties: Mapping[str, Any] = self._sdk.modules.get_twin(device, module).properties.desired
        else:
            twin = self._send("GET", f"/twins/{quote(device, safe='')}/modules/{quote(module)}").json()
            properties = twin["properties"]["desired"]
        return properties

    def set_modules(self, device: str, content: Mapping[str, Any]) -> None:
        """Replace the device's modules by `{"modulesContent": …}`."""
        if self._sdk is not None:
            self._sdk.configuration.apply_on_edge_device(device, {"modulesContent": content["modulesContent"]})
        else:
            self._send("POST", f"/devices/{quote(device, safe='')}/applyConfigurationContent", content)

    def register(self, device: str, body: Mapping[str, Any] | None = None) -> None:
        """Create a device of any kind."""
        identity = {"deviceId": device, **(body or {})}
        if self._sdk is not None:
            self._sdk.devices.create_or_update_identity(device, identity)
        else:
            self._send("PUT", f"/devices/{quote(device, safe='')}", identity)

    def delete(self, device: str) -> None:
        """Delete a device."""
        if self._sdk is not None:
            self._sdk.devices.delete_identity(device, '"*"')
        else:
            self._send("DELETE", f"/devices/{quote(device, safe='')}", headers={"If-Match": '"*"'})

    def _send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        host = self._parts["HostName"]
        token = signature(host, self._parts["SharedAccessKey"], self._parts["SharedAccessKeyName"])
        answer = requests.request(
            method,
            f"https://{host}{path}",
            params={"api-version": "2021-04-12"},
            json=body,
            headers={"Authorization": token, **(headers or {})},
            timeout=60,
        )
        answer.raise_for_status()
        return answer
