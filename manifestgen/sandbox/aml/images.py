"""Azure ML's images, packages and operations in the sandbox.

kind           key            value
image          NAME:VERSION   the image, the version padded with zeros so that keys sort
image-version  NAME           the highest version ever assigned
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from manifestgen.sandbox import blob_sas
from manifestgen.sandbox.aml import build as aml_build
from manifestgen.sandbox.aml.artifacts import CONTAINER, artifact_file
from manifestgen.sandbox.aml.models import find_model
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

_IMAGE_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
# According to the grammar of Docker references.
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


def routes(world: World, workspace: str) -> list[web.RouteDef]:
    """The service's routes below a workspace's path."""
    service = _Images(world, f"/api{workspace}")
    base = f"/modelmanagement/v1.0{workspace}"
    return [
        web.post(base + "/images", service.create),
        web.get(base + "/images", service.list),
        web.get(base + "/images/{id}", service.get),
        web.patch(base + "/images/{id}", service.patch),
        web.delete(base + "/images/{id}", service.delete),
        web.post(base + "/packages", service.package),
        web.get(base + "/operations/{id}", service.operation),
    ]


class _Images:
    def __init__(self, world: World, location: str) -> None:
        self._world = world
        self._location = location

    async def create(self, request: web.Request) -> web.Response:
        """Start building an image that the service keeps a record of."""
        data = await body_of(request)
        name = data.get("name")
        if not isinstance(name, str) or not _IMAGE_NAME.fullmatch(name) or not 3 <= len(name) <= 32:
            raise bad_request("InvalidImageName", f"Image name '{name}' is invalid.")
        if data.get("imageType") != "Docker":
            raise bad_request("InvalidField", f"The imageType '{data.get('imageType')}' is not supported.")
        tags, properties = string_map(data, "kvTags"), string_map(data, "properties")
        models, assets = self._models(data), self._assets(data)
        runtime = data.get("targetRuntime")
        if not isinstance(runtime, dict) or not isinstance(runtime.get("properties"), dict):
            raise bad_request("MissingField", "The targetRuntime field is required.")
        files = [runtime["properties"].get(key) for key in ("condaEnvFile", "pipRequirements")]
        self._reject_missing_uploads([url for url in [*files, data.get("dockerFileUri")] if url])
        version = (self._world.store.get("image-version", name) or 0) + 1
        self._world.store.put("image-version", name, version)
        now = iso(self._world.now())
        build = aml_build.Build(
            id=str(uuid.uuid4()),
            kind="Image",
            image=_key(name, version),
            repository=name,
            tag=str(version),
            created=self._world.now(),
            assets=assets,
            models=models,
        )
        image = {
            "id": f"{name}:{version}",
            "name": name,
            "version": version,
            "description": data.get("description"),
            "kvTags": tags,
            "properties": properties,
            "createdTime": now,
            "modifiedTime": now,
            "createdBy": {"userObjectId": self._world.names.client_id, "userName": "sandbox"},
            "imageType": "Docker",
            "imageFlavor": data.get("imageFlavor") or "WebApiContainer",
            "modelIds": models,
            "driverProgram": data["driverProgram"],
            "assets": assets,
            "targetRuntime": {"targetArchitecture": "amd64", **runtime},
            "dockerFileUri": data.get("dockerFileUri"),
            "baseImage": data.get("baseImage"),
            "build": build.id,
        }
        self._world.store.put("image", build.image, image)
        conda = aml_build.conda_file(self._world, files[0]) if files[0] else {"dependencies": []}
        aml_build.start(self._world, build, conda, aml_build.entry_trouble(self._world, assets, None))
        return self._accepted(build)

    async def package(self, request: web.Request) -> web.Response:
        """Start building a package, whose image only the registry keeps."""
        data = await body_of(request)
        wanted = data.get("imageRequest")
        if data.get("packageType") != "DockerImage" or not isinstance(wanted, dict):
            raise bad_request("InvalidPackageRequest", "The sandbox builds packages of type DockerImage only.")
        models, assets = self._models(wanted), self._assets(wanted)
        environment = wanted.get("environment")
        python = environment.get("python") if isinstance(environment, dict) else None
        if not isinstance(environment, dict) or not isinstance(python, dict):
            raise bad_request("MissingField", "The environment field is required.")
        repository = data.get("imageName") or "package"
        tag = data.get("imageLabel") or iso(self._world.now())[:19].translate({ord(c): None for c in "-:T"})
        if not _REPOSITORY.fullmatch(repository) or not _TAG.fullmatch(tag):
            raise bad_request("InvalidPackageRequest", f"'{repository}:{tag}' is not a valid image name.")
        variables = string_map(environment, "environmentVariables")
        conda = python.get("condaDependencies")
        build = aml_build.Build(
            id=str(uuid.uuid4()),
            kind="PackageDockerImage",
            repository=repository,
            tag=tag,
            created=self._world.now(),
            variables=variables,
            assets=assets,
            models=models,
        )
        trouble = aml_build.entry_trouble(self._world, assets, variables.get("AZUREML_ENTRY_SCRIPT"))
        aml_build.start(self._world, build, conda, trouble or aml_build.server_trouble(conda))
        return self._accepted(build)

    def _models(self, data: Mapping[str, Any]) -> list[str]:
        ids = data.get("modelIds") or []
        if not isinstance(ids, list):
            raise bad_request("InvalidField", "The modelIds field must be a list.")
        for model_id in ids:
            if find_model(self._world, str(model_id)) is None:
                raise bad_request("ModelNotFound", f"Model with id {model_id} was not found.")
        return ids

    def _assets(self, data: Mapping[str, Any]) -> list[Document]:
        assets = data.get("assets")
        if not isinstance(assets, list) or not all(
            isinstance(asset, dict) and isinstance(asset.get("id"), str) and isinstance(asset.get("url"), str)
            for asset in assets
        ):
            raise bad_request("InvalidField", "Each asset must have an id and a url.")
        self._reject_missing_uploads([asset["url"] for asset in assets])
        if data.get("driverProgram") not in {asset["id"] for asset in assets}:
            raise bad_request("DriverNotFound", f"The driver '{data.get('driverProgram')}' is not among the assets.")
        return [{"mimeType": None, "unpack": False, **asset} for asset in assets]

    def _reject_missing_uploads(self, urls: Sequence[str]) -> None:
        for url in urls:
            if artifact_file(self._world, url) is None:
                raise bad_request("ArtifactNotFound", f"The artifact '{url}' has no content.")

    def _accepted(self, build: aml_build.Build) -> web.Response:
        return web.Response(status=202, headers={"Operation-Location": f"{self._location}/operations/{build.id}"})

    async def list(self, request: web.Request) -> web.Response:
        """Matching images, newest first unless ordered otherwise."""
        query = request.query
        prefix = f"{query['name']}:" if query.get("name") else ""
        images = [self._shown(image, request) for _, image in self._world.store.items("image", prefix=prefix)]
        return web.json_response(listed(request, images, lambda image: _matches(image, query)))

    async def get(self, request: web.Request) -> web.Response:
        """One image, by `name:version`."""
        return web.json_response(self._shown(self._found(request), request))

    async def patch(self, request: web.Request) -> web.Response:
        """Replace the tags, add properties."""
        image = self._found(request)
        for step in await patch_of(request):
            field = str(step["path"]).lstrip("/")
            if field not in ("kvTags", "properties") or step["op"] not in ("add", "replace"):
                raise bad_request("InvalidPatch", f"The path '{step['path']}' cannot be changed by '{step['op']}'.")
            values = string_map({field: step.get("value")}, field)
            if field == "properties" and any(image[field].get(key, text) != text for key, text in values.items()):
                raise bad_request("PropertiesImmutable", "Properties are immutable.")
            image[field] = {**image[field], **values} if field == "properties" else values
        image["modifiedTime"] = iso(self._world.now())
        self._world.store.put("image", _key(image["name"], image["version"]), image)
        return web.json_response(self._shown(image, request))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the record of an image; the image in the registry stays."""
        image = self._found(request)
        self._world.store.delete("image", _key(image["name"], image["version"]))
        return web.Response(status=200)

    async def operation(self, request: web.Request) -> web.Response:
        """The state of a build."""
        build = aml_build.find(self._world, request.match_info["id"])
        if build is None:
            raise not_found("OperationNotFound", f"Operation with id {request.match_info['id']} was not found.")
        result: Document = {
            "id": build.id,
            "operationType": build.kind,
            "state": build.state,
            "createdTime": iso(build.created),
            "endTime": None if build.ended is None else iso(build.ended),
            "operationLog": self._log_url(build),
        }
        if build.image:
            name, _, version = build.image.rpartition(":")
            result["resourceLocation"] = f"{self._location}/images/{name}:{int(version)}"
        elif build.state == "Succeeded":
            result["resourceLocation"] = aml_build.reference(self._world, build)
        if build.state == "Failed":
            result["error"] = _error(build)
        return web.json_response(result)

    def _found(self, request: web.Request) -> Document:
        name, _, version = request.match_info["id"].rpartition(":")
        image: Document | None = None
        if version.isdecimal():
            image = self._world.store.get("image", _key(name, int(version)))
        if image is None:
            raise not_found("ImageNotFound", f"Image with id {request.match_info['id']} was not found.")
        return image

    def _shown(self, image: Document, request: web.Request) -> Document:
        build = aml_build.find(self._world, image["build"])
        assert build is not None  # noqa: S101 - an image is only made with its build
        shown = {key: value for key, value in image.items() if key != "build"}
        shown["creationState"] = build.state
        if build.state == "Failed":
            shown["error"] = _error(build)
        shown["imageLocation"] = aml_build.reference(self._world, build) if build.state == "Succeeded" else None
        shown["imageBuildLogUri"] = self._log_url(build)
        shown["generatedDockerFileUri"] = None
        if request.query.get("expand", "").lower() == "true":
            models = [find_model(self._world, model_id) for model_id in image["modelIds"]]
            shown["modelDetails"] = [model for model in models if model is not None]
        return shown

    def _log_url(self, build: aml_build.Build) -> str:
        return blob_sas.sas_url(self._world, CONTAINER, build.log_path, "r")


def _error(build: aml_build.Build) -> Document:
    return {"code": "BadRequest", "statusCode": 400, "message": build.error, "details": []}


def _matches(image: Document, query: Mapping[str, str]) -> bool:
    return (
        ("version" not in query or str(image["version"]) == query["version"])
        and ("modelId" not in query or query["modelId"] in image["modelIds"])
        and (
            "modelName" not in query or any(item.rpartition(":")[0] == query["modelName"] for item in image["modelIds"])
        )
    )


def _key(name: str, version: int) -> str:
    return f"{name}:{version:010d}"
