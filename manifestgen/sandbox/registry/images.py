"""The container images of the sandbox, by registry host: layers and manifests on disk, what names them in the store.

    kind              key                    value
    image-repository  HOST/REPOSITORY        {}
    image-manifest    HOST/REPOSITORY@DIGEST {"media_type", "size"}
    image-tag         HOST/REPOSITORY:TAG    digest
    image-blob        HOST/REPOSITORY@DIGEST {"size"}

Content lies in `World.blobs/registry`, one file a digest, shared by all repositories.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifestgen.sandbox.world import World

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# An empty tar archive, gzipped: the one layer of images that are made here. They name files, they hold none.
_EMPTY_LAYER = bytes.fromhex("1f8b080000000000020363601805a360148c5400002eafb5ef00040000")
_EMPTY_DIFF = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

_RUNTIME_VERSIONS = (
    *("1.0", "1.0.10", "1.1", "1.1.15", "1.2", "1.2.10", "1.3", "1.3.0", "1.4", "1.4.0", "1.4.10", "1.4.20", "1.4.33"),
    *("1.5", "1.5.0", "1.5.5", "1.5.10", "1.5.16", "1.5.19", "1.5.21", "1.5.35", "1.6", "1.6.0", "1.6.1"),
)
_PUBLIC_HOST = "mcr.microsoft.com"

# Repository to tags. They come into being when they are first asked for.
_PUBLIC: Mapping[str, Sequence[str]] = {
    "azureiotedge-agent": _RUNTIME_VERSIONS,
    "azureiotedge-hub": _RUNTIME_VERSIONS,
    "azureiotedge-simulated-temperature-sensor": (*_RUNTIME_VERSIONS, "latest"),
    "azureiotedge-diagnostics": _RUNTIME_VERSIONS,
    "azureiotedge-metrics-collector": ("1.0", "1.1", "1.1.0", "latest"),
    "azureiotedge-api-proxy": ("1.0", "1.1", "1.1.0", "latest"),
}
_PUBLIC_PLATFORMS = (("amd64", ""), ("arm64", "v8"), ("arm", "v7"))


@dataclass(frozen=True)
class StoredManifest:
    """A manifest (or an index of manifests) and where its text is."""

    digest: str
    media_type: str
    path: Path
    size: int


class InvalidManifest(Exception):
    """A manifest that a registry does not take; `code` is the registry's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def is_public(host: str) -> bool:
    """Whether a registry host lets everybody read: all but the Azure container registries."""
    return ".azurecr." not in host.lower()


def digest_of(data: bytes) -> str:
    """`sha256:…` of some content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content_path(world: World, digest: str) -> Path:
    """Where the content with this digest lies, if it is there."""
    folder = world.blobs / "registry"
    folder.mkdir(exist_ok=True)
    return folder / digest.partition(":")[2]


def has_blob(world: World, host: str, repository: str, digest: str) -> bool:
    """Whether a repository has a layer or configuration."""
    return world.store.get("image-blob", f"{host}/{repository}@{digest}") is not None


def link_blob(world: World, host: str, repository: str, digest: str) -> None:
    """Let a repository have content that lies in its place already."""
    size = content_path(world, digest).stat().st_size
    world.store.put("image-blob", f"{host}/{repository}@{digest}", {"size": size})


def put_blob(world: World, host: str, repository: str, data: bytes) -> dict[str, Any]:
    """Store a small blob; its digest and size as a manifest names them."""
    digest = digest_of(data)
    content_path(world, digest).write_bytes(data)
    link_blob(world, host, repository, digest)
    return {"digest": digest, "size": len(data)}


def put_manifest(world: World, host: str, repository: str, reference: str, media_type: str, data: bytes) -> str:
    """Store a manifest under a tag or its own digest and return its digest. Raises InvalidManifest."""
    digest = digest_of(data)
    if DIGEST.fullmatch(reference) and reference != digest:
        raise InvalidManifest("DIGEST_INVALID", "provided digest did not match uploaded content")
    _check_manifest(world, host, repository, media_type, data)
    content_path(world, digest).write_bytes(data)
    entry = {"media_type": media_type, "size": len(data)}
    world.store.put("image-manifest", f"{host}/{repository}@{digest}", entry)
    world.store.put("image-repository", f"{host}/{repository}", {})
    if reference != digest:
        world.store.put("image-tag", f"{host}/{repository}:{reference}", digest)
    return digest


def find_manifest(world: World, host: str, repository: str, reference: str) -> StoredManifest | None:
    """The manifest under a tag or digest."""
    digest = reference
    if not DIGEST.fullmatch(reference):
        digest = world.store.get("image-tag", f"{host}/{repository}:{reference}")
        if digest is None:
            if host != _PUBLIC_HOST or reference not in _PUBLIC.get(repository, ()):
                return None
            digest = _make_public(world, repository, reference)
    entry = world.store.get("image-manifest", f"{host}/{repository}@{digest}")
    if entry is None:
        return None
    return StoredManifest(digest, entry["media_type"], content_path(world, digest), entry["size"])


def delete_manifest(world: World, host: str, repository: str, reference: str) -> bool:
    """Delete a tag, or a manifest with all its tags; whether there was one."""
    if not DIGEST.fullmatch(reference):
        return world.store.delete("image-tag", f"{host}/{repository}:{reference}")
    for key, digest in world.store.items("image-tag", prefix=f"{host}/{repository}:"):
        if digest == reference:
            world.store.delete("image-tag", key)
    return world.store.delete("image-manifest", f"{host}/{repository}@{reference}")


def tags(world: World, host: str, repository: str) -> list[str] | None:
    """A repository's tags in order; None if there is no such repository."""
    prefix = f"{host}/{repository}:"
    found = {key[len(prefix) :] for key, _ in world.store.items("image-tag", prefix=prefix)}
    if host == _PUBLIC_HOST:
        found |= set(_PUBLIC.get(repository, ()))
    known = world.store.get("image-repository", f"{host}/{repository}") is not None
    return sorted(found) if found or known else None


