"""Shared access signatures for the sandbox's Blob Storage.

Source: "Create a service SAS" in the Blob service's REST reference.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from manifestgen.sandbox.world import World

#: Version of the SAS: the last whose string-to-sign has no encryption scope.
VERSION = "2018-11-09"
_SIGNED = ("sp", "st", "se", "", "si", "sip", "spr", "sv", "sr", "snapshot", "rscc", "rscd", "rsce", "rscl", "rsct")


def sas_url(world: World, container: str, path: str, permissions: str, *, seconds: int = 3600) -> str:
    """A URL that grants `permissions` (of `r`, `c`, `w`) on one blob for a limited time."""
    return f"https://{host(world)}/{container}/{quote(path)}?{_sas(world, container, path, permissions, seconds)}"


def container_sas(world: World, container: str, permissions: str, *, seconds: int = 3600) -> str:
    """A token that grants `permissions` (of `r`, `c`, `w`, `l`) on all blobs of a container for a limited time."""
    return _sas(world, container, "", permissions, seconds)


def _sas(world: World, container: str, path: str, permissions: str, seconds: int) -> str:
    query = {
        "sv": VERSION,
        "sr": "b" if path else "c",
        "sp": permissions,
        "st": iso(world.now() - 600),
        "se": iso(world.now() + seconds),
        "spr": "https",
    }
    query["sig"] = signature(world, query, container, path)
    return urlencode(query)


def signature(world: World, query: Mapping[str, str], container: str, path: str) -> str:
    """The signature that the query of a SAS URL needs, in base64."""
    resource = f"/blob/{world.names.storage_account}/{container}"
    if query.get("sr") != "c":
        resource += f"/{path}"
    text = "\n".join(query.get(name, "") if name else resource for name in _SIGNED)
    key = world.secret("storage:key").encode()
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def host(world: World) -> str:
    """The host name of the storage account."""
    return f"{world.names.storage_account}.blob.core.windows.net"


def iso(seconds: float) -> str:
    """A time in seconds since 1970 as a SAS has it: UTC, ISO 8601, seconds, `Z`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def writable_container(world: World, url: str) -> tuple[str, str]:
    """The container of a URL that allows to write blobs into it, and why it does not, or nothing."""
    parts = urlsplit(url)
    query, container = dict(parse_qsl(parts.query)), parts.path.strip("/")
    if parts.hostname != host(world):
        return container, f"No such host is known: {parts.hostname}"
    if not container or "/" in container:
        return container, "The specified container does not exist."
    if not hmac.compare_digest(signature(world, query, container, ""), query.get("sig", "")):
        return container, "Server failed to authenticate the request: signature did not match."
    if not query.get("st", "") <= iso(world.now()) < query.get("se", ""):
        return container, "Server failed to authenticate the request: signature not valid in the specified time frame."
    if "w" not in query.get("sp", ""):
        return container, "This request is not authorized to perform this operation using this permission."
    return container, ""
