"""Manifests for one device, and automatic deployments: requests, and the engine that keeps devices up to date.

The configurations of automatic device management (`settings`) share the deployments' addresses and their engine.
Source: learn.microsoft.com/rest/api/iothub/service/configuration and …/azure/iot-edge/module-deployment-monitoring.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox.hub import applied, query, settings
from manifestgen.sandbox.hub.auth import Right
from manifestgen.sandbox.hub.content import Desired, check_content, compose, is_layer, put_content, whole
from manifestgen.sandbox.hub.documents import AGENT
from manifestgen.sandbox.hub.errors import HubError, configuration_not_found, invalid
from manifestgen.sandbox.hub.requests import Route, body, check_match, tagged
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.tally import Tallies
from manifestgen.sandbox.hub.throttle import size
from manifestgen.sandbox.hub.twins import Json, etag
from manifestgen.sandbox.hub.views import twin_view

# Limits of a paid hub: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling
_MOST_METRICS: Final = 5
# The portal accepts "lower-case letters, digits and -:+%_#*?!(),=@;'".
_ID: Final = re.compile(r"[a-z0-9\-:+%_#*?!(),=@;']{1,128}")


def routes(store: HubStore, engine: Engine, tallies: Tallies) -> Sequence[Route]:
    """Handlers for deployments."""
    api = _Deployments(store, engine, tallies)
    read, write = Right.REGISTRY_READ, Right.REGISTRY_WRITE
    return [
        Route("POST", "/devices/{id}/applyConfigurationContent", "twin-write", write, api.apply),
        Route("GET", "/configurations", "configuration", read, api.list),
        Route("POST", "/configurations/testQueries", "configuration", read, api.test),
        Route("GET", "/configurations/{id}", "configuration", read, api.get),
        Route("PUT", "/configurations/{id}", "configuration", write, api.put),
        Route("DELETE", "/configurations/{id}", "configuration", write, api.delete),
    ]


class Engine:
    """Keeps devices up to date with the automatic deployments that target them."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        self._conditions: dict[str, tuple[str, query.Condition]] = {}
        self._configurations: list[Json] | None = None
        self.settings = settings.Settings(store)
        self._composed: dict[tuple[str, ...], Desired] = {}
        self._round: asyncio.Task[None] | None = None

    def configurations(self) -> list[Json]:
        """All automatic deployments and configurations, highest priority first; among equals, the newest first."""
        if self._configurations is None:
            found = [document for _, document in self._store.world.store.items("hub:configuration")]
            found.sort(key=lambda document: (document["priority"], document["created"]), reverse=True)
            self._configurations = found
        return self._configurations

    def start(self) -> None:
        """Resume where the sandbox last stopped."""
        if self.configurations():
            self.changed()

    def changed(self) -> None:
        """Automatic deployments have changed: reevaluate all devices, in the background."""
        self._configurations = None
        self._composed.clear()
        if self._round is not None:
            self._round.cancel()
        self._round = self._store.world.spawn(self._evaluate_all())

    def devices_added(self) -> None:
        """Many devices were added: evaluate them all, if any deployment might target them."""
        if self.configurations():
            self.changed()

    async def _evaluate_all(self) -> None:
        async for chunk in self._store.walk():
            with self._store.world.store.batch():
                for device_id, document in chunk:
                    self._reconcile(device_id, document)

    def evaluate(self, device_id: str) -> None:
        """A device has changed: apply the automatic deployments that target it."""
        document = self._store.find_device(device_id) if self.configurations() else None
        if document is not None:
            self._reconcile(device_id, document)

    def _reconcile(self, device_id: str, document: Json) -> None:
        if self.settings.used:
            about_twins = [found for found in self.configurations() if "kind" in found]
            self.settings.reconcile(device_id, document, about_twins)
            document = self._store.device(device_id)
        if not document["identity"]["edge"]:
            return
        view = twin_view(device_id, document, connected=self._store.connected(device_id, document), metadata=False)
        deployments = [found for found in self.configurations() if "kind" not in found]
        targeting = [found for found in deployments if self._condition(found)(view)]
        modules = self._store.modules(device_id)
        known = modules[AGENT]["configurations"]
        if not targeting and not known:
            return
        base = next((found for found in targeting if not is_layer(found["modules"])), None)
        statuses = {found["id"]: "Targeted" for found in targeting}
        desired = {}
        if base is not None:
            # A layer needs a base of lower priority. The list has the highest first; composing needs the lowest first.
            above = (found for found in targeting if found["priority"] > base["priority"])
            layers = [found for found in above if is_layer(found["modules"])]
            desired = self._compose(base, layers)
            statuses.update({found["id"]: "Applied" for found in (base, *layers) if any(found["modules"].values())})
        if (desired or statuses != known) and put_content(self._store, device_id, desired, statuses=statuses):
            self._store.desired_changed(device_id)

    def _compose(self, base: Json, layers: Sequence[Json]) -> Desired:
        """The deployments' combined content, cached because most devices have the same ones. Do not modify it."""
        key = (base["id"], *(layer["id"] for layer in layers))
        if key not in self._composed:
            self._composed[key] = compose(base["modules"], [layer["modules"] for layer in reversed(layers)])
        return self._composed[key]

    def _condition(self, configuration: Json) -> query.Condition:
        text = configuration["targetCondition"]
        cached = self._conditions.get(configuration["id"])
        if cached is None or cached[0] != text:
            cached = self._conditions[configuration["id"]] = (text, query.parse_condition(text))
        return cached[1]


