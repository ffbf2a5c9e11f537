"""The registries that images come from, as a Protocol: `Distribution`.

A device's container engine speaks the OCI distribution protocol with every registry:
https://github.com/opencontainers/distribution-spec. `manifestgen.azure.registry_api` implements the Protocol with
requests, tests implement it in memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from manifestgen.cloud.registry import Credential
from manifestgen.errors import CloudError, InputError

#: Where Docker finds the images of Docker Hub.
DOCKER_HUB_HOST: Final = "registry-1.docker.io"

# The grammar in github.com/distribution/reference; the part before the first slash is a host if it looks like one.
_REFERENCE: Final = re.compile(
    r"(?:(?P<host>(?=[^/]*[.:]|localhost/)(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?)/)?"
    r"(?P<repository>[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9+._-]+:[0-9a-f]{32,}))?",
    re.ASCII,
)

# Names that operating systems and Docker use, to Go's names, which images use: `normalizeArch` in containerd.
_ARCHITECTURES: Final = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "x64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86": ("386", ""),
    "aarch64": ("arm64", ""),
    "arm64v8": ("arm64", ""),
    "arm64/v8": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv7": ("arm", "v7"),
    "arm32v7": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "arm32v6": ("arm", "v6"),
    "armel": ("arm", "v6"),
}
_ARM: Final = ("v8", "v7", "v6", "v5")


class Trouble(str, Enum):
    """Why an image cannot be pulled. The values are a stable interface."""

    NO_IMAGE_NAME = "no-image-name"
    LOGIN_REQUIRED = "login-required"
    LOGIN_REFUSED = "login-refused"
    NOT_ALLOWED = "not-allowed"
    REPOSITORY_NOT_FOUND = "repository-not-found"
    TAG_NOT_FOUND = "tag-not-found"
    DIGEST_NOT_FOUND = "digest-not-found"
    PLATFORM_MISSING = "platform-missing"
    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"
    NOT_TRUSTED = "not-trusted"
    NOT_TLS = "not-tls"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    FAILING = "failing"


class PullError(CloudError):
    """An image cannot be pulled.

    Attributes:
        trouble: why.
    """

    def __init__(self, trouble: Trouble, what: str, *, fix: str, where: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.trouble = trouble


@dataclass(frozen=True)
class Location:
    """Where an image is.

    Attributes:
        host: of the registry, with its port if it has one, in lower case; Docker Hub's is `DOCKER_HUB_HOST`.
        repository: the image's name there.
        reference: its tag or digest.
    """

    host: str
    repository: str
    reference: str

    @property
    def by_digest(self) -> bool:
        """Whether the image is named by its digest."""
        return ":" in self.reference


def locate(image: str) -> Location:
    """Where Docker looks for an image.

    Args:
        image: as a manifest names it: without a host it is on Docker Hub, without tag and digest it is `latest`.

    Raises:
        InputError: it is not an image reference.
    """
    match = _REFERENCE.fullmatch(image.strip())
    if match is None:
        raise InputError(f"{image!r} is not an image reference", fix="write it as acme.azurecr.io/scorer:1.4.2")
    host, repository = match["host"], match["repository"]
    if host is None or host.lower() in ("docker.io", "index.docker.io"):
        host = DOCKER_HUB_HOST
        repository = repository if "/" in repository else f"library/{repository}"
    return Location(host.lower(), repository, match["digest"] or match["tag"] or "latest")


@dataclass(frozen=True)
class Platform:
    """The platform of an image or a device, in the words that images use: `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """A platform from what a device reports or an image says, such as `linux` and `x86_64`."""
        name = architecture.strip().lower()
        known, implied = _ARCHITECTURES.get(name, (name, ""))
        variant = variant.strip().lower() or implied
        if variant.isdecimal():
            variant = f"v{variant}"
        if known == "arm64" and variant == "v8":
            variant = ""
        if known == "arm" and not variant:
            variant = "v7"
        return cls(os.strip().lower(), known, variant)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """A platform from `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.

        Raises:
            InputError: it is neither.
        """
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[A-Za-z0-9._-]+", part) for part in parts):
            fix = "write it as linux/amd64, linux/arm64 or linux/arm/v7"
            raise InputError(f"{text!r} is not a platform", fix=fix)
        return cls.of(*parts)

    @classmethod
    def reported(cls, agent: Mapping[str, Any]) -> Platform | None:
        """The platform of a device, from what its `$edgeAgent` reports; None if it has not run yet."""
        runtime = agent.get("runtime")
        found = runtime.get("platform") if isinstance(runtime, Mapping) else None
        names = [found.get(name) for name in ("os", "architecture")] if isinstance(found, Mapping) else []
        if len(names) == 2 and all(isinstance(name, str) and name.strip() for name in names):
            return cls.of(*map(str, names))
        return None

    def choose(self, offered: Sequence[Platform]) -> Platform | None:
        """The one that a device of this platform pulls; None if it can run none of them.

        As containerd's `platforms.Only`: the same one, else an older variant of ARM, else the 32-bit one of the family.
        """
        return next((wanted for wanted in self._accepted() if wanted in offered), None)

    def _accepted(self) -> list[Platform]:
        accepted = [self]
        if self.architecture == "amd64":
            accepted += [Platform(self.os, "amd64"), Platform(self.os, "386")]
        elif self.architecture == "arm64":
            accepted += [Platform(self.os, "arm64"), *(Platform(self.os, "arm", variant) for variant in _ARM)]
        elif self.architecture == "arm" and self.variant in _ARM:
            older = _ARM[_ARM.index(self.variant) :]
            accepted += [Platform(self.os, "arm", variant) for variant in older]
        return accepted

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class RemoteImage:
    """An image as its registry describes it.

    Attributes:
        digest: `sha256:…` of the image, or of its index if it is for several platforms.
        platforms: that it is for, in the registry's order; empty if unknown.
        index: whether it is an index, of which a device pulls the image for its platform.
        platform: that `size` is for: the given one, else the first; None if the image is not for the given one.
        size: bytes that a device without any of its layers downloads: configuration and layers, compressed.
    """

    digest: str
    platforms: tuple[Platform, ...]
    index: bool = False
    platform: Platform | None = None
    size: int | None = None


@dataclass(frozen=True)
class Layer:
    """A layer of an image, or its configuration: its digest, and its size in bytes as it is transferred."""

    digest: str
    size: int


@dataclass(frozen=True)
class ImageContents:
    """The contents of an image for one platform.

    Attributes:
        digest: `sha256:…` of its manifest.
        config: its configuration.
        layers: from the lowest.
        environment: variables that it sets.
        labels: of its configuration.
    """

    digest: str
    config: Layer
    layers: tuple[Layer, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that a device without any of it downloads."""
        return self.config.size + sum({layer.digest: layer.size for layer in self.layers}.values())

    def bytes_to_pull(self, previous: ImageContents) -> int:
        """Bytes that a device with another image downloads."""
        there = {previous.config.digest, *(layer.digest for layer in previous.layers)}
        parts = {part.digest: part.size for part in (self.config, *self.layers)}
        return sum(size for digest, size in parts.items() if digest not in there)


class Distribution(Protocol):
    """The registries that images come from; safe to use from several threads."""

    def find(self, image: str, credential: Credential | None, platform: Platform | None = None) -> RemoteImage:
        """An image as its registry describes it.

        Args:
            image: as a manifest names it.
            credential: to log in with; None for anonymous access.
            platform: of the device, for the size of what it would pull.

        Raises:
            InputError: it is not an image reference.
            PullError: it cannot be pulled.
        """
        ...

    def contents(self, image: str, credential: Credential | None, platform: Platform) -> ImageContents:
        """The layers and the configuration of an image.

        Args:
            image: as a manifest names it.
            credential: to log in with; None for anonymous access.
            platform: of the image, where it is for several.

        Raises:
            InputError: it is not an image reference.
            PullError: it cannot be pulled, or is not for the platform.
        """
        ...

    def tags(self, image: str, credential: Credential | None) -> Sequence[str]:
        """Tags of the image's repository, at most a few thousand of them. Raises InputError and PullError."""
        ...

    def close(self) -> None:
        """Close the connections; a method called later opens new ones."""
        ...
