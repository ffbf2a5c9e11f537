"""`cloud.Hub` with Microsoft's IoT Hub service SDK.

    hub = connect(connection_string=Secret(os.environ["IOTHUB_CONNECTION_STRING"]))
    hub = connect(host="contoso.azure-devices.net", credential=credential())

One object may be used from many threads; each keeps one connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from azure.core.credentials import TokenCredential
from azure.iot.hub.protocol import models

from manifestgen.azure import iot_hub_client
from manifestgen.azure.iot_hub_bulk import BulkIotHub
from manifestgen.azure.iot_hub_configurations import Configurations
from manifestgen.azure.iot_hub_retry import Patience, Requests, refusal_of
from manifestgen.azure.iot_hub_time import read_time
from manifestgen.cloud import Device, Twin
from manifestgen.errors import CloudError, InputError, NotFoundError
from manifestgen.secret import Secret

_PAGE: Final = 500
_EDGE_DEVICES: Final = "SELECT * FROM devices WHERE capabilities.iotEdge = true"
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_NEVER_YEAR: Final = 1

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
    timeout: float = iot_hub_client.TIMEOUT,
) -> IotHub:
    """The hub that a connection string names, or the one at `host`, asked with a credential.

    Args:
        host: such as `contoso.azure-devices.net`; `localhost:PORT` for a direct connection to the sandbox.
        credential: of azure-identity, with `host`.
        connection_string: of a shared access policy; wins over `host`.
        patience: how long failed requests are repeated.
        timeout: of one attempt, in seconds.

    Raises:
        InputError: host or connection string is malformed. The string is not shown.
    """
    patience = patience or Patience()
    if connection_string is not None:
        name = _host_of(connection_string)
        try:
            client = iot_hub_client.from_connection_string(connection_string, timeout)
        except ValueError:
            raise _unreadable("it has unknown or doubled parts") from None
        return IotHub(name, client, Requests(name, _POLICY, patience))
    if host is None or credential is None:
        raise InputError(
            "no IoT hub is given",
            fix="pass --hub HOST, set IOTHUB_CONNECTION_STRING, or add 'hub: {host: …}' to the project file",
        )
    if "=" in host:
        # A connection string, most likely, and so not to be repeated.
        raise InputError(
            "what is given as the host name of an IoT hub is none",
            fix="give NAME.azure-devices.net; a connection string belongs in the variable IOTHUB_CONNECTION_STRING",
        )
    if _HOST.fullmatch(host) is None:
        raise InputError(
            f"{host!r} is not the host name of an IoT hub",
            fix="give it as NAME.azure-devices.net, without 'https://' and without a path",
        )
    return IotHub(host, iot_hub_client.from_credential(host, credential, timeout), Requests(host, _ROLE, patience))


def _host_of(connection_string: Secret) -> str:
    parts = dict(part.partition("=")[::2] for part in connection_string.reveal().split(";"))
    Secret(parts.get("SharedAccessKey", ""))  # known from now on, so that it is hidden wherever it turns up
    for name in ("HostName", "SharedAccessKeyName", "SharedAccessKey"):
        if not parts.get(name):
            hint = "; it is a device's, not the service's" if "DeviceId" in parts else ""
            raise _unreadable(f"it has no {name}{hint}")
    if _HOST.fullmatch(parts["HostName"]) is None:
        raise _unreadable("its HostName is not a host name")
    if re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", parts["SharedAccessKey"]) is None or len(parts["SharedAccessKey"]) % 4:
        raise _unreadable("its SharedAccessKey is not base64")
    return parts["HostName"]


def _unreadable(what: str) -> InputError:
    return InputError(
        f"the IoT hub connection string cannot be used: {what}",
        fix="copy it whole from the hub's shared access policies: HostName=…;SharedAccessKeyName=…;SharedAccessKey=…",
    )


class IotHub(Configurations):
    """An IoT hub, asked through the SDK. Made by `connect`."""

    @property
    def host(self) -> str:
        """Its host name."""
        return self._host

    def bulk(self) -> BulkIotHub:
        """The same hub for a run over many devices."""
        return BulkIotHub(self._host, self._client, self._requests.once())

    def device(self, device_id: str) -> Device:
        """One device identity with its tags. Raises NotFoundError."""
        about = _device(device_id)
        twin = self._requests.read(about, lambda: self._client.devices.get_twin(_id(device_id)))
        return _device_of(twin)

    def devices(self) -> Iterator[Device]:
        """All edge device identities, as the hub's query gives them; its index may be some seconds behind."""
        query = models.QuerySpecification(query=_EDGE_DEVICES)
        token: str | None = None
        while True:
            page = self._requests.read("the devices", partial(self._page, query, token))
            for twin in page.output:
                yield _device_of(twin)
            token = page.headers.get("x-ms-continuation")
            if not token:
                return

    def _page(self, query: Any, token: str | None) -> Any:
        return self._client.query.get_twins(query, token, str(_PAGE), raw=True)

    def register_device(
        self, device_id: str, *, parent: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> Device:
        """Create an edge device identity; its keys are made by the hub."""
        about = _device(device_id)
        device = models.Device(
            device_id=_id(device_id),
            status="enabled",
            capabilities=models.DeviceCapabilities(iot_edge=True),
            authentication=models.AuthenticationMechanism(type="sas"),
            parent_scopes=None if parent is None else [self._scope(parent)],
        )
        self._requests.write(about, lambda: self._client.devices.create_or_update_identity(device_id, device))
        if tags:
            twin = models.Twin(tags=dict(tags))
            self._requests.write(about, lambda: self._client.devices.update_twin(device_id, twin, '"*"'))
        return self.device(device_id)

    def _scope(self, parent: str) -> str:
        identity = self._identity(parent)
        if not identity.device_scope:
            raise CloudError(
                "it is not an IoT Edge device and cannot be a parent",
                where=f"{_device(parent)} in {self._host}",
                fix="name an edge device; 'manifestgen device list' shows them",
            )
        return str(identity.device_scope)

    def connection_string(self, device_id: str) -> Secret:
        """What the runtime on the device connects with, from the device's primary key."""
        identity = self._identity(device_id)
        key = identity.authentication.symmetric_key.primary_key if identity.authentication.symmetric_key else None
        if not key:
            raise CloudError(
                f"it has no symmetric key, but logs in by {identity.authentication.type!r}",
                where=f"{_device(device_id)} in {self._host}",
                fix="use the device's certificate on the device instead of a connection string",
            )
        Secret(key)
        return Secret(f"HostName={self._host};DeviceId={device_id};SharedAccessKey={key}")

    def _identity(self, device_id: str) -> Any:
        return self._requests.read(_device(device_id), lambda: self._client.devices.get_identity(_id(device_id)))

    def modules(self, device_id: str) -> Sequence[str]:
        """Ids of the device's modules."""
        about = _device(device_id)
        found = self._requests.read(about, lambda: self._client.modules.get_modules_on_device(_id(device_id)))
        return [str(module.module_id) for module in found]

    def module_twin(self, device_id: str, module: str) -> Twin | None:
        """A module's twin, or None if the device has no such module. Raises NotFoundError for an unknown device."""
        about = f"module {module!r} of {_device(device_id)}"
        try:
            twin = self._requests.read(about, lambda: self._client.modules.get_twin(_id(device_id), module))
        except NotFoundError as error:
            refusal = refusal_of(error)
            if refusal is not None and refusal.code == "ModuleNotFound":
                return None
            raise
        return _twin_of(twin)

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Replace the device's modules by `content`."""
        about = _device(device_id)
        body = models.ConfigurationContent(modules_content=content["modulesContent"])
        try:
            self._requests.write(about, lambda: self._client.configuration.apply_on_edge_device(_id(device_id), body))
        except CloudError as error:
            # Of a device that is no edge device the hub says "BadRequest" and nothing more.
            refusal = refusal_of(error)
            if refusal is not None and refusal.status == 400 and not self._is_edge(device_id):
                raise CloudError(
                    "it is not an IoT Edge device, so that it cannot run modules",
                    where=f"{about} in {self._host}",
                    fix=f"register it as one: manifestgen device register {device_id}, under another id or after "
                    "deleting this device",
                ) from error
            raise

    def _is_edge(self, device_id: str) -> bool:
        identity = self._identity(device_id)
        return bool(identity.capabilities and identity.capabilities.iot_edge)


def _device(device_id: str) -> str:
    return f"device {device_id!r}"


def _id(device_id: str) -> str:
    if not device_id or "/" in device_id:
        raise InputError(f"{device_id!r} is not a device id", fix="give the id as 'manifestgen device list' shows it")
    return device_id


def _device_of(twin: Any) -> Device:
    # A device twin names its parents' scopes: ms-azure-iot-edge://PARENT-NUMBER.
    scopes = twin.parent_scopes or []
    parent = scopes[0].removeprefix("ms-azure-iot-edge://").rpartition("-")[0] if scopes else None
    active = twin.last_activity_time
    return Device(
        id=twin.device_id,
        edge=bool(twin.capabilities and twin.capabilities.iot_edge),
        enabled=twin.status == "enabled",
        connected=twin.connection_state == "Connected",
        last_activity=active if active is not None and active.year > _NEVER_YEAR else None,
        parent=parent,
        tags=twin.tags or {},
    )


def _twin_of(twin: Any) -> Twin:
    desired, reported = dict(twin.properties.desired or {}), dict(twin.properties.reported or {})
    desired_metadata, reported_metadata = desired.pop("$metadata", {}), reported.pop("$metadata", {})
    version = desired.pop("$version", 0)
    reported.pop("$version", None)
    configurations = (twin.additional_properties or {}).get("configurations") or {}
    return Twin(
        module=twin.module_id,
        desired=desired,
        desired_version=version,
        reported=reported,
        connected=twin.connection_state == "Connected",
        desired_at=_time(desired_metadata),
        reported_at={name: time for name in reported if (time := _time(reported_metadata.get(name))) is not None},
        configurations={name: str(state.get("status", "")).lower() for name, state in configurations.items()},
    )


def _time(metadata: Any) -> datetime | None:
    """When a property was last written, from its `$metadata`."""
    return read_time(metadata.get("$lastUpdated")) if isinstance(metadata, dict) else None
