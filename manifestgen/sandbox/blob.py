r"""The sandbox's Blob Storage, for which Azure ML and ACR Tasks issue SAS URLs.

Clients put block blobs whole or block by block, and read them whole or by range; logs are append blobs. Each request
has a service SAS, whose signature, times and permissions are checked. Errors, headers and rules follow the Blob
service's REST reference: "Put Blob", "Put Block", "Put Block List", "Get Blob" and "Create a service SAS". Bodies are
streamed to disk.

    kind   key                    value
    blob   CONTAINER/PATH         {"file", "size", "md5", "type", "etag", "modified", "appended", "metadata"}
    block  CONTAINER/PATH\nID     {"file", "size"}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import uuid
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from aiohttp import web

from manifestgen.sandbox import blob_sas as sas
from manifestgen.sandbox.blob_containers import list_blobs
from manifestgen.sandbox.world import World

HOSTS = ("*.blob.core.windows.net",)


_CHUNK = 1 << 16
_MAX_PUT = 5000 << 20  # bytes that Put Blob accepts, "Scalability targets for Blob Storage"
_MAX_BLOCKS = 50_000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def exists(world: World, container: str, path: str) -> bool:
    """Whether the blob was uploaded."""
    return world.store.get("blob", f"{container}/{path}") is not None


def local_file(world: World, container: str, path: str) -> Path | None:
    """The file that holds the blob's bytes."""
    blob = world.store.get("blob", f"{container}/{path}")
    return None if blob is None else _folder(world) / blob["file"]


def names(world: World, container: str, prefix: str) -> Iterable[str]:
    """Paths of the blobs below `prefix` (a whole path, or a folder)."""
    start = len(container) + 1
    return (
        key[start:]
        for key, _ in world.store.items("blob", prefix=f"{container}/{prefix}")
        if key[start + len(prefix) :][:1] in ("", "/")
    )


def append(world: World, container: str, path: str, text: str) -> None:
    """Append text to a blob, creating the blob if it is missing."""
    key = f"{container}/{path}"
    blob = world.store.get("blob", key)
    name = uuid.uuid4().hex if blob is None else blob["file"]
    with (_folder(world) / name).open("ab") as file:
        file.write(text.encode())
        size = file.tell()
    document = _document(world, name, size, None, "text/plain; charset=utf-8")
    metadata = {} if blob is None else blob.get("metadata", {})
    world.store.put("blob", key, {**document, "appended": True, "metadata": metadata})


def put(world: World, container: str, path: str, content: bytes) -> None:
    """Write a whole blob, as a device of the sandbox does; whether it may has been checked."""
    _folder(world).mkdir(exist_ok=True)
    name = uuid.uuid4().hex
    (_folder(world) / name).write_bytes(content)
    document = _document(world, name, len(content), None, "application/octet-stream")
    world.store.put("blob", f"{container}/{path}", document)


def annotate(world: World, container: str, path: str, metadata: Mapping[str, str]) -> None:
    """Set a blob's metadata, creating an empty append blob if it is missing."""
    if not exists(world, container, path):
        append(world, container, path, "")
    blob = world.store.get("blob", f"{container}/{path}")
    world.store.put("blob", f"{container}/{path}", {**blob, "metadata": dict(metadata)})


def create(world: World) -> web.Application:
    """Create the service's application."""
    service = _Service(world)
    app = web.Application(middlewares=[service.guard])
    app.router.add_get("/{container}", service.list)
    app.router.add_get("/{container}/{path:.+}", service.read)
    app.router.add_put("/{container}/{path:.+}", service.write)
    return app


