"""Uploads of layers and configurations to a registry, whole or in chunks.

Source: "Pushing blobs" in github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.error_response import registry_error
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.registry.login import check, host_of
from manifestgen.sandbox.world import World

_CHUNK = 1 << 16


async def start(world: World, request: web.Request) -> web.Response:
    """Begin an upload, mount a layer of another repository, or accept a whole layer at once."""
    name, host = request.match_info["name"], host_of(request)
    check(world, request, name, accounts.WRITE)
    if images.is_public(host):
        return registry_error(405, "UNSUPPORTED", "this registry is read-only")
    mount, source = request.query.get("mount"), request.query.get("from")
    if mount and source and images.has_blob(world, host, source, mount):
        check(world, request, source, accounts.READ)
        images.link_blob(world, host, name, mount)
        return _stored(name, mount)
    upload = str(uuid.uuid4())
    world.store.put("image-upload", upload, {"host": host, "name": name})
    path = _upload_path(world, upload)
    path.touch()
    if "digest" in request.query:
        return await _complete(world, request, upload)
    return _uploading(name, upload, 0)


async def append(world: World, request: web.Request) -> web.Response:
    """Accept the next chunk of an upload."""
    name, upload = request.match_info["name"], request.match_info["upload"]
    check(world, request, name, accounts.WRITE)
    if not _is_upload(world, request):
        return _unknown_upload(upload)
    path = _upload_path(world, upload)
    expected = path.stat().st_size
    start = request.headers.get("Content-Range", f"{expected}-").removeprefix("bytes ").partition("-")[0]
    if start != str(expected):
        return web.Response(status=416, headers={"Range": f"0-{max(expected - 1, 0)}"})
    await _receive(request, path)
    return _uploading(name, upload, path.stat().st_size)


async def finish(world: World, request: web.Request) -> web.Response:
    """Accept the last chunk, and verify the digest of the whole."""
    check(world, request, request.match_info["name"], accounts.WRITE)
    upload = request.match_info["upload"]
    return await _complete(world, request, upload) if _is_upload(world, request) else _unknown_upload(upload)


async def progress(world: World, request: web.Request) -> web.Response:
    """The progress of an upload."""
    name, upload = request.match_info["name"], request.match_info["upload"]
    check(world, request, name, accounts.WRITE)
    if not _is_upload(world, request):
        return _unknown_upload(upload)
    response = _uploading(name, upload, _upload_path(world, upload).stat().st_size)
    response.set_status(204)
    return response


async def cancel(world: World, request: web.Request) -> web.Response:
    """Cancel an upload."""
    check(world, request, request.match_info["name"], accounts.WRITE)
    upload = request.match_info["upload"]
    if not _is_upload(world, request):
        return _unknown_upload(upload)
    _forget_upload(world, upload)
    return web.Response(status=204)


async def _complete(world: World, request: web.Request, upload: str) -> web.Response:
    name, wanted = request.match_info["name"], request.query.get("digest", "")
    path = _upload_path(world, upload)
    await _receive(request, path)
    actual = await asyncio.to_thread(_digest_of_file, path)
    if actual != wanted:
        _forget_upload(world, upload)
        return registry_error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    path.replace(images.content_path(world, actual))
    images.link_blob(world, host_of(request), name, actual)
    _forget_upload(world, upload)
    return _stored(name, actual)


async def _receive(request: web.Request, path: Path) -> None:
    """Stream the body to the end of a file."""
    with path.open("ab") as file:
        async for chunk in request.content.iter_chunked(_CHUNK):
            file.write(chunk)


def _digest_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _upload_path(world: World, upload: str) -> Path:
    folder = world.blobs / "registry-uploads"
    folder.mkdir(exist_ok=True)
    return folder / upload


def _is_upload(world: World, request: web.Request) -> bool:
    known = world.store.get("image-upload", request.match_info["upload"])
    return bool(known == {"host": host_of(request), "name": request.match_info["name"]})


def _forget_upload(world: World, upload: str) -> None:
    world.store.delete("image-upload", upload)
    _upload_path(world, upload).unlink(missing_ok=True)


def _unknown_upload(upload: str) -> web.Response:
    return registry_error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", detail={"uuid": upload})


def _stored(name: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


def _uploading(name: str, upload: str, size: int) -> web.Response:
    return web.Response(
        status=202,
        headers={
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": f"0-{max(size - 1, 0)}",
        },
    )
