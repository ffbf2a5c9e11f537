"""Lists of the blobs in a container of the sandbox's Blob Storage.

Source: "List Blobs" in the Blob service's REST reference. Lists are not cut into pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from manifestgen.sandbox.world import World


def list_blobs(world: World, request: web.Request) -> web.Response:
    """The blobs below a prefix; with a delimiter, the virtual folders in place of what they contain."""
    container, query = request.match_info["container"], request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start = len(container) + 1
    blobs: list[tuple[str, Mapping[str, Any]]] = []
    folders: dict[str, None] = {}
    for key, blob in world.store.items("blob", prefix=f"{container}/{prefix}"):
        name = key[start:]
        folder, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if found:
            folders[f"{prefix}{folder}{delimiter}"] = None
        else:
            blobs.append((name, blob))
    text = _document(request, prefix, delimiter, blobs, list(folders), metadata="metadata" in query.get("include", ""))
    return web.Response(body=text.encode(), content_type="application/xml")


def _document(
    request: web.Request,
    prefix: str,
    delimiter: str,
    blobs: Sequence[tuple[str, Mapping[str, Any]]],
    folders: Sequence[str],
    *,
    metadata: bool,
) -> str:
    endpoint = f"https://{request.host}/"
    parts = [
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults'
        f" ServiceEndpoint={quoteattr(endpoint)} ContainerName={quoteattr(request.match_info['container'])}>",
        f"<Prefix>{escape(prefix)}</Prefix>",
        f"<Delimiter>{escape(delimiter)}</Delimiter>" if delimiter else "",
        "<Blobs>",
        *(_blob(name, blob, metadata) for name, blob in blobs),
        *(f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>" for name in folders),
        "</Blobs><NextMarker /></EnumerationResults>",
    ]
    return "".join(parts)


def _blob(name: str, blob: Mapping[str, Any], metadata: bool) -> str:
    properties = {
        "Last-Modified": blob["modified"],
        "Etag": blob["etag"].strip('"'),
        "Content-Length": str(blob["size"]),
        "Content-Type": blob["type"],
        "Content-MD5": blob["md5"] or "",
        "BlobType": "AppendBlob" if blob.get("appended") else "BlockBlob",
    }
    listed = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in properties.items())
    pairs = blob.get("metadata", {}).items() if metadata else ()
    more = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in pairs)
    return f"<Blob><Name>{escape(name)}</Name><Properties>{listed}</Properties><Metadata>{more}</Metadata></Blob>"
