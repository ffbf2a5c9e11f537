"""IoT Hub: devices, module twins and configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from manifestgen.secret import Secret


@dataclass(frozen=True)
class Device:
    """A device identity in an IoT hub."""

    id: str
    edge: bool
    enabled: bool
    connected: bool
    last_activity: datetime | None = None
    parent: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Twin:
    """A module twin.

    Attributes:
        desired: desired properties without `$metadata` and `$version`.
        desired_version: the hub's `$version` of them.
        reported: reported properties without `$metadata` and `$version`.
        desired_at: when the hub accepted the desired properties, by the hub's clock (`$metadata.$lastUpdated`).
        reported_at: when each top-level reported property last changed, by the same clock.
        configurations: the automatic deployments that target the device: id to `targeted` or `applied`.
    """

    module: str
    desired: Mapping[str, Any] = field(repr=False)  # with passwords of registries, which edgeAgent reports, too
    desired_version: int
    reported: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connected: bool = False
    desired_at: datetime | None = None
    reported_at: Mapping[str, datetime] = field(default_factory=dict)
    configurations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """An automatic deployment; the API calls it a configuration.

    Attributes:
        content: `{"modulesContent": …}`; may contain passwords. It cannot be changed after creation.
        condition: its target condition; `*` is all devices, a blank text none.
        metrics: custom metrics, name to query.
        etag: from the hub; sent with an update or deletion, so that no change is overwritten.
        counts: results of the hub's own metrics, such as `targetedCount` and `reportedSuccessfulCount`; those that the
            hub has not computed yet are left out.
        results: of the custom metrics.
    """

    id: str
    content: Mapping[str, Any] = field(repr=False)
    condition: str = ""
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    created: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodResult:
    """The response of a direct method.

    Attributes:
        status: the method's own, such as 200, or 400 for a method that the module does not have.
        payload: a JSON value.
    """

    status: int
    payload: Any = None


class Hub(Protocol):
    """An IoT hub."""

    @property
    def host(self) -> str:
        """The hub's identity: its classic host name, such as `contoso.azure-devices.net`, whichever name was given."""
        ...

    @property
    def client(self) -> str:
        """The client that sends the requests, with its version, such as `azure-iot-hub 2.7.0`."""
        ...

    def device(self, device_id: str) -> Device:
        """One device identity. Raises NotFoundError."""
        ...

    def devices(self) -> Iterator[Device]:
        """All edge device identities, by ID."""
        ...

    def register_device(
        self, device_id: str, *, parent: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> Device:
        """Create an edge device identity. Raises CloudError if the ID is taken, NotFoundError for an unknown parent."""
        ...

    def delete_device(self, device_id: str) -> None:
        """Delete a device identity with its modules and twins. Raises NotFoundError."""
        ...

    def connection_string(self, device_id: str) -> Secret:
        """The connection string for the runtime on the device."""
        ...

    def modules(self, device_id: str) -> Sequence[str]:
        """IDs of the device's modules, including `$edgeAgent` and `$edgeHub`."""
        ...

    def module_twin(self, device_id: str, module: str) -> Twin | None:
        """A module's twin, or None if the device has no such module."""
        ...

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Replace the device's modules with `content` (`{"modulesContent": …}`).

        Raises UnconfirmedError if the response was lost: read the twins to see whether the hub accepted it.
        """
        ...

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
        """Call a direct method of a module and wait for its response, whatever its status.

        Args:
            module: such as `$edgeAgent`, whose methods are `ping`, `RestartModule`, `GetModuleLogs` and others.
            payload: a JSON value, at most 128 KB.
            response_timeout: how long the module may take to answer, 5 to 300 seconds.
            connect_timeout: how long the hub waits for a device that is not connected, 0 to 300 seconds.

        Raises:
            NotFoundError: the hub has no such device or module.
            OfflineError: the device is not connected.
            UnconfirmedError: no response arrived in time: the method may have run.
        """
        ...

    def bulk(self) -> BulkHub:
        """The same hub for a run over many devices, which paces and retries its requests itself."""
        ...

    def configurations(self) -> Sequence[Configuration]:
        """All automatic deployments, including those for modules of other devices, by ID."""
        ...

    def configuration(self, configuration_id: str) -> Configuration:
        """One automatic deployment, with the results of its metrics. Raises NotFoundError."""
        ...

    def create_configuration(self, configuration: Configuration) -> None:
        """Create an automatic deployment. Raises CloudError if its id is taken, UnconfirmedError like `set_modules`."""
        ...

    def update_configuration(self, configuration: Configuration) -> None:
        """Change condition, priority, labels and metrics of an automatic deployment.

        Raises CloudError if it has changed since its `etag`, UnconfirmedError like `set_modules`.
        """
        ...

    def delete_configuration(self, configuration: Configuration) -> None:
        """Delete an automatic deployment.

        Raises NotFoundError, CloudError if it has changed since its `etag`, UnconfirmedError like `set_modules`.
        """
        ...

    def test_queries(self, condition: str, metrics: Mapping[str, str]) -> Mapping[str, str]:
        """The hub's error messages for a target condition and custom metrics.

        Returns:
            Metric to message, with the empty name for the condition; empty if the hub accepts all.
        """
        ...

    def query(self, text: str, **columns: type) -> Iterator[Mapping[str, Any]]:
        """The rows of a query, page by page; the hub's index may be some seconds behind.

        Args:
            columns: name and type of what each row must have.

        Raises:
            CloudError: a row has another form.
        """
        ...

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        """Merge tags into those of a device; null deletes one. Raises NotFoundError."""
        ...


class BulkHub(Protocol):
    """An IoT hub that sends one request per call, from many threads.

    It does not retry: a caller that sends to thousands of devices has to slow down all requests together when
    the hub asks for it, which a single request cannot do. Methods raise BusyError if a retry may succeed.
    """

    @property
    def host(self) -> str:
        """Its host name, such as `contoso.azure-devices.net`."""
        ...

    def set_modules(self, device_id: str, body: bytes) -> None:
        """Replace the device's modules; `body` is the UTF-8 JSON of `{"modulesContent": …}` and is sent unchanged.

        Raises BusyError if the hub did nothing, UnconfirmedError if the response was lost, NotFoundError, DeniedError.
        """
        ...

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        """Desired properties of a module twin, without `$metadata` and `$version`; None without such a module."""
        ...
