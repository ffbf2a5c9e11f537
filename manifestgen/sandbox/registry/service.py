"""Container registries: the OCI distribution API for clients, and what builds and simulated devices do in-process.

Azure container registries ask for a login, with the accounts that ARM knows (`accounts`); mcr.microsoft.com and other
hosts are public and read-only.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.refusal import registry_refusal
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.registry import login as registry_login
from manifestgen.sandbox.registry.login import Unauthorized, check, host_of
from manifestgen.sandbox.world import World

HOSTS = ("*.azurecr.io", "*.azurecr.cn", "*.azurecr.us", "mcr.microsoft.com", "ghcr.io", "quay.io")

_NAME = r"{name:[a-z0-9]+(?:[._/-]+[a-z0-9]+)*}"
_MAX_MANIFEST = 4 << 20
_CHUNK = 1 << 16

# What follows the registry in an image's name as Docker reads it: the grammar in github.com/distribution/reference.
_REFERENCE = re.compile(
    r"(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)

Handler = Callable[[World, web.Request], Awaitable[web.StreamResponse]]


def serves(world: World, host: str) -> bool:
    """Whether there is such a registry: the name of any other does not resolve."""
    return images.is_public(host) or accounts.registry_of_host(world, host) is not None


def create(world: World) -> web.Application:
    """The service."""
    app = web.Application(client_max_size=_MAX_MANIFEST)

    def add(method: str, path: str, handle: Handler) -> None:
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await handle(world, request)
            except Unauthorized as error:
                return error.response

        app.router.add_route(method, path, handler)

    add("GET", "/v2/", _version)
    add("GET", "/v2/_catalog", _catalog)
    for method in ("GET", "POST"):
        add(method, "/oauth2/token", registry_login.token)
    add("POST", "/oauth2/exchange", registry_login.exchange)
    add("GET", f"/v2/{_NAME}/tags/list", _tags)
    for method, handle in (
        ("GET", _get_manifest),
        ("HEAD", _get_manifest),
        ("PUT", _put_manifest),
        ("DELETE", _delete_manifest),
    ):
        add(method, f"/v2/{_NAME}/manifests/{{reference}}", handle)
    for method in ("GET", "HEAD"):
        add(method, f"/v2/{_NAME}/blobs/{{digest:sha256:[0-9a-f]{{64}}}}", _get_blob)
    add("POST", f"/v2/{_NAME}/blobs/uploads/", _start_upload)
    for method, handle in (("PATCH", _append), ("PUT", _finish), ("GET", _progress), ("DELETE", _cancel)):
        add(method, f"/v2/{_NAME}/blobs/uploads/{{upload}}", handle)
    return app


def push_image(
    world: World,
    repository: str,
    tag: str,
    *,
    labels: Mapping[str, str] | None = None,
    architecture: str = "amd64",
    host: str = "",
) -> str:
    """Put an image without content into a registry and return its digest.

    Args:
        world: where to.
        repository: such as `scorer` or `azureml/scorer`.
        tag: the image's tag.
        labels: the image's labels.
        architecture: such as `amd64`, or with its variant as in `arm/v7`.
        host: the registry; the sandbox's own container registry by default.
    """
    name, _, variant = architecture.partition("/")
    return images.make_image(
        world, host or world.names.login_server, repository, tag, platforms=[(name, variant)], labels=labels
    )


@dataclass(frozen=True)
class PullResult:
    """What came of a device's `docker pull`.

    Attributes:
        error: what Docker says if it failed; empty otherwise.
        digest: of the image, or of its index.
        platforms: the platforms it is for, as `linux/amd64`.
        labels: of the image.
    """

    error: str = ""
    digest: str = ""
    platforms: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the image is there now."""
        return not self.error


