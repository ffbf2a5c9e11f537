"""`cloud.Hub`: devices, modules and direct methods, over either client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from manifestgen.azure.answer import decoded
from manifestgen.azure.iot_hub.bulk import BulkIotHub
from manifestgen.azure.iot_hub.configurations import Configurations, tags_call
from manifestgen.azure.iot_hub.retry import refusal_of
from manifestgen.azure.iot_hub.shapes import (
    Authentication,
    DeviceTwin,
    Identity,
    MethodAnswer,
    Module,
    ModuleTwin,
    Properties,
)
from manifestgen.azure.iot_hub.timestamp import read_time
from manifestgen.azure.iot_hub.wire import (
    APPLY_CONTENT,
    DELETE_IDENTITY,
    GET_IDENTITY,
    GET_MODULE_TWIN,
    GET_MODULES,
    GET_TWIN,
    INVOKE_METHOD,
    PUT_IDENTITY,
    Call,
)
from manifestgen.azure.patience import root_words
from manifestgen.cloud import Device, MethodResult, Twin
from manifestgen.errors import CloudError, InputError, NotFoundError, OfflineError, UnconfirmedError
from manifestgen.secret import Secret

_PAGE: Final = 500
_EDGE_DEVICES: Final = "SELECT * FROM devices WHERE capabilities.iotEdge = true"
_NEVER_YEAR: Final = 1
# An answer travels for a while after the device gave it.
_METHOD_MARGIN: Final = 10.0
_NOT_CONNECTED: Final = "404103"
_TIMED_OUT: Final = "504101"


class IotHub(Configurations):
    """An IoT hub. Created by `connect`."""

    @property
    def host(self) -> str:
        """The hub's identity: its classic host name, whichever of its names was given."""
        return self._host

    @property
    def client(self) -> str:
        """The client that sends the requests, with its version."""
        return self._requests.client

    def bulk(self) -> BulkIotHub:
        """The same hub for a run over many devices."""
        return BulkIotHub(self._host, self._requests.once())

    def device(self, device_id: str) -> Device:
        """One device identity with its tags. Raises NotFoundError."""
        return _device_of(self._requests.value(_device(device_id), Call(GET_TWIN, _ids(device_id)), DeviceTwin))

    def devices(self) -> Iterator[Device]:
        """All edge device identities, as the hub's query gives them; its index may be some seconds behind."""
        return map(_device_of, self._rows(_EDGE_DEVICES, "the devices", _PAGE, DeviceTwin))

    def register_device(
        self, device_id: str, *, parent: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> Device:
        """Create an edge device identity; the hub generates its keys."""
        about, ids = _device(device_id), _ids(device_id)
        body: dict[str, Any] = {
            "deviceId": device_id,
            "status": "enabled",
            "authentication": {"type": "sas"},
            "capabilities": {"iotEdge": True},
        }
        if parent is not None:
            body["parentScopes"] = [self._scope(parent)]
        self._requests.write(about, Call(PUT_IDENTITY, ids, body=body))
        if tags:
            self._requests.write(about, tags_call(device_id, tags))
        return self.device(device_id)

    def delete_device(self, device_id: str) -> None:
        """Delete a device identity with its modules and twins; see `cloud.Hub.delete_device`."""
        about = _device(device_id)
        try:
            self._requests.write(about, Call(DELETE_IDENTITY, _ids(device_id), headers={"If-Match": '"*"'}))
        except UnconfirmedError:
            try:
                self._identity(device_id)
            except NotFoundError:
                return  # only the answer was lost
            raise

    def _scope(self, parent: str) -> str:
        scope = self._identity(parent).device_scope
        if not scope:
            raise CloudError(
                "it is not an IoT Edge device and cannot be a parent",
                where=f"{_device(parent)} in {self._host}",
                fix="use an edge device; 'manifestgen device list' shows them",
            )
        return scope

    def connection_string(self, device_id: str) -> Secret:
        """The connection string for the runtime on the device, with the device's primary key.

        It names the hub's classic host: the name for back ends is of no use to a device.
        """
        login = self._identity(device_id).authentication or Authentication()
        key = login.symmetric_key.primary_key if login.symmetric_key else None
        if not key:
            raise CloudError(
                f"it has no symmetric key, but authenticates with {login.type!r}",
                where=f"{_device(device_id)} in {self._host}",
                fix="use the device's certificate on the device instead of a connection string",
            )
        Secret(key)
        return Secret(f"HostName={self._host};DeviceId={device_id};SharedAccessKey={key}")

    def _identity(self, device_id: str) -> Identity:
        return self._requests.value(_device(device_id), Call(GET_IDENTITY, _ids(device_id)), Identity)

    def modules(self, device_id: str) -> Sequence[str]:
        """Ids of the device's modules."""
        found = self._requests.value(_device(device_id), Call(GET_MODULES, _ids(device_id)), list[Module])
        return [module.module_id for module in found]

    def module_twin(self, device_id: str, module: str) -> Twin | None:
        """A module's twin, or None if the device has no such module. Raises NotFoundError for an unknown device."""
        call = Call(GET_MODULE_TWIN, {**_ids(device_id), "module": module})
        about = f"module {module!r} of {_device(device_id)}"
        try:
            return _twin_of(self._requests.value(about, call, ModuleTwin), f"{about} in {self._host}")
        except NotFoundError as error:
            refusal = refusal_of(error)
            if refusal is not None and refusal.code == "ModuleNotFound":
                return None
            raise

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Replace the device's modules by `content`."""
        about = _device(device_id)
        call = Call(APPLY_CONTENT, _ids(device_id), body={"modulesContent": content["modulesContent"]})
        try:
            self._requests.write(about, call)
        except CloudError as error:
            # For a device that is not an edge device, the hub says only "BadRequest".
            refusal = refusal_of(error)
            if refusal is not None and refusal.status == 400 and not self._is_edge(device_id):
                raise CloudError(
                    "it is not an IoT Edge device, so it cannot run modules",
                    where=f"{about} in {self._host}",
                    fix=f"register it as one: manifestgen device register {device_id}, with another ID or after "
                    "deleting this device",
                ) from error
            raise

    def _is_edge(self, device_id: str) -> bool:
        capabilities = self._identity(device_id).capabilities
        return bool(capabilities and capabilities.iot_edge)

    def invoke_method(
        self,
        device_id: str,
        module: str,
        name: str,
        payload: Any = None,
        *,
        response_timeout: int = 30,
        connect_timeout: int = 0,
    ) -> MethodResult:
        """Call a direct method of a module; see `cloud.Hub.invoke_method`."""
        about = f"module {module!r} of {_device(device_id)}"
        body = {
            "methodName": name,
            **({} if payload is None else {"payload": payload}),
            "responseTimeoutInSeconds": response_timeout,
            "connectTimeoutInSeconds": connect_timeout,
        }
        call = Call(
            INVOKE_METHOD,
            {**_ids(device_id), "module": module},
            body=body,
            timeout=response_timeout + connect_timeout + _METHOD_MARGIN,
        )
        try:
            answer = self._requests.value(about, call, MethodAnswer, writes=True)
        except CloudError as error:
            refusal = refusal_of(error)
            where = f"{about} in {self._host}"
            if refusal is not None and _NOT_CONNECTED in (refusal.code, refusal.number):
                raise OfflineError(
                    f"the device is not connected: the hub returned {refusal}",
                    where=where,
                    fix="check that the device is on, has a network and runs IoT Edge, and try again",
                ) from error.__cause__
            if refusal is not None and _TIMED_OUT in (refusal.code, refusal.number):
                raise UnconfirmedError(
                    f"method {name!r} did not respond within {response_timeout} s: the hub returned {refusal}",
                    where=where,
                    fix="check whether it ran before calling it again, or allow more time",
                ) from error.__cause__
            if isinstance(error, UnconfirmedError) and error.__cause__ is not None:
                raise UnconfirmedError(
                    f"the response of method {name!r} was lost: {root_words(error.__cause__)}",
                    where=where,
                    fix="check whether it ran before calling it again",
                ) from error.__cause__
            raise
        return MethodResult(answer.status, answer.payload)


def _device(device_id: str) -> str:
    return f"device {device_id!r}"


def _ids(device_id: str) -> dict[str, str]:
    if not device_id or "/" in device_id:
        raise InputError(
            f"{device_id!r} is not a valid device ID", fix="use letters, digits and some marks, but no '/'"
        )
    return {"device": device_id}


def _device_of(twin: DeviceTwin) -> Device:
    # A device twin names its parents' scopes: ms-azure-iot-edge://PARENT-NUMBER.
    scopes = twin.parent_scopes or []
    parent = scopes[0].removeprefix("ms-azure-iot-edge://").rpartition("-")[0] if scopes else None
    active = read_time(twin.last_activity_time)
    return Device(
        id=twin.device_id,
        edge=bool(twin.capabilities and twin.capabilities.iot_edge),
        enabled=twin.status == "enabled",
        connected=twin.connection_state == "Connected",
        last_activity=active if active is not None and active.year > _NEVER_YEAR else None,
        parent=parent,
        tags=twin.tags or {},
    )


def _twin_of(twin: ModuleTwin, where: str) -> Twin:
    properties = twin.properties or Properties()
    desired, reported = dict(properties.desired or {}), dict(properties.reported or {})
    desired_metadata, reported_metadata = desired.pop("$metadata", {}), reported.pop("$metadata", {})
    version = decoded(desired.pop("$version", 0), int, service="IoT Hub", where=where)
    reported.pop("$version", None)
    times = reported_metadata if isinstance(reported_metadata, dict) else {}
    return Twin(
        module=twin.module_id,
        desired=desired,
        desired_version=version,
        reported=reported,
        connected=twin.connection_state == "Connected",
        desired_at=_time(desired_metadata),
        reported_at={name: time for name in reported if (time := _time(times.get(name))) is not None},
        configurations={
            name: (state.status or "").lower() if state else "" for name, state in (twin.configurations or {}).items()
        },
    )


def _time(metadata: Any) -> datetime | None:
    """When a property was last written, from its `$metadata`."""
    return read_time(metadata.get("$lastUpdated")) if isinstance(metadata, dict) else None
