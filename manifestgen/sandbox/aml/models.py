"""Azure ML's assets and registered models in the sandbox, in the first version of its API; `registry` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from manifestgen.sandbox.aml import registry
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

_IMMUTABLE = "Properties are immutable: the value of '{}' cannot be changed."


def find_model(world: World, model_id: str) -> Document | None:
    """A registered model by its ID, `name:version`."""
    name, _, version = model_id.rpartition(":")
    return registry.find(world, name, version)


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
        fields = {**data, **{key: string_map(data, key) for key in ("kvTags", "properties")}}
        return web.json_response(registry.put_asset(self._world, data["name"], artifacts, fields))

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
        if not registry.NAME.fullmatch(name):
            raise bad_request("InvalidModelName", f"Model name '{name}' is invalid.")
        tags, properties = string_map(data, "kvTags"), string_map(data, "properties")
        self._reject_missing_uploads(data["url"])
        version = registry.next_version(self._world, name)
        model = registry.new_model(self._world, name, version, data["url"], data)
        model |= {"kvTags": tags, "properties": properties}
        registry.put(self._world, model)
        return web.json_response(model)

    def _reject_missing_uploads(self, url: str) -> None:
        asset = registry.asset_of(self._world, url)
        if asset is None:
            raise bad_request("AssetNotFound", f"The asset of the model, '{url}', was not found.")
        for artifact in asset["artifacts"]:
            prefix = registry.prefix_of(artifact)
            if not uploaded(self._world, prefix):
                raise bad_request("ArtifactNotFound", f"The artifact '{prefix}' has no content.")

    async def list(self, request: web.Request) -> web.Response:
        """Matching models, newest first unless ordered otherwise."""
        query = request.query
        # Lists are filtered in memory: a sandbox has a few hundred models at most.
        models = registry.versions(self._world, query.get("name", ""))
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
        registry.put(self._world, model)
        return web.json_response(model)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete one model."""
        model = self._found(request)
        registry.delete(self._world, model)
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


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