async def pull(world: World, image: str, credentials: Mapping[str, str] | None) -> PullResult:
    """Pull an image as a device's container engine does.

    Args:
        world: where the registries are.
        image: as the deployment manifest names it.
        credentials: `username` and `password` to log in with, or None to pull without. Which of the manifest's
            credentials belong to this image is for the caller to find out.
    """
    first, slash, rest = image.partition("/")
    # Docker's rule for what is a registry and what is the first part of a repository on Docker Hub.
    has_host = bool(slash) and (re.search(r"[.:]", first) is not None or first == "localhost")
    host, name = (first.lower(), rest) if has_host else ("docker.io", image)
    match = _REFERENCE.fullmatch(name)
    if match is None:
        upper = _REFERENCE.fullmatch(name.lower()) is not None
        words = f"repository name ({name.partition(':')[0]}) must be lowercase" if upper else ""
        return PullResult(f"invalid reference format: {words}" if upper else "invalid reference format")
    repository, reference = match["repository"], match["digest"] or match["tag"] or "latest"
    if images.is_public(host):
        return _pull_public(world, host, repository, reference)
    if accounts.registry_of_host(world, host) is None:
        return PullResult(f'Get "https://{host}/v2/": dial tcp: lookup {host}: no such host')
    access = None
    if credentials:
        access = accounts.log_in(world, host, credentials.get("username", ""), credentials.get("password", ""))
    if access is None or not access.allows(repository, accounts.READ):
        return PullResult(
            f'Head "https://{host}/v2/{repository}/manifests/{reference}": unauthorized: authentication required, '
            "visit https://aka.ms/acr/authorization for more information."
        )
    return _pulled(world, host, repository, reference)


def _pull_public(world: World, host: str, repository: str, reference: str) -> PullResult:
    if host != "mcr.microsoft.com" and images.tags(world, host, repository) is None:
        if host != "docker.io" and not images.repositories(world, host):
            return PullResult(f'Get "https://{host}/v2/": dial tcp: lookup {host}: no such host')
        return PullResult(
            f"pull access denied for {repository}, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied"
        )
    return _pulled(world, host, repository, reference)


def _pulled(world: World, host: str, repository: str, reference: str) -> PullResult:
    manifest = images.find_manifest(world, host, repository, reference)
    if manifest is None:
        mark = "@" if reference.startswith("sha256:") else ":"
        return PullResult(
            f"manifest for {host}/{repository}{mark}{reference} not found: manifest unknown: "
            f"{_unknown_manifest(reference)}"
        )
    return PullResult(
        digest=manifest.digest,
        platforms=tuple(images.platforms_of(world, host, repository, manifest)),
        labels=images.labels_of(world, host, repository, manifest),
    )


def _unknown_manifest(reference: str) -> str:
    if images.DIGEST.fullmatch(reference):
        return f"manifest {reference} is not found"
    return f'manifest tagged by "{reference}" is not found'


async def _version(world: World, request: web.Request) -> web.Response:
    check(world, request, "", accounts.READ)
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


async def _catalog(world: World, request: web.Request) -> web.Response:
    check(world, request, "", accounts.READ)
    found, link = _page(request, images.repositories(world, host_of(request)))
    return web.json_response({"repositories": found}, headers=link)


