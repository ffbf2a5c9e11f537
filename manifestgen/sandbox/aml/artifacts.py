"""Azure ML's artifact service in the sandbox: it tells clients where to upload files and where to read them.

An artifact is `ORIGIN/CONTAINER/PATH`; its bytes are the blob of the same path in one storage container.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from manifestgen.sandbox import blob, blob_sas
from manifestgen.sandbox.aml.responses import iso, service_error
from manifestgen.sandbox.world import World

CONTAINER = "azureml"

_MAX_PATHS = 500
_SCHEME = "aml://artifact/"


def artifact_file(world: World, url: str) -> Path | None:
    """The file of the artifact at `url` (`aml://artifact/…`); None if it was never uploaded."""
    return blob.local_file(world, CONTAINER, url[len(_SCHEME) :]) if url.startswith(_SCHEME) else None


def uploaded(world: World, prefix: str) -> bool:
    """Whether there are artifacts at or below this prefix, and all of them were uploaded."""
    announced = [key for key, _ in world.store.items("artifact", prefix=prefix) if key[len(prefix) :][:1] in ("", "/")]
    return bool(announced) and all(blob.exists(world, CONTAINER, key) for key in announced)


def routes(world: World, workspace: str) -> list[web.RouteDef]:
    """The service's routes below a workspace's path."""
    service = _Artifacts(world)
    base = f"/artifact/v2.0{workspace}/artifacts"
    return [
        web.post(base + "/batch/metadata/{origin}/{container}", service.announce),
        web.get(base + "/metadata/{origin}/{container}/{path:.+}", service.metadata),
        web.get(base + "/contentinfo/{origin}/{container}/{path:.+}", service.content_information),
        web.get(base + "/prefix/contentinfo/{origin}/{container}/{path:.*}", service.below),
    ]


class _Artifacts:
    def __init__(self, world: World) -> None:
        self._world = world

    async def announce(self, request: web.Request) -> web.Response:
        """Create empty artifacts, and return URLs to upload their content to."""
        try:
            paths = [item["path"] for item in json.loads(await request.read())["paths"]]
        except (ValueError, KeyError, TypeError):
            return service_error(self._world, 400, "UserError", "The request body must hold paths.")
        if not paths or len(paths) > _MAX_PATHS:
            return service_error(
                self._world, 400, "UserError", f"1 to {_MAX_PATHS} paths are expected, not {len(paths)}."
            )
        result: dict[str, dict[str, Any]] = {"artifacts": {}, "artifactContentInformation": {}, "errors": {}}
        for path in paths:
            if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
                return service_error(self._world, 400, "UserError", f"Invalid artifact path {path!r}.")
            artifact = {**_split(request), "path": path, "createdTime": iso(self._world.now())}
            artifact_id = f"{artifact['origin']}/{artifact['container']}/{path}"
            self._world.store.put("artifact", artifact_id, artifact)
            result["artifacts"][path] = self._artifact(artifact_id, artifact)
            result["artifactContentInformation"][path] = self._content(artifact_id, artifact, "rcw")
        return web.json_response(result)

    async def metadata(self, request: web.Request) -> web.Response:
        """One artifact."""
        artifact_id, artifact = self._find(request)
        return (
            self._missing(artifact_id) if artifact is None else web.json_response(self._artifact(artifact_id, artifact))
        )

    async def content_information(self, request: web.Request) -> web.Response:
        """The URL to read one artifact from."""
        artifact_id, artifact = self._find(request)
        if artifact is None:
            return self._missing(artifact_id)
        return web.json_response(self._content(artifact_id, artifact, "r"))

    async def below(self, request: web.Request) -> web.Response:
        """The URLs to read all artifacts of a container from whose path begins with a prefix."""
        prefix, _ = self._find(request)
        values = [self._content(key, value, "r") for key, value in self._world.store.items("artifact", prefix=prefix)]
        return web.json_response({"value": values, "continuationToken": None, "nextLink": None})

    def _find(self, request: web.Request) -> tuple[str, dict[str, Any] | None]:
        place = _split(request)
        artifact_id = f"{place['origin']}/{place['container']}/{request.match_info['path']}"
        return artifact_id, self._world.store.get("artifact", artifact_id)

    def _missing(self, artifact_id: str) -> web.Response:
        return service_error(self._world, 404, "UserError", f"Artifact {artifact_id} was not found.")

    def _artifact(self, artifact_id: str, artifact: dict[str, Any]) -> dict[str, Any]:
        data_path = {"dataStoreName": "workspaceartifactstore", "relativePath": artifact_id}
        return {"artifactId": artifact_id, **artifact, "etag": None, "dataPath": data_path}

    def _content(self, artifact_id: str, artifact: dict[str, Any], permissions: str) -> dict[str, Any]:
        place = {key: artifact[key] for key in ("origin", "container", "path")}
        return {"contentUri": blob_sas.sas_url(self._world, CONTAINER, artifact_id, permissions), **place}


def _split(request: web.Request) -> dict[str, str]:
    return {key: request.match_info[key] for key in ("origin", "container")}
