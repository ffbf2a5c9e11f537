"""The registered models of the sandbox's workspace, as both versions of Azure ML's API keep them.

kind           key            value
asset          ID             what groups a model's artifacts, for the first version
model          NAME:VERSION   the model, the version padded with zeros so that keys sort
model-version  NAME           the highest version ever assigned; it is not reused after a delete
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from manifestgen.sandbox import blob
from manifestgen.sandbox.aml.artifacts import CONTAINER
from manifestgen.sandbox.aml.responses import Document, iso
from manifestgen.sandbox.world import World

#: A valid model name.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_ASSET = "aml://asset/"


def find(world: World, name: str, version: str) -> Document | None:
    """A model by name and version."""
    found: Document | None = world.store.get("model", _key(name, int(version))) if version.isdecimal() else None
    return found


def versions(world: World, name: str = "") -> list[Document]:
    """All models, or those of one name, ordered by name and version."""
    return [model for _, model in world.store.items("model", prefix=f"{name}:" if name else "")]


def next_version(world: World, name: str) -> int:
    """The version that the next model of this name gets."""
    return int(world.store.get("model-version", name) or 0) + 1


def put(world: World, model: Document) -> None:
    """Write a model."""
    name, version = model["name"], model["version"]
    world.store.put("model", _key(name, version), model)
    if version >= next_version(world, name):
        world.store.put("model-version", name, version)


def delete(world: World, model: Document) -> None:
    """Delete a model; its version is not assigned again."""
    world.store.delete("model", _key(model["name"], model["version"]))


def new_model(world: World, name: str, version: int, url: str, data: Mapping[str, Any]) -> Document:
    """A new model's document, not yet written; `data` has the optional fields of the first API version."""
    now = iso(world.now())
    return {
        "id": f"{name}:{version}",
        "name": name,
        "framework": data.get("framework") or "Custom",
        "frameworkVersion": data.get("frameworkVersion"),
        "version": version,
        "datasets": data.get("datasets") or [],
        "url": url,
        "mimeType": data.get("mimeType") or "application/json",
        "description": data.get("description"),
        "createdTime": now,
        "modifiedTime": now,
        "unpack": bool(data.get("unpack")),
        "parentModelId": None,
        "runId": data.get("runId"),
        "experimentName": data.get("experimentName"),
        "kvTags": {},
        "properties": {},
        "derivedModelIds": None,
        "sampleInputData": data.get("sampleInputData"),
        "sampleOutputData": data.get("sampleOutputData"),
        "resourceRequirements": data.get("resourceRequirements"),
        "createdBy": {"userObjectId": world.names.client_id, "userName": "sandbox"},
    }


def put_asset(world: World, name: str, artifacts: Sequence[Any], fields: Mapping[str, Any]) -> Document:
    """Group artifacts under one ID; `fields` has what else the asset holds."""
    asset: Document = {
        "id": uuid.uuid4().hex,
        "name": name,
        "type": fields.get("type"),
        "description": fields.get("description"),
        "artifacts": list(artifacts),
        "kvTags": fields.get("kvTags") or {},
        "properties": fields.get("properties") or {},
        "runid": fields.get("runid"),
        "meta": fields.get("meta"),
        "createdTime": iso(world.now()),
    }
    world.store.put("asset", asset["id"], asset)
    return asset


def asset_of(world: World, url: str) -> Document | None:
    """The asset at `url` (`aml://asset/…`)."""
    found: Document | None = world.store.get("asset", url[len(_ASSET) :]) if url.startswith(_ASSET) else None
    return found


def asset_url(asset: Document) -> str:
    """The address of an asset."""
    return f"{_ASSET}{asset['id']}"


def prefix_of(artifact: Mapping[str, Any]) -> str:
    """The path of one of an asset's artifacts, or of the folder that holds them."""
    return str(artifact.get("prefix") or artifact.get("id")).rstrip("/")


def register_uploads(world: World, path: str) -> bool:
    """Make artifacts of the blobs at or below a path, which a client uploaded to a datastore; False if there are none.

    Datastores and artifacts share one storage container here. So a model that one API version registered has its files
    in the other, too.
    """
    found = list(blob.names(world, CONTAINER, path))
    for name in found:
        places = dict(zip(("origin", "container", "path"), name.split("/", 2), strict=False))
        artifact = {"path": "", "container": "", **places, "createdTime": iso(world.now())}
        world.store.put("artifact", name, artifact)
    return bool(found)


def _key(name: str, version: int) -> str:
    return f"{name}:{version:010d}"
