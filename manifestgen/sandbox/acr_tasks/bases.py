"""The images that FROM names: those of the sandbox's registries, or a minimal stand-in without its own files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from manifestgen.sandbox import accounts
from manifestgen.sandbox.acr_tasks.request import RunRequest
from manifestgen.sandbox.acr_tasks.source import Content, Entry
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

_REFERENCE: Final = re.compile(
    r"(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_HUB: Final = "docker.io"
#: A registry's words for a login that is missing, or may not do this.
UNAUTHORIZED: Final = (
    "unauthorized: authentication required, visit https://aka.ms/acr/authorization for more information."
)
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOLDERS: Final = (
    "bin",
    "dev",
    "etc",
    "home",
    "opt",
    "proc",
    "run",
    "sbin",
    "sys",
    "usr",
    "usr/bin",
    "usr/local",
    "var",
)
_FILES: Final = {
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
}


class PullError(Exception):
    """A base image that cannot be pulled, in Docker's words."""


@dataclass(frozen=True)
class BaseLayer:
    """A layer that the registry has.

    Attributes:
        compressed: whether it is compressed with gzip.
    """

    path: Path
    digest: str
    size: int
    compressed: bool


@dataclass(frozen=True)
class Base:
    """The base of a stage.

    Attributes:
        config: the configuration of its containers, as in an image's configuration under `config`.
        files: of a base that is not an image, by path.
        stand_in: whether it stands in for an image that the sandbox does not have.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    layers: Sequence[BaseLayer] = ()
    diff_ids: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, Entry] = field(default_factory=dict)
    stand_in: bool = False


def find(world: World, request: RunRequest, host: str, name: str, folder: Path) -> Base:
    """The base image for the request's platform.

    Args:
        world: with the registries.
        request: of the run, with its credentials.
        host: login server of the run's registry.
        name: the image, as FROM names it.
        folder: for files of a stand-in.

    Raises:
        PullError: a registry of the sandbox does not give it.
    """
    if name == "scratch":
        return Base()
    place, repository, reference = _locate(name)
    if not images.is_public(place):
        _check_login(world, request, host, place, repository)
        if accounts.registry_of_host(world, place) is None:
            raise PullError(f'Get "https://{place}/v2/": dial tcp: lookup {place}: no such host')
    manifest = _first_manifest(world, place, repository, reference)
    if manifest is not None:
        return _image(world, request, manifest[0], place, manifest[1], name)
    if images.is_public(place):
        return stand_in(folder)
    raise PullError(f"manifest for {name} not found: manifest unknown: {images.unknown_manifest(reference)}")


def stand_in(folder: Path) -> Base:
    """A minimal base: folders, users `root` and `nobody`, a PATH."""
    files = {name: Entry("folder") for name in _FOLDERS}
    files |= {"root": Entry("folder", 0o700), "tmp": Entry("folder", 0o1777)}
    for name, text in _FILES.items():
        path = folder / name.replace("/", "-")
        path.write_text(text)
        files[name] = Entry("file", 0o644, content=Content(path, 0, len(text)))
    return Base({"Env": [_PATH], "Cmd": ["/bin/sh"]}, files=files, stand_in=True)


def _locate(name: str) -> tuple[str, str, str]:
    """Host, repository and tag or digest of an image."""
    first, slash, rest = name.partition("/")
    has_host = bool(slash) and (re.search(r"[.:]", first) is not None or first == "localhost")
    host, path = (first.lower(), rest) if has_host else (_HUB, name)
    match = _REFERENCE.fullmatch(path)
    if match is None:
        raise PullError(f'failed to parse image name "{name}": invalid reference format')
    return host, match["repository"], match["digest"] or match["tag"] or "latest"


def _first_manifest(
    world: World, host: str, repository: str, reference: str
) -> tuple[str, images.StoredManifest] | None:
    """A manifest with its repository; an official image of Docker Hub may be kept with or without `library/`."""
    names = [repository, f"library/{repository}"] if host == _HUB and "/" not in repository else [repository]
    for one in names:
        found = images.find_manifest(world, host, one, reference)
        if found is not None:
            return one, found
    return None


def _check_login(world: World, request: RunRequest, host: str, place: str, repository: str) -> None:
    if place == host.lower():
        if not request.may_use_source(world, host):
            raise PullError(UNAUTHORIZED)
        return
    login = request.custom_registries.get(place)
    access = accounts.log_in(world, place, *login) if login else None
    if access is None or not access.allows(repository, accounts.READ):
        raise PullError(f'Head "https://{place}/v2/{repository}/manifests/…": {UNAUTHORIZED}')


def _image(
    world: World, request: RunRequest, repository: str, host: str, manifest: images.StoredManifest, name: str
) -> Base:
    data = json.loads(manifest.path.read_bytes())
    if manifest.media_type in images.INDEXES:
        wanted = _plain(request.platform)
        chosen = next((one for one in data["manifests"] if _plain(_parts(one.get("platform", {}))) == wanted), None)
        child = images.find_manifest(world, host, repository, chosen["digest"]) if chosen else None
        if child is None:
            raise PullError(f"no matching manifest for {'/'.join(wanted)} in the manifest list entries")
        data = json.loads(child.path.read_bytes())
    config = json.loads(images.content_path(world, data["config"]["digest"]).read_bytes())
    actual = _plain(_parts(config))
    if actual != _plain(request.platform):
        raise PullError(
            f"image with reference {name} was found but does not match the specified platform: "
            f"wanted {'/'.join(_plain(request.platform))}, actual: {'/'.join(actual)}"
        )
    layers = [_layer(world, entry) for entry in data["layers"]]
    return Base(config.get("config") or {}, layers, config["rootfs"]["diff_ids"], config.get("history") or ())


def _layer(world: World, entry: Mapping[str, Any]) -> BaseLayer:
    kind = str(entry.get("mediaType", ""))
    if kind.endswith("zstd"):
        raise PullError(f"the layer {entry['digest']} is compressed with zstd, which this builder cannot read")
    path = images.content_path(world, entry["digest"])
    return BaseLayer(path, entry["digest"], path.stat().st_size, kind.endswith("gzip"))


def _parts(data: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(data.get("os", "")), str(data.get("architecture", "")), str(data.get("variant") or "")


def _plain(platform: tuple[str, str, str]) -> tuple[str, ...]:
    """The platform without a variant that goes without saying."""
    os, architecture, variant = platform
    implied = {"arm64": "v8", "arm": "v7", "amd64": "v1"}.get(architecture, "")
    variant = variant or ("v7" if architecture == "arm" else "")
    if architecture != "arm" and variant == implied:
        variant = ""
    return tuple(part for part in (os, architecture, variant) if part)
