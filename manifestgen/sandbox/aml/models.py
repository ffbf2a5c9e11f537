"""Azure ML's assets and registered models in the sandbox.

kind           key            value
asset          ID             the asset
model          NAME:VERSION   the model, the version padded with zeros so that keys sort
model-version  NAME           the highest version ever assigned; it is not reused after a delete
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox.aml.artifacts import uploaded
from manifestgen.sandbox.aml.responses import (
    Document,
    bad_request,
    body_of,
    iso,
    listed,
    not_found,
    patch_of,
    string_map,
)
from manifestgen.sandbox.world import World

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_ASSET = "aml://asset/"
_IMMUTABLE = "Properties are immutable: the value of '{}' cannot be changed."


def find_model(world: World, model_id: str) -> Document | None:
    """A registered model by its ID, `name:version`."""
    name, _, version = model_id.rpartition(":")
    found: Document | None = world.store.get("model", _key(name, int(version))) if version.isdecimal() else None
    return found


def routes(world: World, workspace: str) -> list[web.RouteDef]:
    """The service's routes below a workspace's path."""
    service = _Models(world)
    base = f"/modelmanagement/v1.0{workspace}"
    return [
        web.post(base + "/assets", service.create_asset),
        web.get(base + "/assets", service.list_assets),
        web.get(base + "/assets/{id}", service.get_asset),
        web.post(base + "/models", service.register),
        web.get(base + "/models", service.list),
        web.get(base + "/models/{id}", service.get),
        web.patch(base + "/models/{id}", service.patch),
        web.delete(base + "/models/{id}", service.delete),
    ]


class _Models:
    def __init__(self, world: World) -> None:
        self._world = world

    async def create_asset(self, request: web.Request) -> web.Response:
        """Group artifacts under one ID."""
        data = await body_of(request)
        artifacts = data.get("artifacts")
        if not _is_text(data.get("name")):
            raise bad_request("MissingField", "The name field is required.")
        if not isinstance(artifacts, list) or not artifacts:
            raise bad_request("MissingField", "The artifacts field is required.")
        if not all(isinstance(item, dict) and _is_text(item.get("prefix") or item.get("id")) for item in artifacts):
            raise bad_request("InvalidField", "Each artifact must have an id or a prefix.")
        asset = {
            "id": uuid.uuid4().hex,
            "name": data["name"],
            "type": data.get("type"),
            "description": data.get("description"),
            "artifacts": artifacts,
            "kvTags": string_map(data, "kvTags"),
            "properties": string_map(data, "properties"),
            "runid": data.get("runid"),
            "meta": data.get("meta"),
            "createdTime": iso(self._world.now()),
        }
        self._world.store.put("asset", asset["id"], asset)
        return web.json_response(asset)

    async def list_assets(self, request: web.Request) -> web.Response:
        """Assets, optionally filtered by name or run."""
        wanted = {key: request.query[key] for key in ("name", "runid") if key in request.query}
        assets = [
            asset
            for _, asset in self._world.store.items("asset")
            if all(asset[key] == value for key, value in wanted.items())
        ]
        return web.json_response({"value": assets})

    async def get_asset(self, request: web.Request) -> web.Response:
        """One asset."""
        asset = self._world.store.get("asset", request.match_info["id"])
        if asset is None:
            raise not_found("AssetNotFound", f"Asset with id {request.match_info['id']} was not found.")
        return web.json_response(asset)

    async def register(self, request: web.Request) -> web.Response:
        """Register a model: a new version of its name."""
        data = await body_of(request)
        for key in ("name", "url", "mimeType"):
            if not _is_text(data.get(key)):
                raise bad_request("MissingField", f"The {key} field is required.")
        name = data["name"]
        if not _NAME.fullmatch(name):
            raise bad_request("InvalidModelName", f"Model name '{name}' is invalid.")
        tags, properties = string_map(data, "kvTags"), string_map(data, "properties")
        self._reject_missing_uploads(data["url"])
        version = (self._world.store.get("model-version", name) or 0) + 1
        self._world.store.put("model-version", name, version)
        now = iso(self._world.now())
        model = {
            "id": f"{name}:{version}",
            "name": name,
            "framework": data.get("framework") or "Custom",
            "frameworkVersion": data.get("frameworkVersion"),
            "version": version,
            "datasets": data.get("datasets") or [],
            "url": data["url"],
            "mimeType": data["mimeType"],
            "description": data.get("description"),
            "createdTime": now,
            "modifiedTime": now,
            "unpack": bool(data.get("unpack")),
            "parentModelId": None,
            "runId": data.get("runId"),
            "experimentName": data.get("experimentName"),
            "kvTags": tags,
            "properties": properties,
            "derivedModelIds": None,
            "sampleInputData": data.get("sampleInputData"),
            "sampleOutputData": data.get("sampleOutputData"),
            "resourceRequirements": data.get("resourceRequirements"),
            "createdBy": {"userObjectId": self._world.names.client_id, "userName": "sandbox"},
        }
        self._world.store.put("model", _key(name, version), model)
        return web.json_response(model)

    def _reject_missing_uploads(self, url: str) -> None:
        asset = self._world.store.get("asset", url[len(_ASSET) :]) if url.startswith(_ASSET) else None
        if asset is None:
            raise bad_request("AssetNotFound", f"The asset of the model, '{url}', was not found.")
        for artifact in asset["artifacts"]:
            prefix = artifact.get("prefix") or artifact.get("id")
            if not uploaded(self._world, prefix.rstrip("/")):
                raise bad_request("ArtifactNotFound", f"The artifact '{prefix}' has no content.")

    async def list(self, request: web.Request) -> web.Response:
        """Matching models, newest first unless ordered otherwise."""
        query = request.query
        # Lists are filtered in memory: a sandbox has a few hundred models at most.
        models = [model for _, model in self._world.store.items("model", prefix=_prefix(query))]
        if query.get("latestVersionOnly", "").lower() == "true":
            models = list({model["name"]: model for model in models}.values())
        return web.json_response(listed(request, models, lambda model: _matches(model, query)))

    async def get(self, request: web.Request) -> web.Response:
        """One model, by `name:version`."""
        return web.json_response(self._found(request))

    async def patch(self, request: web.Request) -> web.Response:
        """Change tags and description, add properties."""
        model = self._found(request)
        for step in await patch_of(request):
            _apply(model, step)
        model["modifiedTime"] = iso(self._world.now())
        self._world.store.put("model", _key(model["name"], model["version"]), model)
        return web.json_response(model)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete one model."""
        model = self._found(request)
        self._world.store.delete("model", _key(model["name"], model["version"]))
        return web.Response(status=200)

    def _found(self, request: web.Request) -> Document:
        model = find_model(self._world, request.match_info["id"])
        if model is None:
            raise not_found("ModelNotFound", f"Model with id {request.match_info['id']} was not found.")
        return model


