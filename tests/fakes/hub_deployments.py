"""Automatic deployments of an IoT hub in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from manifestgen.cloud import Configuration, Twin
from manifestgen.deployments.layers import applied, on_device, rank
from manifestgen.errors import CloudError, NotFoundError, UnconfirmedError
from manifestgen.sandbox.hub import query

_APPLIED = (
    "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' AND configurations.[[{id}]].status = 'Applied'"
)
_CURRENT = "properties.desired.$version = properties.reported.lastDesiredVersion"

# The same few are asked again and again.
_query = lru_cache(maxsize=None)(query.parse)
_condition = lru_cache(maxsize=None)(query.parse_condition)


class FakeDeployments:
    """What `FakeHub` does with automatic deployments: at once, to all devices that a condition matches.

    Attributes:
        changed: called after each change of a configuration, when the devices are in line with it.
        before: called before each change, with its name: `create`, `update`, `delete`; may raise.
        bad_images: image to what devices say that cannot run it.
        broken: the devices that cannot run `bad_images`; None for all.
        writes: `create ID`, `update ID` and `delete ID` that the hub took, in order.
        lose: names of the next changes that the hub makes although the caller gets no answer.
        most: deployments that the hub takes.
    """

    _registered: dict[str, Any]
    _stumble: Callable[[str], None]
    _find: Callable[[str], Any]
    _tick: Callable[[], Any]
    _take: Callable[[Any, Mapping[str, Any]], None]

    def __init__(self) -> None:
        self._configurations: dict[str, Configuration] = {}
        self._etags = 0
        self.changed: Callable[[], None] = lambda: None
        self.before: Callable[[str], None] = lambda name: None
        self.bad_images: dict[str, str] = {}
        self.broken: set[str] | None = None
        self.writes: list[str] = []
        self.lose: list[str] = []
        self.most = 100

    def configurations(self) -> Sequence[Configuration]:
        self._stumble("configurations")
        return [self._counted(found) for _, found in sorted(self._configurations.items())]

    def configuration(self, configuration_id: str) -> Configuration:
        self._stumble("configuration")
        return self._counted(self._found(configuration_id))

    def create_configuration(self, configuration: Configuration) -> None:
        self._stumble("create_configuration")
        self.before("create")
        if configuration.id in self._configurations:
            raise CloudError("the id is taken", where=configuration.id, fix="choose another name")
        if len(self._configurations) >= self.most:
            raise CloudError(f"the hub has {self.most} deployments", fix="delete some")
        self._check(configuration)
        self._configurations[configuration.id] = replace(
            copy.deepcopy(configuration), etag=self._etag(), created=self._tick(), counts={}, results={}
        )
        self._done("create", configuration.id)

    def update_configuration(self, configuration: Configuration) -> None:
        self._stumble("update_configuration")
        self.before("update")
        found = self._matching(configuration)
        if found.content != configuration.content:
            raise CloudError("the content cannot be changed", where=configuration.id, fix="create another one")
        self._check(configuration)
        self._configurations[configuration.id] = replace(
            configuration, created=found.created, etag=self._etag(), counts={}, results={}
        )
        self._done("update", configuration.id)

    def delete_configuration(self, configuration: Configuration) -> None:
        self._stumble("delete_configuration")
        self.before("delete")
        self._matching(configuration)
        del self._configurations[configuration.id]
        self._done("delete", configuration.id)

    def test_queries(self, condition: str, metrics: Mapping[str, str]) -> Mapping[str, str]:
        self._stumble("test_queries")
        tried = [("", query.parse_condition, condition), *((name, query.parse, text) for name, text in metrics.items())]
        errors = {}
        for name, parse, text in tried:
            try:
                parse(text)
            except query.QueryError as error:
                errors[name] = str(error)
        return errors

    def query(self, text: str, **columns: type) -> Iterator[Mapping[str, Any]]:
        self._stumble("query")
        try:
            asked = _query(text)
        except query.QueryError as error:
            raise CloudError(str(error), fix="correct the query") from error
        rows = [asked.project(document) for document in self._documents(asked.source) if asked.matches(document)]
        yield from ([{asked.count: len(rows)}] if asked.count is not None else rows)

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        self._stumble("set_tags")
        found = self._find(device_id)
        found.device = replace(found.device, tags=_merged(found.device.tags, tags))
        self._reconcile(device_id)

    def targeting(self, device_id: str) -> list[Configuration]:
        """The deployments that target a device, the winner first."""
        document = self._device_document(device_id)
        matching = [found for found in self._configurations.values() if _condition(found.condition)(document)]
        return sorted(matching, key=rank, reverse=True)

    def running(self, device_id: str) -> dict[str, str]:
        """Image of each module that a device should run by now."""
        modules = self._find(device_id).twins["$edgeAgent"].desired.get("modules", {})
        return {name: module["settings"]["image"] for name, module in modules.items()}

    def _found(self, configuration_id: str) -> Configuration:
        if configuration_id not in self._configurations:
            raise NotFoundError("the hub has no such deployment", where=configuration_id, fix="check the id")
        return self._configurations[configuration_id]

    def _matching(self, configuration: Configuration) -> Configuration:
        found = self._found(configuration.id)
        if configuration.etag != found.etag:
            raise CloudError("somebody else changed it meanwhile", where=configuration.id, fix="look at it again")
        return found

    def _check(self, configuration: Configuration) -> None:
        if len(configuration.metrics) > 5 or self.test_queries(configuration.condition, configuration.metrics):
            raise CloudError("a condition or metric is invalid", where=configuration.id, fix="correct it")

    def _etag(self) -> str:
        self._etags += 1
        return f"etag-{self._etags}"

    def _done(self, change: str, configuration_id: str) -> None:
        self.writes.append(f"{change} {configuration_id}")
        for device_id in self._registered:
            self._reconcile(device_id)
        self.changed()
        if change in self.lose:
            self.lose.remove(change)
            raise UnconfirmedError("the answer was lost", where=configuration_id, fix="look whether it was made")

    def _reconcile(self, device_id: str) -> None:
        found = self._find(device_id)
        if not found.device.edge or not self._configurations:
            return
        targeting = self.targeting(device_id)
        content = on_device(targeting)
        statuses = {configuration.id: "targeted" for configuration in targeting}
        if content is not None:
            statuses.update({each.id: "applied" for each in applied(targeting)})
            now = {name: twin.desired for name, twin in found.twins.items() if twin.desired}
            if now != {name: entry["properties.desired"] for name, entry in content["modulesContent"].items()}:
                self._take(found, content["modulesContent"])
        agent = found.twins["$edgeAgent"]
        found.twins["$edgeAgent"] = replace(agent, configurations=statuses)

    def _trouble_with(self, device_id: str, desired: Mapping[str, Any]) -> str:
        """What a device says about what it should run; empty if it can."""
        if self.broken is not None and device_id not in self.broken:
            return ""
        images = [module["settings"]["image"] for module in desired.get("modules", {}).values()]
        return next((self.bad_images[image] for image in images if image in self.bad_images), "")

    def _counted(self, configuration: Configuration) -> Configuration:
        applied = _APPLIED.format(id=configuration.id)
        queries = {
            "appliedCount": applied,
            "reportedSuccessfulCount": f"{applied} AND {_CURRENT} AND properties.reported.lastDesiredStatus.code = 200",
            "reportedFailedCount": f"{applied} AND properties.reported.lastDesiredStatus.code != 200",
        }
        counts = {name: self._count(text) for name, text in queries.items()}
        counts["targetedCount"] = sum(
            any(found.id == configuration.id for found in self.targeting(device_id))
            for device_id, device in self._registered.items()
            if device.device.edge
        )
        results = {name: self._count(text) for name, text in configuration.metrics.items()}
        return replace(copy.deepcopy(configuration), counts=counts, results=results)

    def _count(self, text: str) -> int:
        asked = _query(text)
        return sum(asked.matches(document) for document in self._documents(asked.source))

    def _documents(self, source: str) -> Iterator[dict[str, Any]]:
        for device_id, found in sorted(self._registered.items()):
            if source == "devices":
                yield self._device_document(device_id)
                continue
            for name, twin in sorted(found.twins.items()):
                yield _module_document(device_id, name, twin)

    def _device_document(self, device_id: str) -> dict[str, Any]:
        device = self._find(device_id).device
        return {
            "deviceId": device_id,
            "tags": device.tags,
            "capabilities": {"iotEdge": device.edge},
            "connectionState": "Connected" if device.connected else "Disconnected",
        }


def _module_document(device_id: str, name: str, twin: Twin) -> dict[str, Any]:
    return {
        "deviceId": device_id,
        "moduleId": name,
        "configurations": {key: {"status": status.capitalize()} for key, status in twin.configurations.items()},
        "properties": {
            "desired": {**twin.desired, "$version": twin.desired_version},
            "reported": twin.reported,
        },
    }


def _merged(tags: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(tags)
    for key, value in more.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = _merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result
