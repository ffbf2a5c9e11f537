"""The sandbox's container images, by registry host: layers and manifests on disk, their names in the store.

    kind              key                    value
    image-repository  HOST/REPOSITORY        {}
    image-manifest    HOST/REPOSITORY@DIGEST {"media_type", "size", "created"}
    image-tag         HOST/REPOSITORY:TAG    digest
    image-blob        HOST/REPOSITORY@DIGEST {"size"}

Content is stored in `World.blobs/registry`, one file per digest, shared by all repositories.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
# According to the grammar in github.com/distribution/reference.
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)

# Media types of a configuration, an uncompressed layer and a gzipped layer.
_OCI_PARTS = (
    "application/vnd.oci.image.config.v1+json",
    ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"),
)
_DOCKER_PARTS = (
    "application/vnd.docker.container.image.v1+json",
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
)

# An empty tar archive, gzipped: the only layer of images created here. They contain no files.
_EMPTY_LAYER = bytes.fromhex("1f8b080000000000020363601805a360148c5400002eafb5ef00040000")
_EMPTY_DIFF = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

_RUNTIME_VERSIONS = (
    *("1.0", "1.0.10", "1.1", "1.1.15", "1.2", "1.2.10", "1.3", "1.3.0", "1.4", "1.4.0", "1.4.10", "1.4.20", "1.4.33"),
    *("1.5", "1.5.0", "1.5.5", "1.5.10", "1.5.16", "1.5.19", "1.5.21", "1.5.35", "1.6", "1.6.0", "1.6.1"),
)
# Tags by registry host and repository. An image is created on the first request for it.
_MICROSOFT: Mapping[str, Sequence[str]] = {
    "azureiotedge-agent": _RUNTIME_VERSIONS,
    "azureiotedge-hub": _RUNTIME_VERSIONS,
    "azureiotedge-simulated-temperature-sensor": (*_RUNTIME_VERSIONS, "latest"),
    "azureiotedge-diagnostics": _RUNTIME_VERSIONS,
    "azureiotedge-metrics-collector": ("1.0", "1.1", "1.1.0", "latest"),
    "azureiotedge-api-proxy": ("1.0", "1.1", "1.1.0", "latest"),
}
# The base images that manifestgen builds on by default; only ACR Tasks' own pulls know them by the name docker.io.
_DOCKER: Mapping[str, Sequence[str]] = {"library/python": tuple(f"3.{minor}-slim" for minor in range(9, 15))}
_PUBLIC = {"mcr.microsoft.com": _MICROSOFT, "registry-1.docker.io": _DOCKER}
_PUBLIC_PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")


@dataclass(frozen=True)
class StoredManifest:
    """A manifest (or an index), the file with its text, and when it was pushed, in seconds since the epoch."""

    digest: str
    media_type: str
    path: Path
    size: int
    created: float = 0.0


class InvalidManifest(Exception):
    """A manifest that a registry rejects; `code` is the registry's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def is_public(host: str) -> bool:
    """Whether anyone can read from a registry host: all but the Azure container registries."""
    return ".azurecr." not in host.lower()


def digest_of(data: bytes) -> str:
    """The digest `sha256:…` of content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content_path(world: World, digest: str) -> Path:
    """The path of the content with this digest, which may not exist."""
    folder = world.blobs / "registry"
    folder.mkdir(exist_ok=True)
    return folder / digest.partition(":")[2]


def has_blob(world: World, host: str, repository: str, digest: str) -> bool:
    """Whether a repository has a layer or configuration."""
    return world.store.get("image-blob", f"{host}/{repository}@{digest}") is not None


def link_blob(world: World, host: str, repository: str, digest: str) -> None:
    """Add content that is already on disk to a repository."""
    size = content_path(world, digest).stat().st_size
    world.store.put("image-blob", f"{host}/{repository}@{digest}", {"size": size})


def put_blob(world: World, host: str, repository: str, data: bytes) -> dict[str, Any]:
    """Store a small blob; returns its digest and size in a manifest's form."""
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
    key = f"{host}/{repository}@{digest}"
    known = world.store.get("image-manifest", key) or {}
    created = known.get("created", world.now())
    world.store.put("image-manifest", key, {"media_type": media_type, "size": len(data), "created": created})
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
            if reference not in _public(host).get(repository, ()):
                return None
            digest = _make_public(world, host, repository, reference)
    entry = world.store.get("image-manifest", f"{host}/{repository}@{digest}")
    if entry is None:
        return None
    return _stored(world, digest, entry)


def _stored(world: World, digest: str, entry: Mapping[str, Any]) -> StoredManifest:
    path = content_path(world, digest)
    return StoredManifest(digest, entry["media_type"], path, entry["size"], entry.get("created", 0.0))


def manifests(world: World, host: str, repository: str) -> list[StoredManifest]:
    """All manifests of a repository, ordered by digest."""
    prefix = f"{host}/{repository}@"
    return [
        _stored(world, key[len(prefix) :], entry) for key, entry in world.store.items("image-manifest", prefix=prefix)
    ]


def tag_digests(world: World, host: str, repository: str) -> dict[str, str]:
    """The digest behind each tag of a repository; without tags of public images that were never requested."""
    prefix = f"{host}/{repository}:"
    return {key[len(prefix) :]: digest for key, digest in world.store.items("image-tag", prefix=prefix)}


def unknown_manifest(reference: str) -> str:
    """A registry's error message for a missing tag or digest."""
    if DIGEST.fullmatch(reference):
        return f"manifest {reference} is not found"
    return f'manifest tagged by "{reference}" is not found'


