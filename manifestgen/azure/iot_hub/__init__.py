"""Implements `cloud.Hub` with an IoT hub.

    hub = connect(connection_string=Secret(os.environ["IOTHUB_CONNECTION_STRING"]))
    hub = connect(host="contoso.azure-devices.net", credential=credential())

One object may be used from many threads; each keeps one connection. Requests go through Microsoft's SDK where it can be
imported, else to the service's REST API: see `wire`.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING, Final

from manifestgen.azure.iot_hub.hub import IotHub
from manifestgen.azure.iot_hub.retry import Requests
from manifestgen.azure.iot_hub.wire import Wire
from manifestgen.azure.patience import Patience
from manifestgen.errors import InputError
from manifestgen.hub_name import hub_identity, is_device_name
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from types import ModuleType

    from azure.core.credentials import TokenCredential

__all__ = ["CLIENT", "IotHub", "connect"]

#: The variable that chooses what sends the requests: `sdk` or `rest`. For tests and support.
CLIENT: Final = "MANIFESTGEN_HUB_CLIENT"

PATIENCE: Final = Patience()

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_NEEDED: Final = ("HostName", "SharedAccessKeyName", "SharedAccessKey")
# Accepted by Microsoft's SDK, though it does not use it.
_POSSIBLE: Final = frozenset({*_NEEDED, "SharedAccessSignature", "DeviceId", "ModuleId", "GatewayHostName"})

_POLICY: Final = (
    "use the connection string of a shared access policy with the rights RegistryRead, RegistryWrite and "
    "ServiceConnect, such as iothubowner, with a key that is still valid"
)
_ROLE: Final = (
    "ask for the role 'IoT Hub Data Contributor' on the hub for the identity in use "
    "('IoT Hub Twin Contributor' is enough to read twins)"
)


def connect(
    *,
    host: str | None = None,
    credential: TokenCredential | None = None,
    connection_string: Secret | None = None,
    patience: Patience | None = None,
) -> IotHub:
    """Connect to the hub of a connection string, or to the one at `host` with a credential.

    Args:
        host: such as `contoso.azure-devices.net` or `contoso.service.azure-devices.net`; `localhost:PORT` for a direct
            connection to the sandbox.
        credential: of azure-identity, with `host`.
        connection_string: of a shared access policy; wins over `host`.
        patience: how long to wait, and to repeat what failed.

    Raises:
        InputError: host or connection string is malformed, or names the host for devices; the variable
            MANIFESTGEN_HUB_CLIENT has another value than `sdk` or `rest`, or is `sdk` where the SDK is not installed.
            The string is not shown.
    """
    patience = (patience or PATIENCE).scaled()
    if connection_string is not None:
        parts = _parts_of(connection_string)
        name, key = parts["HostName"], Secret(parts["SharedAccessKey"])
        wire: Wire = _client().from_policy(name, parts["SharedAccessKeyName"], key, patience)
        return IotHub(hub_identity(name), Requests(wire, name, _POLICY, patience))
    if host is None or credential is None:
        raise InputError(
            "no IoT hub is specified",
            fix="pass --hub HOST, set IOTHUB_CONNECTION_STRING, or add 'hub: {host: …}' to the project file",
        )
    _check_host(host)
    from manifestgen.azure.auth import LOG_IN_AGAIN

    wire = _client().from_credential(host, credential, patience)
    return IotHub(hub_identity(host), Requests(wire, host, _ROLE, patience, expired=LOG_IN_AGAIN))


def _client() -> ModuleType:
    """The module that sends the requests; both have `from_policy` and `from_credential`."""
    chosen = os.environ.get(CLIENT) or ""
    if chosen not in ("", "sdk", "rest"):
        raise InputError(
            f"{chosen!r} is not a client for IoT Hub", where=CLIENT, fix="set it to sdk or rest, or unset it"
        )
    if chosen != "rest":
        try:
            return import_module("manifestgen.azure.iot_hub.sdk")
        except ImportError as error:
            if chosen == "sdk":
                raise InputError(
                    f"azure-iot-hub cannot be imported: {error}",
                    where=CLIENT,
                    fix="unset the variable or set it to rest, which works everywhere; azure-iot-hub can be installed "
                    "on x86-64 with CPython 3.10 to 3.13",
                ) from error
    return import_module("manifestgen.azure.iot_hub.rest")


def _check_host(host: str) -> None:
    if "=" in host:
        # A connection string, most likely, and so not to be repeated.
        raise InputError(
            "the IoT hub's host name is not valid",
            fix="give NAME.azure-devices.net; a connection string belongs in the variable IOTHUB_CONNECTION_STRING",
        )
    if _HOST.fullmatch(host) is None:
        raise InputError(
            f"{host!r} is not the host name of an IoT hub",
            fix="give it as NAME.azure-devices.net, without 'https://' and without a path",
        )
    if is_device_name(host):
        raise InputError(f"{host} is a host name for devices only", fix=_OTHER_NAME.format(hub_identity(host)))


_OTHER_NAME: Final = "use {}, or the hub's name with '.service.' in it"


def _parts_of(connection_string: Secret) -> dict[str, str]:
    pairs = [part.partition("=")[::2] for part in connection_string.reveal().split(";")]
    parts = dict(pairs)
    Secret(parts.get("SharedAccessKey", ""))  # known from now on, so that it is hidden wherever it turns up
    for name in _NEEDED:
        if not parts.get(name):
            hint = "; it is a device's connection string, not the hub's" if "DeviceId" in parts else ""
            raise _unreadable(f"it has no {name}{hint}")
    if _HOST.fullmatch(parts["HostName"]) is None:
        raise _unreadable("its HostName is not a host name")
    if re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", parts["SharedAccessKey"]) is None or len(parts["SharedAccessKey"]) % 4:
        raise _unreadable("its SharedAccessKey is not base64")
    if len(pairs) != len(parts) or not parts.keys() <= _POSSIBLE:
        raise _unreadable("it has unknown or duplicate parts")
    if is_device_name(parts["HostName"]):
        raise InputError(
            "the IoT hub connection string cannot be used: its HostName is a host name for devices only",
            fix=_OTHER_NAME.format(hub_identity(parts["HostName"])),
        )
    return parts


def _unreadable(what: str) -> InputError:
    return InputError(
        f"the IoT hub connection string cannot be used: {what}",
        fix="copy it whole from the hub's shared access policies: HostName=…;SharedAccessKeyName=…;SharedAccessKey=…",
    )