class _Deployments:
    def __init__(self, store: HubStore, engine: Engine, tallies: Tallies) -> None:
        self._store = store
        self._engine = engine
        self._tallies = tallies

    async def apply(self, request: web.Request) -> web.Response:
        device_id = request.match_info["id"]
        data = await body(request)
        document = self._store.device(device_id)
        if not document["identity"]["edge"]:
            raise invalid(f"BadRequest: device {device_id} is not an IoT Edge device")
        desired = whole(check_content(data, layered=False))
        applied.note(self._store.world, device_id, desired)
        if put_content(self._store, device_id, desired):
            self._store.desired_changed(device_id)
            self._engine.evaluate(device_id)
        return web.Response(status=204)

    async def list(self, request: web.Request) -> web.Response:
        try:
            top = int(request.query.get("top", 20))
        except ValueError:
            raise invalid("BadRequest: top must be a number") from None
        found = sorted(self._engine.configurations(), key=lambda document: str(document["id"]))
        return web.json_response(await self._with_results(found[:top]))

    async def get(self, request: web.Request) -> web.Response:
        document = self._find(request.match_info["id"])
        (view,) = await self._with_results([document])
        return tagged(view, etag(document["version"]))

    async def put(self, request: web.Request) -> web.Response:
        configuration_id = request.match_info["id"]
        data = await body(request)
        if data.get("id", configuration_id) != configuration_id:
            raise invalid(f"BadRequest: the body is about configuration {data['id']!r}")
        existing = self._store.world.store.get("hub:configuration", configuration_id)
        if "If-Match" in request.headers:
            existing = self._find(configuration_id)
            check_match(request, existing["version"])
            document = _updated(existing, data, self._store.now)
        elif existing is not None:
            words = f"A configuration with ID '{configuration_id}' already exists."
            raise HubError(409, "ConfigurationAlreadyExists", words)
        else:
            most = size(self._store.world).configurations
            if self._store.world.store.count("hub:configuration") >= most:
                words = f"The hub has its {most} configurations."
                raise HubError(413, "ConfigurationCountLimitExceeded", words)
            document = _created(configuration_id, data, self._store.now)
        self._store.world.store.put("hub:configuration", configuration_id, document)
        if "kind" in document:
            self._engine.settings.begin()
        self._engine.changed()
        return self._respond(document, 200 if existing else 201)

    async def delete(self, request: web.Request) -> web.Response:
        document = self._find(request.match_info["id"])
        check_match(request, document["version"])
        self._store.world.store.delete("hub:configuration", document["id"])
        self._engine.changed()
        return web.Response(status=204)

    async def test(self, request: web.Request) -> web.Response:
        data = await body(request)
        result: Json = {"targetConditionError": None, "customMetricQueryErrors": {}}
        condition = data.get("targetCondition")
        if isinstance(condition, str):
            kind = settings.MODULES if condition.lstrip()[:5].lower() == "from " else settings.DEVICES
            result["targetConditionError"] = _problem(partial(settings.parse_target, kind), condition)
        for name, text in (data.get("customMetricQueries") or {}).items():
            error = _problem(query.parse, text)
            if error:
                result["customMetricQueryErrors"][name] = error
        return web.json_response(result)

    def _find(self, configuration_id: str) -> Json:
        document = self._store.world.store.get("hub:configuration", configuration_id)
        if document is None:
            raise configuration_not_found(configuration_id)
        return dict(document)

    def _respond(self, document: Json, status: int = 200) -> web.Response:
        """A configuration that was just written, whose metrics have no results yet."""
        return tagged(_view(document, {}), etag(document["version"]), status)

    async def _with_results(self, documents: Sequence[Json]) -> Sequence[Json]:
        """Configurations for reading, with the results of all their metrics."""
        wanted = {text for found in documents for text in (_system_queries(found) | found["metrics"]).values()}
        counted = await self._tallies.count(wanted)
        return [_view(document, counted) for document in documents]