def delete_manifest(world: World, host: str, repository: str, reference: str) -> bool:
    """Delete a tag, or a manifest with all its tags; returns whether it existed."""
    if not DIGEST.fullmatch(reference):
        return world.store.delete("image-tag", f"{host}/{repository}:{reference}")
    for key, digest in world.store.items("image-tag", prefix=f"{host}/{repository}:"):
        if digest == reference:
            world.store.delete("image-tag", key)
    return world.store.delete("image-manifest", f"{host}/{repository}@{reference}")


def delete_repository(world: World, host: str, repository: str) -> None:
    """Delete a repository with its tags, manifests, layers and configurations."""
    for kind, sign in (("image-tag", ":"), ("image-manifest", "@"), ("image-blob", "@")):
        for key, _ in world.store.items(kind, prefix=f"{host}/{repository}{sign}"):
            world.store.delete(kind, key)
    world.store.delete("image-repository", f"{host}/{repository}")


def tags(world: World, host: str, repository: str) -> list[str] | None:
    """A repository's tags, in order; None if the repository does not exist."""
    found = set(tag_digests(world, host, repository))
    found |= set(_public(host).get(repository, ()))
    known = world.store.get("image-repository", f"{host}/{repository}") is not None
    return sorted(found) if found or known else None


def repositories(world: World, host: str) -> list[str]:
    """A registry's repositories, in order."""
    prefix = f"{host}/"
    found = {key[len(prefix) :] for key, _ in world.store.items("image-repository", prefix=prefix)}
    return sorted(found | set(_public(host)))


@dataclass(frozen=True)
class ImageKind:
    """Properties of an image created here.

    Attributes:
        platforms: such as `linux/arm/v7`; several platforms create an index.
        labels: the image's labels.
        docker: whether to use Docker's media types instead of OCI's.
        layer_bytes: size of its only layer.
    """

    platforms: Sequence[str] = ("linux/amd64",)
    labels: Mapping[str, str] = field(default_factory=dict)
    docker: bool = False
    layer_bytes: int = 0

    @property
    def manifest_type(self) -> str:
        """The media type of the image's manifests."""
        return DOCKER_MANIFEST if self.docker else OCI_MANIFEST

    @property
    def index_type(self) -> str:
        """The media type of the image's index."""
        return DOCKER_LIST if self.docker else OCI_INDEX


def make_image(world: World, host: str, repository: str, tag: str, kind: ImageKind | None = None) -> str:
    """Create an image without files and return its digest, or the digest of its index.

    Args:
        world: where to create it.
        host: the registry's host.
        repository: the image's name in the registry, such as `scorer` or `azureml/scorer`.
        tag: the image's tag; empty for an image that has only a digest.
        kind: the image's properties; by default one platform, amd64.
    """
    kind = kind or ImageKind()
    entries = [_make_platform(world, host, repository, kind, platform) for platform in kind.platforms]
    if len(entries) == 1:
        data = content_path(world, entries[0]["digest"]).read_bytes()
        return put_manifest(world, host, repository, tag or digest_of(data), kind.manifest_type, data)
    index = _json({"schemaVersion": 2, "mediaType": kind.index_type, "manifests": entries})
    return put_manifest(world, host, repository, tag or digest_of(index), kind.index_type, index)


def _make_platform(world: World, host: str, repository: str, kind: ImageKind, platform: str) -> dict[str, Any]:
    """Create the image for one platform, without a tag; returns its entry in an index."""
    fields = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    layer = bytes(kind.layer_bytes) or _EMPTY_LAYER  # zeros are an empty tar archive
    config = {
        **fields,
        "config": {"Labels": dict(kind.labels)},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) if kind.layer_bytes else _EMPTY_DIFF]},
        "history": [{"created_by": "manifestgen sandbox"}],
    }
    config_type, layer_types = _DOCKER_PARTS if kind.docker else _OCI_PARTS
    layer_type = layer_types[kind.layer_bytes == 0]
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind.manifest_type,
        "config": {"mediaType": config_type, **put_blob(world, host, repository, _json(config))},
        "layers": [{"mediaType": layer_type, **put_blob(world, host, repository, layer)}],
    }
    data = _json(manifest)
    digest = put_manifest(world, host, repository, digest_of(data), kind.manifest_type, data)
    return {"mediaType": kind.manifest_type, "digest": digest, "size": len(data), "platform": fields}


def platforms_of(world: World, host: str, repository: str, manifest: StoredManifest) -> list[str]:
    """The platforms of a manifest, such as `linux/arm/v7`."""
    data = json.loads(manifest.path.read_bytes())
    if manifest.media_type in INDEXES:
        return [_platform(entry.get("platform", {})) for entry in data["manifests"]]
    return [_platform(json.loads(content_path(world, data["config"]["digest"]).read_bytes()))]


def labels_of(world: World, host: str, repository: str, manifest: StoredManifest) -> dict[str, str]:
    """An image's labels; for an index, those of its first image."""
    data = json.loads(manifest.path.read_bytes())
    if manifest.media_type in INDEXES:
        first = find_manifest(world, host, repository, data["manifests"][0]["digest"])
        return labels_of(world, host, repository, first) if first else {}
    config = json.loads(content_path(world, data["config"]["digest"]).read_bytes())
    return dict((config.get("config") or {}).get("Labels") or {})


def _public(host: str) -> Mapping[str, Sequence[str]]:
    """The tags of a host's public images by repository."""
    return _PUBLIC.get(host, {})


def _make_public(world: World, host: str, repository: str, tag: str) -> str:
    labels = {"org.opencontainers.image.title": repository, "org.opencontainers.image.version": tag}
    return make_image(world, host, repository, tag, ImageKind(_PUBLIC_PLATFORMS, labels))


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