class _Service:
    def __init__(self, world: World) -> None:
        self._world = world
        _folder(world).mkdir(exist_ok=True)

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        error = None if request.match_info.http_exception else self._reject_sas(request)
        # Not `or`: in aiohttp before 3.12 a response counts as empty.
        response = await handler(request) if error is None else error
        if not response.prepared:
            response.headers.update(_headers(request))
        return response

    def _reject_sas(self, request: web.Request) -> web.Response | None:
        query = request.query
        container, path = request.match_info["container"], request.match_info.get("path", "")
        if "sig" not in query:
            return _error(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
        failed = "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
        failed += "correctly including the signature."
        signature = sas.signature(self._world, query, container, path)
        if request.host.partition(":")[0] != sas.host(self._world) or not hmac.compare_digest(signature, query["sig"]):
            return _error(403, "AuthenticationFailed", failed, "Signature did not match.")
        now = sas.iso(self._world.now())
        if not query.get("st", "") <= now < query.get("se", ""):
            words = f"Signed expiry time [{query.get('se', '')}] must be after signed start time and now [{now}]"
            return _error(403, "AuthenticationFailed", failed, words)
        needed = "cw" if request.method == "PUT" else "r" if path else "l"
        if not set(needed) & set(query.get("sp", "")):
            words = "This request is not authorized to perform this operation using this permission."
            return _error(403, "AuthorizationPermissionMismatch", words)
        return None

    async def list(self, request: web.Request) -> web.Response:
        """List Blobs."""
        if (request.query.get("restype"), request.query.get("comp")) != ("container", "list"):
            words = "Value for one of the query parameters specified in the request URI is invalid."
            return _error(400, "InvalidQueryParameterValue", words, "restype, comp")
        return list_blobs(self._world, request)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Get Blob, and Get Blob Properties for HEAD."""
        key = f"{request.match_info['container']}/{request.match_info['path']}"
        blob = self._world.store.get("blob", key)
        if blob is None:
            return _error(404, "BlobNotFound", "The specified blob does not exist.", body=request.method != "HEAD")
        size = blob["size"]
        status, first, last = 200, 0, size - 1
        wanted = request.headers.get("x-ms-range") or request.headers.get("Range")
        if wanted and (match := _RANGE.fullmatch(wanted)):
            first = int(match[1])
            last = min(int(match[2]), size - 1) if match[2] else size - 1
            if first >= size or first > last:
                return _error(
                    416,
                    "InvalidRange",
                    "The range specified is invalid for the current size of the resource.",
                    headers={"Content-Range": f"bytes */{size}"},
                )
            status = 206
        response = web.StreamResponse(status=status, headers=_blob_headers(blob) | _headers(request))
        response.content_length = last - first + 1
        if status == 206:
            response.headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        await response.prepare(request)
        if request.method != "HEAD":
            with (_folder(self._world) / blob["file"]).open("rb") as file:
                file.seek(first)
                left = last - first + 1
                while left and (chunk := file.read(min(_CHUNK, left))):
                    await response.write(chunk)
                    left -= len(chunk)
        await response.write_eof()
        return response

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Put Blob, Put Block, Put Block List or Set Blob Metadata."""
        comp = request.query.get("comp")
        if comp == "block":
            return await self._put_block(request)
        if comp == "blocklist":
            return await self._put_block_list(request)
        if comp == "metadata":
            return self._put_metadata(request)
        if comp is not None:
            return _error(400, "InvalidQueryParameterValue", f"Value for query parameter comp is invalid: {comp}.")
        return await self._put_blob(request)

    async def _put_blob(self, request: web.Request) -> web.Response:
        kind = request.headers.get("x-ms-blob-type")
        if kind is None:
            words = "An HTTP header that's mandatory for this request is not specified."
            return _error(400, "MissingRequiredHeader", words, "x-ms-blob-type")
        if kind != "BlockBlob":
            return _error(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not valid.", kind)
        key = f"{request.match_info['container']}/{request.match_info['path']}"
        if request.headers.get("If-None-Match") == "*" and self._world.store.get("blob", key) is not None:
            return _error(409, "BlobAlreadyExists", "The specified blob already exists.")
        received = await self._receive(request)
        if isinstance(received, web.Response):
            return received
        name, size, md5 = received
        return self._commit(request, key, name, size, md5)

    def _put_metadata(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['container']}/{request.match_info['path']}"
        blob = self._world.store.get("blob", key)
        if blob is None:
            return _error(404, "BlobNotFound", "The specified blob does not exist.")
        self._world.store.put("blob", key, {**blob, "metadata": _metadata(request)})
        return web.Response(status=200, headers={"ETag": blob["etag"], "Last-Modified": blob["modified"]})

    async def _put_block(self, request: web.Request) -> web.Response:
        block_id = request.query.get("blockid", "")
        try:
            valid = 0 < len(base64.b64decode(block_id, validate=True)) <= 64
        except (binascii.Error, ValueError):
            valid = False
        if not valid:
            words = "Value for one of the query parameters specified in the request URI is invalid."
            return _error(400, "InvalidQueryParameterValue", words, "blockid")
        received = await self._receive(request)
        if isinstance(received, web.Response):
            return received
        name, size, md5 = received
        key = f"{request.match_info['container']}/{request.match_info['path']}\n{block_id}"
        self._forget(self._world.store.get("block", key))
        self._world.store.put("block", key, {"file": name, "size": size})
        return web.Response(status=201, headers={"Content-MD5": md5})

    async def _put_block_list(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['container']}/{request.match_info['path']}"
        body = await request.read()
        if _md5_differs(request, base64.b64encode(_md5(body).digest()).decode()):
            return _md5_mismatch()
        try:
            ids = _block_ids(body)
        except ParseError as error:
            return _error(400, "InvalidXmlDocument", f"XML specified is not syntactically valid: {error}.")
        blocks = [self._world.store.get("block", f"{key}\n{block_id}") for block_id in ids]
        if len(ids) > _MAX_BLOCKS or not all(blocks):
            return _error(400, "InvalidBlockList", "The specified block list is invalid.")
        name, digest, size = uuid.uuid4().hex, _md5(), 0
        with (_folder(self._world) / name).open("wb") as target:
            for block in blocks:
                with (_folder(self._world) / block["file"]).open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        size += target.write(chunk)
        for uncommitted, block in list(self._world.store.items("block", prefix=f"{key}\n")):
            self._forget(block)
            self._world.store.delete("block", uncommitted)
        md5 = request.headers.get("x-ms-blob-content-md5") or base64.b64encode(digest.digest()).decode()
        return self._commit(request, key, name, size, md5)

    async def _receive(self, request: web.Request) -> tuple[str, int, str] | web.Response:
        """Stream the body to a new file. Returns the file's name, size and base64 MD5, or an error response."""
        if request.content_length is None:
            return _error(411, "MissingContentLengthHeader", "The Content-Length header was not specified.")
        if request.content_length > _MAX_PUT:
            return _error(413, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum limit.")
        name, digest, size = uuid.uuid4().hex, _md5(), 0
        file = _folder(self._world) / name
        complete = False
        try:
            with file.open("wb") as target:
                async for chunk in request.content.iter_chunked(_CHUNK):
                    digest.update(chunk)
                    size += target.write(chunk)
            md5 = base64.b64encode(digest.digest()).decode()
            if _md5_differs(request, md5):
                return _md5_mismatch()
            complete = True
            return name, size, md5
        finally:
            if not complete:
                file.unlink(missing_ok=True)

    def _commit(self, request: web.Request, key: str, name: str, size: int, md5: str) -> web.Response:
        self._forget(self._world.store.get("blob", key))
        # An SDK that does not know the type sends an empty header.
        content_type = request.headers.get("x-ms-blob-content-type") or "application/octet-stream"
        blob = {**_document(self._world, name, size, md5, content_type), "metadata": _metadata(request)}
        self._world.store.put("blob", key, blob)
        headers = {"ETag": blob["etag"], "Last-Modified": blob["modified"], "Content-MD5": md5}
        return web.Response(status=201, headers=headers)

    def _forget(self, document: Mapping[str, Any] | None) -> None:
        if document is not None:
            (_folder(self._world) / document["file"]).unlink(missing_ok=True)


def _document(world: World, name: str, size: int, md5: str | None, content_type: str) -> dict[str, Any]:
    now = world.now()
    etag = f'"0x{int(now * 1e7):X}"'
    modified = formatdate(now, usegmt=True)
    return {"file": name, "size": size, "md5": md5, "type": content_type, "etag": etag, "modified": modified}


def _block_ids(body: bytes) -> list[str]:
    # Only clients on this machine can send this, and expat itself rejects entity bombs.
    root = ElementTree.fromstring(body)  # noqa: S314
    return [(element.text or "").strip() for element in root if _local_name(element) in ("Latest", "Uncommitted")]


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _md5_differs(request: web.Request, md5: str) -> bool:
    sent = request.headers.get("Content-MD5")
    return sent is not None and sent != md5


def _md5_mismatch() -> web.Response:
    words = "The MD5 value specified in the request did not match with the MD5 value calculated by the server."
    return _error(400, "Md5Mismatch", words)


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _folder(world: World) -> Path:
    return world.blobs / "storage"


def _headers(request: web.Request) -> dict[str, str]:
    headers = {"x-ms-version": request.headers.get("x-ms-version", sas.VERSION), "x-ms-request-id": str(uuid.uuid4())}
    if client_id := request.headers.get("x-ms-client-request-id"):
        headers["x-ms-client-request-id"] = client_id
    return headers


def _metadata(request: web.Request) -> dict[str, str]:
    start = "x-ms-meta-"
    return {name[len(start) :]: value for name, value in request.headers.items() if name.lower().startswith(start)}


def _blob_headers(blob: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "Content-Type": blob["type"],
        "ETag": blob["etag"],
        "Last-Modified": blob["modified"],
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "AppendBlob" if blob.get("appended") else "BlockBlob",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
    }
    headers |= {f"x-ms-meta-{name}": value for name, value in blob.get("metadata", {}).items()}
    return headers | ({"Content-MD5": blob["md5"]} if blob["md5"] else {})


def _error(
    status: int,
    code: str,
    message: str,
    detail: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    body: bool = True,
) -> web.Response:
    more = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message>{more}</Error>"
    )
    return web.Response(
        status=status,
        body=text.encode() if body else None,
        content_type="application/xml",
        headers={"x-ms-error-code": code, **(headers or {})},
    )
