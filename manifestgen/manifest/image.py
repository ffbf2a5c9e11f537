"""Image references as edgeAgent reads them, which is less strict than Docker.

edgeAgent (`DockerConfig.ValidateAndGetImage`) trims the text, wants it to match one pattern and adds `:latest` to an
image without a tag. Which registry an image comes from (`DockerUtil.TryParseDomainFromImage`) decides which registry
credential it is pulled with.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.reading import is_blank, trim

#: The address that edgeAgent uses for an image without a registry host: Docker Hub's first API.
DOCKER_HUB: Final = "https://index.docker.io/v1/"

# NestedEdgeParentUriParser.cs: the placeholder for the parent's host needs a port.
_UPSTREAM: Final = r".*\$upstream:[1-9]"

# Hosts whose images are pulled without logging in. Docker Hub is not among them: it holds both kinds.
_PUBLIC: Final = frozenset(
    {
        "mcr.microsoft.com",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "registry.k8s.io",
        "k8s.gcr.io",
        "public.ecr.aws",
        "nvcr.io",
        "marketplace.azurecr.io",
    }
)
_PUBLIC_SUFFIXES: Final = (".gcr.io", ".pkg.dev")


def is_from_parent(image: str) -> bool:
    """Whether a device pulls an image from its parent, `$upstream`, which only it can reach."""
    return image.startswith("$upstream")


class ImageReference(Struct, frozen=True, dict=True):
    """An image that edgeAgent accepts.

    Attributes:
        text: as edgeAgent has it after trimming, without the `:latest` it would add.
        repository: all but tag and digest, the registry's host included.
        tag: empty if none is given or a digest is.
        digest: `sha256:…`, or empty.
    """

    text: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read an image as edgeAgent does.

        Raises:
            InputError: edgeAgent refuses it, and with it the whole manifest.
        """
        if is_blank(text):
            raise InputError("the image is blank", fix="write an image, for example 'acme.azurecr.io/scorer:1.4.2'")
        text = trim(text)
        if text[0] == "$" and not re.match(_UPSTREAM, text):
            raise InputError(
                f"image {text!r} begins with '$' and is not '$upstream:PORT/…'",
                fix="replace the placeholder with the image; for the parent of a nested device write "
                "'$upstream:443/scorer:1.4.2'",
            )
        return cls.parts(text)

    @classmethod
    def parts(cls, text: str) -> ImageReference:
        """Read an image that may begin with a placeholder.

        Raises:
            InputError: edgeAgent rejects it, whatever the value of a placeholder at its beginning.
        """
        # DockerConfig.cs: path segments, a name without a colon, at most one tag. In `repository@sha256:…` the name is
        # `repository@sha256`; `repository:tag@sha256:…` has two colons.
        folder, slash, last = text.rpartition("/")
        name, colon, tag = last.partition(":")
        if not name or (colon and not tag) or ":" in tag:
            raise _refusal(text)
        repository = folder + slash + name
        if "@" in repository:
            repository, _, algorithm = repository.rpartition("@")
            return cls(text, repository, digest=f"{algorithm}:{tag}" if tag else algorithm)
        return cls(text, repository, tag)

    @property
    def floating(self) -> bool:
        """Whether the same text can mean another image tomorrow for sure: no tag and no digest, or `latest`."""
        return not self.digest and self.tag in ("", "latest")

    @cached_property
    def host(self) -> str | None:
        """`registry_host` of this image."""
        return registry_host(self.text)

    def __str__(self) -> str:
        return self.text


def _refusal(text: str) -> InputError:
    if "@" in text and ":" in text.rpartition("@")[0].rpartition("/")[2]:
        fix = "write either the tag or the digest, not both"
    elif text.endswith(":"):
        fix = "add the tag after the colon, or remove the colon"
    elif text.endswith("/"):
        fix = "add the name of the image after the slash"
    else:
        fix = "write REGISTRY/REPOSITORY:TAG with one colon before the tag, or REGISTRY/REPOSITORY@sha256:DIGEST"
    return InputError(f"image {text!r} is not in a form that edgeAgent accepts", fix=fix)


def registry_host(image: str) -> str | None:
    """The address that a registry credential must have for edgeAgent to use it for this image.

    Returns:
        The first path segment if it has a dot or a colon, with its port; `DOCKER_HUB` if it has neither; None for an
        image of one segment, which edgeAgent never uses a credential for.
    """
    first, slash, _ = trim(image).partition("/")
    if not slash:
        return None
    return first if "." in first or ":" in first else DOCKER_HUB


def is_private(host: str | None) -> bool:
    """Whether images of this registry usually cannot be pulled without logging in.

    Docker Hub (`DOCKER_HUB`) holds public and private images alike and counts as public, so do the well-known public
    registries; a registry on the device itself (`localhost:5000`) and the parent of a nested device (`$upstream:443`)
    need no credential of this manifest either. All else is private.
    """
    if host is None or host.endswith(":"):
        return False  # what ends with a colon is the scheme of an address
    host = host.lower()
    if host in _PUBLIC or host.endswith(_PUBLIC_SUFFIXES):
        return False
    name = host.partition(":")[0]
    return host != DOCKER_HUB and name not in ("localhost", "127.0.0.1", "docker.io", "index.docker.io", "$upstream")