def repositories(world: World, host: str) -> list[str]:
    """A registry's repositories in order."""
    prefix = f"{host}/"
    found = {key[len(prefix) :] for key, _ in world.store.items("image-repository", prefix=prefix)}
    return sorted(found | (set(_PUBLIC) if host == _PUBLIC_HOST else set()))


def make_image(
    world: World,
    host: str,
    repository: str,
    tag: str,
    *,
    platforms: Sequence[tuple[str, str]] = (("amd64", ""),),
    labels: Mapping[str, str] | None = None,
) -> str:
    """Make an image without content and return its digest; for several platforms an index.

    Args:
        world: where to.
        host: the registry.
        repository: the image's name in it.
        tag: the image's tag.
        platforms: architecture and variant, as in `("arm", "v7")`; the variant may be empty.
        labels: the image's labels.
    """
    entries: list[dict[str, Any]] = []
    for architecture, variant in platforms:
        platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
        config = {
            **platform,
            "config": {"Labels": dict(labels or {})},
            "rootfs": {"type": "layers", "diff_ids": [_EMPTY_DIFF]},
            "history": [{"created_by": "manifestgen sandbox"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": _CONFIG, **put_blob(world, host, repository, _json(config))},
            "layers": [{"mediaType": _LAYER, **put_blob(world, host, repository, _EMPTY_LAYER)}],
        }
        data = _json(manifest)
        reference = tag if len(platforms) == 1 else digest_of(data)
        digest = put_manifest(world, host, repository, reference, OCI_MANIFEST, data)
        entries.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": len(data), "platform": platform})
    if len(entries) == 1:
        return str(entries[0]["digest"])
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return put_manifest(world, host, repository, tag, OCI_INDEX, _json(index))


def platforms_of(world: World, host: str, repository: str, manifest: StoredManifest) -> list[str]:
    """Platforms that a manifest is for, as `linux/arm/v7`."""
    data = json.loads(manifest.path.read_bytes())
    if manifest.media_type in INDEXES:
        return [_platform(entry.get("platform", {})) for entry in data["manifests"]]
    return [_platform(json.loads(content_path(world, data["config"]["digest"]).read_bytes()))]


def labels_of(world: World, host: str, repository: str, manifest: StoredManifest) -> dict[str, str]:
    """An image's labels; of an index, those of its first image."""
    data = json.loads(manifest.path.read_bytes())
    if manifest.media_type in INDEXES:
        first = find_manifest(world, host, repository, data["manifests"][0]["digest"])
        return labels_of(world, host, repository, first) if first else {}
    config = json.loads(content_path(world, data["config"]["digest"]).read_bytes())
    return dict((config.get("config") or {}).get("Labels") or {})


def _make_public(world: World, repository: str, tag: str) -> str:
    labels = {"org.opencontainers.image.title": repository, "org.opencontainers.image.version": tag}
    return make_image(world, _PUBLIC_HOST, repository, tag, platforms=_PUBLIC_PLATFORMS, labels=labels)


def _check_manifest(world: World, host: str, repository: str, media_type: str, data: bytes) -> None:
    try:
        manifest = json.loads(data)
        if media_type in INDEXES:
            needed = [entry["digest"] for entry in manifest["manifests"]]
        elif media_type in MANIFESTS:
            needed = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        else:
            raise InvalidManifest("MANIFEST_INVALID", f"media type {media_type!r} is not supported")
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidManifest("MANIFEST_INVALID", f"manifest invalid: {error}") from error
    kind = "image-manifest" if media_type in INDEXES else "image-blob"
    for digest in needed:
        if world.store.get(kind, f"{host}/{repository}@{digest}") is None:
            raise InvalidManifest("MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {digest}")


def _platform(data: Mapping[str, Any]) -> str:
    parts = (data.get("os"), data.get("architecture"), data.get("variant"))
    return "/".join(str(part) for part in parts if part)


def _json(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()
