"""Pushes a built image to its registry, as Docker does: with Docker's media types."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final

from manifestgen.sandbox.acr_tasks import bases
from manifestgen.sandbox.acr_tasks.image import Image
from manifestgen.sandbox.acr_tasks.request import RunRequest
from manifestgen.sandbox.acr_tasks.settings import Settings
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

_FAILED: Final = "failed during run, err: exit status 1"
_STEP: Final = "failed to run step ID: push: exit status 1"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYERS: Final = {
    True: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    False: "application/vnd.docker.image.rootfs.diff.tar",
}


class RunFailed(Exception):
    """A run that fails: the last lines of its log, and the state that it ends in."""

    def __init__(self, words: str, state: str = "Failed", message: str = _FAILED) -> None:
        super().__init__(words)
        self.state = state
        self.message = message


def push(
    world: World,
    request: RunRequest,
    host: str,
    run_id: str,
    image: Image,
    known: Settings,
    say: Callable[[str], object],
) -> list[dict[str, str]]:
    """Push an image under all names of the request; returns what was pushed, in ARM's form. Raises RunFailed."""
    names = [_target(name, host, run_id) for name in request.images]
    for repository, tag in names:
        say(f"Successfully tagged {host}/{repository}:{tag}")
    outputs = []
    for repository, tag in names:
        say(f"The push refers to repository [{host}/{repository}]")
        if not request.may_use_source(world, host):
            raise RunFailed(f"{bases.UNAUTHORIZED}\n{_STEP}")
        if known.full:
            raise RunFailed(f"denied: the registry has reached its storage limit\n{_STEP}")
        digest, size = _put(world, host, repository, tag, request, image, say)
        say(f"{tag}: digest: {digest} size: {size}")
        outputs.append({"registry": host, "repository": repository, "tag": tag, "digest": digest})
    return outputs


def _put(
    world: World,
    host: str,
    repository: str,
    tag: str,
    request: RunRequest,
    image: Image,
    say: Callable[[str], object],
) -> tuple[str, int]:
    """Put layers, configuration and manifest into the registry; returns the manifest's digest and size."""
    entries = []
    for one in image.layers:
        known = images.has_blob(world, host, repository, one.digest)
        path = images.content_path(world, one.digest)
        if not path.exists():
            one.path.replace(path)
        images.link_blob(world, host, repository, one.digest)
        say(f"{one.digest[7:19]}: {'Layer already exists' if known else 'Pushed'}")
        kind = _LAYERS[getattr(one, "compressed", True)]
        entries.append({"mediaType": kind, "size": one.size, "digest": one.digest})
    os, architecture, variant = request.platform
    config = {
        "architecture": architecture,
        "os": os,
        **({"variant": variant} if variant else {}),
        "config": image.config,
        # As in reality, the time gives each build's image its own digest.
        "created": datetime.fromtimestamp(world.now(), timezone.utc).isoformat().replace("+00:00", "Z"),
        "history": image.history,
        "rootfs": {"type": "layers", "diff_ids": image.diff_ids},
    }
    text = json.dumps(config, separators=(",", ":")).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.DOCKER_MANIFEST,
        "config": {"mediaType": _CONFIG, **images.put_blob(world, host, repository, text)},
        "layers": entries,
    }
    data = json.dumps(manifest, indent=3).encode()
    digest = images.put_manifest(world, host, repository, tag, images.DOCKER_MANIFEST, data)
    return digest, len(data)


def _target(name: str, host: str, run_id: str) -> tuple[str, str]:
    """Repository and tag that an image name means. Raises RunFailed."""
    plain = name.replace("{{.Run.ID}}", run_id)
    first, slash, rest = plain.partition("/")
    if slash and "." in first:
        if first.lower() != host:
            raise RunFailed(f"denied: the run is not logged in to {first}\n{_STEP}")
        plain = rest
    repository, colon, tag = plain.rpartition(":")
    if not colon:
        repository, tag = plain, "latest"
    if not images.REPOSITORY.fullmatch(repository) or not images.TAG.fullmatch(tag):
        raise RunFailed(f'invalid argument "{plain}" for "-t, --tag" flag: invalid reference format')
    return repository, tag