async def _tags(world: World, request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if not images.is_public(host_of(request)):
        check(world, request, name, _listing_right(request))
    found = images.tags(world, host_of(request), name)
    if found is None:
        return registry_refusal(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": name})
    some, link = _page(request, found)
    return web.json_response({"name": name, "tags": some}, headers=link)


def _listing_right(request: web.Request) -> str:
    """Listing tags takes `metadata/read` of who logs in directly; a bearer token for `pull` may list them too."""
    direct = request.headers.get("Authorization", "").lower().startswith("basic")
    return accounts.METADATA if direct else accounts.READ


def _page(request: web.Request, items: list[str]) -> tuple[list[str], dict[str, str]]:
    after = request.query.get("last", "")
    rest = [item for item in items if item > after]
    limit = request.query.get("n", "")
    if not limit.isdecimal() or len(rest) <= int(limit):
        return rest, {}
    some = rest[: int(limit)]
    link = f'<{request.path}?last={some[-1] if some else after}&n={limit}>; rel="next"'
    return some, {"Link": link}


async def _get_manifest(world: World, request: web.Request) -> web.Response:
    name, reference = request.match_info["name"], request.match_info["reference"]
    check(world, request, name, accounts.READ)
    manifest = images.find_manifest(world, host_of(request), name, reference)
    if manifest is None:
        return registry_refusal(404, "MANIFEST_UNKNOWN", _unknown_manifest(reference), detail={"Tag": reference})
    accepted = {part.partition(";")[0].strip() for part in ",".join(request.headers.getall("Accept", [])).split(",")}
    if manifest.media_type not in accepted:
        words = f"{_unknown_manifest(reference)} with an accepted media type: it is {manifest.media_type}"
        return registry_refusal(404, "MANIFEST_UNKNOWN", words, detail={"Tag": reference})
    return web.Response(
        body=manifest.path.read_bytes(),
        headers={
            "Content-Type": manifest.media_type,
            "Docker-Content-Digest": manifest.digest,
            "Docker-Distribution-Api-Version": "registry/2.0",
            "ETag": f'"{manifest.digest}"',
        },
    )


async def _put_manifest(world: World, request: web.Request) -> web.Response:
    name, reference, host = request.match_info["name"], request.match_info["reference"], host_of(request)
    check(world, request, name, accounts.WRITE)
    if images.is_public(host):
        return registry_refusal(405, "UNSUPPORTED", "this registry is read-only")
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        digest = images.put_manifest(world, host, name, reference, media_type, await request.read())
    except images.InvalidManifest as error:
        return registry_refusal(400, error.code, str(error))
    headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


async def _delete_manifest(world: World, request: web.Request) -> web.Response:
    name, reference = request.match_info["name"], request.match_info["reference"]
    check(world, request, name, "content/delete")
    if not images.delete_manifest(world, host_of(request), name, reference):
        return registry_refusal(404, "MANIFEST_UNKNOWN", _unknown_manifest(reference), detail={"Tag": reference})
    return web.Response(status=202)


async def _get_blob(world: World, request: web.Request) -> web.StreamResponse:
    name, digest = request.match_info["name"], request.match_info["digest"]
    check(world, request, name, accounts.READ)
    if not images.has_blob(world, host_of(request), name, digest):
        return registry_refusal(404, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})
    headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
    return web.FileResponse(images.content_path(world, digest), headers=headers)


async def _start_upload(world: World, request: web.Request) -> web.Response:
    name, host = request.match_info["name"], host_of(request)
    check(world, request, name, accounts.WRITE)
    if images.is_public(host):
        return registry_refusal(405, "UNSUPPORTED", "this registry is read-only")
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


async def _append(world: World, request: web.Request) -> web.Response:
    name, upload = request.match_info["name"], request.match_info["upload"]
    check(world, request, name, accounts.WRITE)
    if not _is_upload(world, request):
        return _no_upload(upload)
    path = _upload_path(world, upload)
    expected = path.stat().st_size
    start = request.headers.get("Content-Range", f"{expected}-").removeprefix("bytes ").partition("-")[0]
    if start != str(expected):
        return web.Response(status=416, headers={"Range": f"0-{max(expected - 1, 0)}"})
    await _receive(request, path)
    return _uploading(name, upload, path.stat().st_size)


async def _finish(world: World, request: web.Request) -> web.Response:
    check(world, request, request.match_info["name"], accounts.WRITE)
    upload = request.match_info["upload"]
    return await _complete(world, request, upload) if _is_upload(world, request) else _no_upload(upload)


async def _progress(world: World, request: web.Request) -> web.Response:
    name, upload = request.match_info["name"], request.match_info["upload"]
    check(world, request, name, accounts.WRITE)
    if not _is_upload(world, request):
        return _no_upload(upload)
    response = _uploading(name, upload, _upload_path(world, upload).stat().st_size)
    response.set_status(204)
    return response


async def _cancel(world: World, request: web.Request) -> web.Response:
    check(world, request, request.match_info["name"], accounts.WRITE)
    upload = request.match_info["upload"]
    if not _is_upload(world, request):
        return _no_upload(upload)
    _forget_upload(world, upload)
    return web.Response(status=204)


async def _complete(world: World, request: web.Request, upload: str) -> web.Response:
    name, wanted = request.match_info["name"], request.query.get("digest", "")
    path = _upload_path(world, upload)
    await _receive(request, path)
    actual = await asyncio.to_thread(_digest_of_file, path)
    if actual != wanted:
        _forget_upload(world, upload)
        return registry_refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    path.replace(images.content_path(world, actual))
    images.link_blob(world, host_of(request), name, actual)
    _forget_upload(world, upload)
    return _stored(name, actual)


async def _receive(request: web.Request, path: Path) -> None:
    """Append the body to a file, without ever holding it whole."""
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


def _no_upload(upload: str) -> web.Response:
    return registry_refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", detail={"uuid": upload})


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
