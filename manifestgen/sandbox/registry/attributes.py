"""Azure Container Registry's own API, `/acr/v1`: repositories, manifests and tags with their attributes.

az and azure-containerregistry list images with it. Changing attributes (locking an image) is not supported.
Source: learn.microsoft.com/rest/api/containerregistry.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.error_response import registry_error
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.registry.login import DELETE, check, host_of
from manifestgen.sandbox.world import World

_CHANGEABLE = dict.fromkeys(("deleteEnabled", "writeEnabled", "readEnabled", "listEnabled"), True)


class _Repository:
    """One repository in a request's registry. Raises LookupError if there is no such repository."""

    def __init__(self, world: World, request: web.Request) -> None:
        self.world, self.host, self.name = world, host_of(request), request.match_info["name"]
        if self.name not in images.repositories(world, self.host):
            raise LookupError(self.name)
        self.tags = images.tag_digests(world, self.host, self.name)
        self.manifests = {found.digest: found for found in images.manifests(world, self.host, self.name)}

    def view(self, **content: Any) -> dict[str, Any]:
        """A response about this repository."""
        return {"registry": self.host, "imageName": self.name, **content}

    def times(self, *digests: str) -> dict[str, str]:
        """When the first of these manifests was pushed, and the last."""
        pushed = sorted(found.created for digest in digests if (found := self.manifests.get(digest)))
        return {"createdTime": _iso(pushed[0]), "lastUpdateTime": _iso(pushed[-1])} if pushed else {}

    def tag(self, name: str) -> dict[str, Any]:
        """A tag's attributes."""
        digest = self.tags[name]
        attributes = {"name": name, "digest": digest, **self.times(digest), "signed": False}
        return {**attributes, "changeableAttributes": _CHANGEABLE}

    def manifest(self, digest: str) -> dict[str, Any]:
        """A manifest's attributes."""
        found = self.manifests[digest]
        data = json.loads(found.path.read_bytes())
        parts = [data["config"], *data["layers"]] if found.media_type in images.MANIFESTS else []
        platform = images.platforms_of(self.world, self.host, self.name, found)[0].split("/") if parts else []
        return {
            "digest": digest,
            "imageSize": found.size + sum(int(part["size"]) for part in parts),
            **self.times(digest),
            **dict(zip(("os", "architecture"), platform, strict=False)),
            "mediaType": found.media_type,
            **({"configMediaType": data["config"]["mediaType"]} if parts else {}),
            **({} if parts else {"references": [_reference(entry) for entry in data["manifests"]]}),
            "tags": [name for name, tagged in self.tags.items() if tagged == digest],
            "changeableAttributes": _CHANGEABLE,
        }


def _reference(entry: Mapping[str, Any]) -> dict[str, Any]:
    platform = entry.get("platform", {})
    return {"digest": entry["digest"], "architecture": platform.get("architecture"), "os": platform.get("os")}


_Handler = Callable[[World, web.Request], Awaitable[web.Response]]


def _of_repository(action: str) -> Callable[[Callable[[web.Request, _Repository], Awaitable[web.Response]]], _Handler]:
    """A handler for requests that are about a whole repository, of a caller who may do this to it."""

    def decorate(handle: Callable[[web.Request, _Repository], Awaitable[web.Response]]) -> _Handler:
        @functools.wraps(handle)
        async def handler(world: World, request: web.Request) -> web.Response:
            check(world, request, request.match_info["name"], action)
            try:
                found = _Repository(world, request)
            except LookupError:
                return _unknown_name(request)
            return await handle(request, found)

        return handler

    return decorate


@_of_repository(accounts.METADATA)
async def repository(request: web.Request, found: _Repository) -> web.Response:
    """A repository's attributes."""
    counts = {"manifestCount": len(found.manifests), "tagCount": len(found.tags)}
    times = found.times(*found.manifests)
    return web.json_response(found.view(**times, **counts, changeableAttributes=_CHANGEABLE))


@_of_repository(DELETE)
async def delete_repository(request: web.Request, found: _Repository) -> web.Response:
    """Delete a repository with all that it contains."""
    images.delete_repository(found.world, found.host, found.name)
    deleted = {"manifestsDeleted": list(found.manifests), "tagsDeleted": list(found.tags)}
    return web.json_response(deleted, status=202)


@_of_repository(accounts.METADATA)
async def tags(request: web.Request, found: _Repository) -> web.Response:
    """The tags of a repository, or those of one manifest."""
    digest = request.query.get("digest")
    some, link = page(request, [name for name, tagged in found.tags.items() if digest in (None, tagged)])
    listed = _by_time(request, [found.tag(name) for name in some])
    return web.json_response(found.view(tags=listed), headers=link)


async def tag(world: World, request: web.Request) -> web.Response:
    """One tag."""
    check(world, request, request.match_info["name"], accounts.METADATA)
    try:
        found = _Repository(world, request)
        return web.json_response(found.view(tag=found.tag(request.match_info["reference"])))
    except LookupError:
        return _unknown_tag(request)


async def delete_tag(world: World, request: web.Request) -> web.Response:
    """Delete a tag, and no manifest."""
    name, reference = request.match_info["name"], request.match_info["reference"]
    check(world, request, name, DELETE)
    if reference not in images.tag_digests(world, host_of(request), name):
        return _unknown_tag(request)
    images.delete_manifest(world, host_of(request), name, reference)
    return web.Response(status=202)


@_of_repository(accounts.METADATA)
async def manifests(request: web.Request, found: _Repository) -> web.Response:
    """The manifests of a repository."""
    some, link = page(request, sorted(found.manifests))
    listed = _by_time(request, [found.manifest(digest) for digest in some])
    return web.json_response(found.view(manifests=listed), headers=link)


async def manifest(world: World, request: web.Request) -> web.Response:
    """One manifest, by its digest."""
    check(world, request, request.match_info["name"], accounts.METADATA)
    reference = request.match_info["reference"]
    try:
        found = _Repository(world, request)
        return web.json_response(found.view(manifest=found.manifest(reference)))
    except LookupError:
        words = images.unknown_manifest(reference)
        return registry_error(404, "MANIFEST_UNKNOWN", words, detail={"Digest": reference})


def page(request: web.Request, items: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The part of a list that a request asks for with `last` and `n`, and the header that leads to the next part."""
    after = request.query.get("last", "")
    rest = [item for item in items if item > after]
    limit = request.query.get("n", "")
    if not limit.isdecimal() or len(rest) <= int(limit):
        return rest, {}
    some = rest[: int(limit)]
    link = f'<{request.path}?last={some[-1] if some else after}&n={limit}>; rel="next"'
    return some, {"Link": link}


def _by_time(request: web.Request, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    order = request.query.get("orderby", "")
    if order not in ("timedesc", "timeasc"):
        return listed
    return sorted(listed, key=lambda entry: str(entry.get("lastUpdateTime")), reverse=order == "timedesc")


def _unknown_name(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    return registry_error(404, "NAME_UNKNOWN", f'repository "{name}" is not found', detail={"name": name})


def _unknown_tag(request: web.Request) -> web.Response:
    reference = request.match_info["reference"]
    return registry_error(404, "TAG_UNKNOWN", f'the tag "{reference}" is not found', detail={"tag": reference})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
