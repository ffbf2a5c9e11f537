"""Container registries: the OCI distribution API for clients.

Azure container registries require a login with one of ARM's accounts (`accounts`); mcr.microsoft.com and other hosts
are public and read-only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from manifestgen.sandbox import accounts
from manifestgen.sandbox.error_response import registry_error
from manifestgen.sandbox.registry import attributes, images, uploads
from manifestgen.sandbox.registry import login as registry_login
from manifestgen.sandbox.registry.attributes import page
from manifestgen.sandbox.registry.login import DELETE, Unauthorized, check, check_catalog, host_of
from manifestgen.sandbox.world import World

HOSTS = (
    *("*.azurecr.io", "*.azurecr.cn", "*.azurecr.us", "mcr.microsoft.com"),
    *("registry-1.docker.io", "ghcr.io", "quay.io"),
)

# azure-containerregistry escapes the slashes.
_NAME = r"{name:[a-z0-9]+(?:(?:[._/-]+|%2F)[a-z0-9]+)*}"
_MAX_MANIFEST = 4 << 20

Handler = Callable[[World, web.Request], Awaitable[web.StreamResponse]]


def serves(world: World, host: str) -> bool:
    """Whether the registry exists; the name of a missing registry does not resolve."""
    return images.is_public(host) or accounts.registry_of_host(world, host) is not None


def create(world: World) -> web.Application:
    """Create the service's application."""
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
    add("GET", "/acr/v1/_catalog", _catalog)
    add("GET", f"/acr/v1/{_NAME}/_tags", attributes.tags)
    add("GET", f"/acr/v1/{_NAME}/_tags/{{reference}}", attributes.tag)
    add("DELETE", f"/acr/v1/{_NAME}/_tags/{{reference}}", attributes.delete_tag)
    add("GET", f"/acr/v1/{_NAME}/_manifests", attributes.manifests)
    add("GET", f"/acr/v1/{_NAME}/_manifests/{{reference}}", attributes.manifest)
    # Last, because their pattern matches the paths above as well.
    add("GET", f"/acr/v1/{_NAME}", attributes.repository)
    add("DELETE", f"/acr/v1/{_NAME}", attributes.delete_repository)
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
    add("POST", f"/v2/{_NAME}/blobs/uploads/", uploads.start)
    for method, handle in (
        ("PATCH", uploads.append),
        ("PUT", uploads.finish),
        ("GET", uploads.progress),
        ("DELETE", uploads.cancel),
    ):
        add(method, f"/v2/{_NAME}/blobs/uploads/{{upload}}", handle)
    return app


async def _version(world: World, request: web.Request) -> web.Response:
    check(world, request, "", accounts.READ)
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


async def _catalog(world: World, request: web.Request) -> web.Response:
    check_catalog(world, request)
    found, link = page(request, images.repositories(world, host_of(request)))
    return web.json_response({"repositories": found}, headers=link)


async def _tags(world: World, request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if not images.is_public(host_of(request)):
        check(world, request, name, _listing_right(request))
    found = images.tags(world, host_of(request), name)
    if found is None:
        return registry_error(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": name})
    some, link = page(request, found)
    return web.json_response({"name": name, "tags": some}, headers=link)


def _listing_right(request: web.Request) -> str:
    """Listing tags requires `metadata/read` with a direct login; a bearer token for `pull` may list them too."""
    direct = request.headers.get("Authorization", "").lower().startswith("basic")
    return accounts.METADATA if direct else accounts.READ


async def _get_manifest(world: World, request: web.Request) -> web.Response:
    name, reference = request.match_info["name"], request.match_info["reference"]
    check(world, request, name, accounts.READ)
    manifest = images.find_manifest(world, host_of(request), name, reference)
    if manifest is None:
        return registry_error(404, "MANIFEST_UNKNOWN", images.unknown_manifest(reference), detail={"Tag": reference})
    accepted = {part.partition(";")[0].strip() for part in ",".join(request.headers.getall("Accept", [])).split(",")}
    if manifest.media_type not in accepted:
        words = f"{images.unknown_manifest(reference)} with an accepted media type: it is {manifest.media_type}"
        return registry_error(404, "MANIFEST_UNKNOWN", words, detail={"Tag": reference})
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
        return registry_error(405, "UNSUPPORTED", "this registry is read-only")
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        digest = images.put_manifest(world, host, name, reference, media_type, await request.read())
    except images.InvalidManifest as error:
        return registry_error(400, error.code, str(error))
    headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


async def _delete_manifest(world: World, request: web.Request) -> web.Response:
    name, reference = request.match_info["name"], request.match_info["reference"]
    check(world, request, name, DELETE)
    if not images.delete_manifest(world, host_of(request), name, reference):
        return registry_error(404, "MANIFEST_UNKNOWN", images.unknown_manifest(reference), detail={"Tag": reference})
    return web.Response(status=202)


async def _get_blob(world: World, request: web.Request) -> web.StreamResponse:
    name, digest = request.match_info["name"], request.match_info["digest"]
    check(world, request, name, accounts.READ)
    if not images.has_blob(world, host_of(request), name, digest):
        return registry_error(404, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})
    headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
    return web.FileResponse(images.content_path(world, digest), headers=headers)
