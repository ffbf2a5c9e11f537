"""A device's image pull, as its container engine does it but within this process: no device opens a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from manifestgen.sandbox import accounts
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

# The part of an image's name after the registry, according to the grammar in github.com/distribution/reference.
_REFERENCE = re.compile(
    r"(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class PullResult:
    """The outcome of a device's `docker pull`.

    Attributes:
        error: Docker's error message; empty if the pull succeeded.
        digest: digest of the image, or of its index.
        platforms: the image's platforms, such as `linux/amd64`.
        labels: the image's labels.
        repository: where it is, such as `acme.azurecr.io/scorer`.
    """

    error: str = ""
    digest: str = ""
    platforms: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    repository: str = ""

    @property
    def ok(self) -> bool:
        """Whether the pull succeeded."""
        return not self.error


async def pull(world: World, image: str, credentials: Mapping[str, str] | None) -> PullResult:
    """Pull an image as a device's container engine would.

    Args:
        world: where the registries are.
        image: the image's name in the deployment manifest.
        credentials: `username` and `password` to log in with, or None to pull without a login. The caller chooses the
            manifest's credentials for this image.
    """
    first, slash, rest = image.partition("/")
    # Docker's rule that distinguishes a registry from the first part of a Docker Hub repository.
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
            f"{images.unknown_manifest(reference)}"
        )
    return PullResult(
        digest=manifest.digest,
        platforms=tuple(images.platforms_of(world, host, repository, manifest)),
        labels=images.labels_of(world, host, repository, manifest),
        repository=f"{host}/{repository}",
    )
