"""An IoT hub in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from fakes.hub_deployments import FakeDeployments

from manifestgen.cloud import Device, MethodResult, Twin
from manifestgen.errors import CloudError, ManifestgenError, NotFoundError, OfflineError, UnconfirmedError
from manifestgen.secret import Secret

_START = datetime(2026, 8, 1, tzinfo=timezone.utc)
Method = MethodResult | Callable[[Any], MethodResult]
_SYSTEM = ("$edgeAgent", "$edgeHub")


@dataclass
class _Registered:
    device: Device
    key: str
    twins: dict[str, Twin] = field(default_factory=dict)


class FakeHub(FakeDeployments):
    """A `cloud.Hub` without a network.

    Attributes:
        obedient: whether devices report at once that every module runs as desired.
        applied: device id and content of each `set_modules` that the hub took.
        trouble: raised by the next calls of the method named, one each.
        methods: what edgeAgent answers, by name in lower case: always the same, or made from the payload.
        module_methods: the same for other modules, by module and name; a module without one is not connected.
        called: device id, name and payload of each direct method that was answered.
        lost_answers: how many of the next `set_modules` the hub takes although the caller gets no answer.

    What it does with automatic deployments is in `FakeDeployments`.
    """

    def __init__(self, *device_ids: str, host: str = "fake-hub.azure-devices.net", obedient: bool = False) -> None:
        super().__init__()
        self._host = host
        self._registered: dict[str, _Registered] = {}
        self._clock = _START
        self.obedient = obedient
        self.applied: list[tuple[str, Mapping[str, Any]]] = []
        self.methods: dict[str, Method] = {"ping": MethodResult(200)}
        self.module_methods: dict[tuple[str, str], Method] = {}
        self.called: list[tuple[str, str, Any]] = []
        self.trouble: dict[str, list[ManifestgenError]] = {}
        self.lost_answers = 0
        for device_id in device_ids:
            self.add(device_id)

    def add(self, device_id: str, *, edge: bool = True, tags: Mapping[str, Any] | None = None) -> None:
        """Register a device, of any kind, that is connected."""
        device = Device(device_id, edge=edge, enabled=True, connected=True, tags=dict(tags or {}))
        twins = {name: Twin(name, {}, 1, connected=True) for name in _SYSTEM} if edge else {}
        self._registered[device_id] = _Registered(device, f"a2V5LW9mLXt7{len(self._registered):04d}", twins)
        self._reconcile(device_id)

    def report(self, device_id: str, module: str, reported: Mapping[str, Any]) -> None:
        """Let a module report properties."""
        twins = self._find(device_id).twins
        now = self._tick()
        times = {
            name: twins[module].reported_at.get(name, now) if twins[module].reported.get(name) == value else now
            for name, value in reported.items()
        }
        twins[module] = replace(twins[module], reported=copy.deepcopy(dict(reported)), reported_at=times)

    def connect(self, device_id: str, connected: bool) -> None:
        """Connect a device, or cut it off."""
        found = self._find(device_id)
        found.device = replace(found.device, connected=connected)
        found.twins = {name: replace(twin, connected=connected) for name, twin in found.twins.items()}

    def target(self, device_id: str, configurations: Mapping[str, str]) -> None:
        """Let automatic deployments target a device."""
        twins = self._find(device_id).twins
        twins["$edgeAgent"] = replace(twins["$edgeAgent"], configurations=dict(configurations))

    @property
    def host(self) -> str:
        return self._host

    @property
    def client(self) -> str:
        return "memory"

    def device(self, device_id: str) -> Device:
        self._stumble("device")
        return self._find(device_id).device

    def devices(self) -> Iterator[Device]:
        self._stumble("devices")
        for _, found in sorted(self._registered.items()):
            if found.device.edge:
                yield found.device

    def register_device(
        self, device_id: str, *, parent: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> Device:
        self._stumble("register_device")
        if parent is not None:
            self._find(parent)
        if device_id in self._registered:
            raise CloudError(f"device {device_id!r} is registered already", fix="choose another id")
        self.add(device_id, tags=tags)
        found = self._registered[device_id]
        found.device = replace(found.device, parent=parent, connected=False)
        return found.device

    def delete_device(self, device_id: str) -> None:
        self._stumble("delete_device")
        self._find(device_id)
        del self._registered[device_id]

    def connection_string(self, device_id: str) -> Secret:
        self._stumble("connection_string")
        return Secret(f"HostName={self._host};DeviceId={device_id};SharedAccessKey={self._find(device_id).key}")

    def modules(self, device_id: str) -> Sequence[str]:
        self._stumble("modules")
        return sorted(self._find(device_id).twins)

    def module_twin(self, device_id: str, module: str) -> Twin | None:
        self._stumble("module_twin")
        return copy.deepcopy(self._find(device_id).twins.get(module))

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
        self._stumble("invoke_method")
        found = self._find(device_id)
        where = f"module {module!r} of device {device_id!r}"
        if module not in found.twins:
            raise NotFoundError("the module is not registered", where=where, fix="check the id")
        own = {key[1]: method for key, method in self.module_methods.items() if key[0] == module}
        methods = self.methods if module == "$edgeAgent" else own
        if not methods or not found.device.connected:
            raise OfflineError("the device is not connected", where=where, fix="check that the device is on")
        self.called.append((device_id, name, payload))
        if name.lower() in methods:
            method = methods[name.lower()]
            return method if isinstance(method, MethodResult) else method(payload)
        known = ", ".join(sorted(self.methods))
        return MethodResult(400, {"message": f"Command '{name}' not found. The supported commands are - {known}"})

    def bulk(self) -> FakeBulk:
        return FakeBulk(self)

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        self._stumble("set_modules")
        found = self._find(device_id)
        if not found.device.edge:
            raise CloudError("it is not an IoT Edge device", where=f"device {device_id!r}", fix="register it as one")
        self._take(found, copy.deepcopy(dict(content["modulesContent"])))
        self.applied.append((device_id, content))
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnconfirmedError("the answer was lost", where=f"device {device_id!r}", fix="look whether it was made")

    def _take(self, found: _Registered, entries: Mapping[str, Any]) -> None:
        desired = {
            name: entry["properties.desired"] for name, entry in entries.items() if "properties.desired" in entry
        }
        named = {*_SYSTEM, *desired, *desired.get("$edgeAgent", {}).get("modules", {})}
        if "$edgeAgent" in desired:
            found.twins = {name: twin for name, twin in found.twins.items() if name in named}
        now = self._tick()
        for name in named:
            twin = found.twins.get(name) or Twin(name, {}, 1, connected=found.device.connected)
            if name in desired:
                twin = replace(twin, desired=desired[name], desired_version=twin.desired_version + 1, desired_at=now)
            found.twins[name] = twin
        if self.obedient and found.device.connected:
            self._obey(found)

    def _obey(self, found: _Registered) -> None:
        agent = found.twins["$edgeAgent"]
        trouble = self._trouble_with(found.device.id, agent.desired)
        status = {"code": 500 if trouble else 200, "description": trouble}
        reported: dict[str, Any] = {"lastDesiredVersion": agent.desired_version, "lastDesiredStatus": status}
        for section in ("systemModules", "modules"):
            reported[section] = {
                name: {
                    "runtimeStatus": module.get("status", "running"),
                    "exitCode": 0,
                    "settings": {"image": _tagged(module["settings"]["image"])},
                }
                for name, module in agent.desired.get(section, {}).items()
            }
        self.report(found.device.id, "$edgeAgent", reported)
        hub_version = found.twins["$edgeHub"].desired_version
        self.report(found.device.id, "$edgeHub", {"lastDesiredVersion": hub_version, "lastDesiredStatus": status})

    def _find(self, device_id: str) -> _Registered:
        if device_id not in self._registered:
            raise NotFoundError(f"device {device_id!r} is not registered", where=self._host, fix="check the id")
        return self._registered[device_id]

    def _stumble(self, method: str) -> None:
        if self.trouble.get(method):
            raise self.trouble[method].pop(0)

    def _tick(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock


def _tagged(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


@dataclass(frozen=True)
class FakeBulk:
    """The same hub as a `cloud.BulkHub`."""

    hub: FakeHub

    @property
    def host(self) -> str:
        return self.hub.host

    def set_modules(self, device_id: str, body: bytes) -> None:
        self.hub.set_modules(device_id, json.loads(body))

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        twin = self.hub.module_twin(device_id, module)
        return None if twin is None else twin.desired