def _apply(model: Document, step: Mapping[str, Any]) -> None:
    path, op, value = str(step["path"]), step["op"], step.get("value")
    if op not in ("add", "replace", "remove"):
        raise bad_request("InvalidPatch", f"The operation '{op}' is not supported.")
    field, _, key = path.lstrip("/").partition("/")
    if field == "description" and not key:
        model["description"] = None if op == "remove" else value
    elif field == "kvTags" and not key:
        model["kvTags"] = {} if op == "remove" else string_map({"kvTags": value}, "kvTags")
    elif field == "kvTags" and op == "remove":
        model["kvTags"].pop(key, None)
    elif field == "kvTags":
        model["kvTags"][key] = str(value)
    elif field == "properties" and op == "add":
        added = {key: value} if key else string_map({"properties": value}, "properties")
        for name, text in added.items():
            if model["properties"].get(name, text) != text:
                raise bad_request("PropertiesImmutable", _IMMUTABLE.format(name))
        model["properties"].update(added)
    else:
        raise bad_request("InvalidPatch", f"The path '{path}' cannot be changed by '{op}'.")


def _matches(model: Document, query: Mapping[str, str]) -> bool:
    return all(
        model[field] == query[key] for key, field in (("framework", "framework"), ("runId", "runId")) if key in query
    ) and ("datasetId" not in query or query["datasetId"] in {item.get("id") for item in model["datasets"]})


def _prefix(query: Mapping[str, str]) -> str:
    return f"{query['name']}:" if query.get("name") else ""


def _key(name: str, version: int) -> str:
    return f"{name}:{version:010d}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