def _view(document: Json, counted: Mapping[str, int]) -> Json:
    return {
        "id": document["id"],
        "schemaVersion": "2.0",
        "labels": document["labels"],
        "content": _content(document),
        "targetCondition": document["targetCondition"],
        "createdTimeUtc": document["created"],
        "lastUpdatedTimeUtc": document["updated"],
        "priority": document["priority"],
        "systemMetrics": _metrics(_system_queries(document), counted),
        "metrics": _metrics(document["metrics"], counted),
        "etag": etag(document["version"]),
    }


def _content(document: Json) -> Json:
    return {document["kind"]: document["settings"]} if "kind" in document else {"modulesContent": document["modules"]}


def _metrics(queries: Mapping[str, str], counted: Mapping[str, int]) -> Json:
    results = {name: counted[text] for name, text in queries.items() if text in counted}
    return {"results": results, "queries": queries}


def _system_queries(document: Json) -> dict[str, str]:
    """The queries of a rollout's four counts, in the service's form; two for automatic device management."""
    if "kind" in document:
        return settings.metric_queries(document)
    condition = document["targetCondition"].strip()
    agents = "select deviceId from devices.modules where moduleId = '$edgeAgent'"
    applied = f"{agents} and configurations.[[{document['id']}]].status = 'Applied'"
    current = "properties.desired.$version = properties.reported.lastDesiredVersion"
    edge = "select deviceId from devices where capabilities.iotEdge = true"
    if condition == "":
        targeted = f"{edge} and false"
    elif condition == "*":
        targeted = edge
    else:
        targeted = f"{edge} and ({condition})"
    return {
        "targetedCount": targeted,
        "appliedCount": applied,
        "reportedSuccessfulCount": f"{applied} and {current} and properties.reported.lastDesiredStatus.code = 200",
        "reportedFailedCount": f"{applied} and properties.reported.lastDesiredStatus.code != 200",
    }


def _created(configuration_id: str, data: Json, time: str) -> Json:
    if _ID.fullmatch(configuration_id) is None:
        words = f"id {configuration_id!r} must have 1 to 128 lower-case letters, digits or -:+%_#*?!(),=@;'"
        raise invalid(words, "InvalidConfigurationId")
    document = {"id": configuration_id, "created": time, "version": 1, **_checked(data.get("content"))}
    return {**document, **_mutable(document, data), "updated": time}


def _checked(content: Any) -> Json:
    """The document of a configuration's content. Raises HubError 400."""
    kind = settings.kind_of(content)
    if kind is None:
        return {"modules": check_content(content, layered=True)}
    return {"kind": kind, "settings": settings.check_settings(kind, content)}


def _updated(existing: Json, data: Json, time: str) -> Json:
    content = data.get("content")
    if content is not None and _content(_checked(content)) != _content(existing):
        raise invalid(
            "the content of a configuration cannot be changed once it is created", "InvalidConfigurationContent"
        )
    return {**existing, **_mutable(existing, data), "updated": time, "version": existing["version"] + 1}


def _mutable(document: Json, data: Json) -> Json:
    """The validated parts that may change after creation."""
    condition = data.get("targetCondition") or ""
    error = _problem(partial(settings.parse_target, document.get("kind", settings.DEVICES)), condition)
    if error:
        raise invalid(f"the target condition is invalid: {error}", "InvalidConfigurationTargetCondition")
    priority = data.get("priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority < 2**31:
        raise invalid(f"BadRequest: priority {priority!r} must be a number of at least 0")
    labels = data.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise invalid("BadRequest: labels must be an object of strings")
    queries = (data.get("metrics") or {}).get("queries") or {}
    if not isinstance(queries, dict) or len(queries) > _MOST_METRICS:
        raise invalid(f"BadRequest: a configuration has at most {_MOST_METRICS} custom metrics")
    for name, text in queries.items():
        error = _problem(query.parse, text)
        if error:
            raise invalid(f"the custom metric {name} is invalid: {error}", "InvalidConfigurationCustomMetricsQuery")
    return {"targetCondition": condition, "priority": priority, "labels": labels, "metrics": queries}


def _problem(parse: Any, text: Any) -> str | None:
    if not isinstance(text, str):
        return "not a string"
    try:
        parse(text)
    except query.QueryError as error:
        return str(error)
    return None
