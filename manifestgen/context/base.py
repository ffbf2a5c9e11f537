"""The image that a model's image is built on: which one, its digest, and which Python it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from manifestgen.cloud import Credential, Services
from manifestgen.cloud.distribution import DOCKER_HUB_HOST, Platform, PullError, RemoteImage, locate
from manifestgen.errors import InputError
from manifestgen.project.lock import LockedBase

_DEFAULT_PYTHON: Final = "3.12"
_DEFAULT: Final = "docker.io/library/python:{}-slim"


@dataclass(frozen=True)
class Base:
    """A base image.

    Attributes:
        image: its reference, with the host of its registry.
        python: version of its Python, such as `3.12`.
        digest: of it, or of its index; empty while it was not asked for.
    """

    image: str
    python: str
    digest: str = ""

    @property
    def pinned(self) -> str:
        """The reference with the digest, for FROM."""
        return self.image if "@" in self.image or not self.digest else f"{self.image}@{self.digest}"


def base_of(named: str | None, python: str, services: Services, platforms: Sequence[str]) -> Base:
    """The base image of a project.

    Args:
        named: `image.base`; None for the default of Python's own images.
        python: version that the requirements name; empty if they name none.
        services: to ask which Python a base image of the user's own has, if its name does not say.
        platforms: of the image.

    Raises:
        InputError: its Python cannot be found out, or is another one than the requirements name.
        PullError: its registry was asked, and does not have it.
    """
    if named is None:
        return Base(_DEFAULT.format(python or _DEFAULT_PYTHON), python or _DEFAULT_PYTHON)
    image = _full(named)
    if re.search(r"alpine|musl", image):
        raise InputError(
            f"base image {named} is Alpine's, whose C library the packages' wheels do not fit",
            where="image.base",
            fix="use an image with glibc, such as python:3.12-slim",
        )
    has = _python_in_name(image) or _python_inside(image, services, platforms) or python
    if not has:
        raise InputError(
            f"cannot tell which Python base image {named} has",
            where="image.base",
            fix="use an image that sets PYTHON_VERSION, as those named python do, or name python=3.12 in a conda file",
        )
    if python and has != python:
        fix = "use a base image with that version, or correct the requirements"
        what = f"base image {named} has Python {has}, but the requirements name {python}"
        raise InputError(what, where="image.base", fix=fix)
    return Base(image, has)


def resolve(base: Base, locked: LockedBase | None, services: Services, platforms: Sequence[str]) -> Base:
    """The base image with its digest.

    Args:
        base: without it.
        locked: of the lock file; if it is the same image, that digest is used and no registry is asked.
        services: of the project.
        platforms: for which it must be.

    Raises:
        InputError: it is not for one of the platforms.
        PullError: its registry does not have it, or could not be asked.
    """
    place = locate(base.image)
    if place.by_digest:
        return Base(base.image, base.python, place.reference)
    if locked is not None and locked.image == base.image:
        return Base(base.image, base.python, locked.digest)
    remote = _asked(base.image, services)
    for platform in platforms:
        if remote.platforms and Platform.parse(platform) not in remote.platforms:
            offered = ", ".join(map(str, remote.platforms))
            fix = f"name a base image that is for {platform}, or remove it from image.platforms"
            raise InputError(f"base image {base.image} is for {offered}, not {platform}", where="image.base", fix=fix)
    return Base(base.image, base.python, remote.digest)


def credential_for(image: str, services: Services) -> Credential | None:
    """The project's login for an image's registry; None for anonymous access."""
    host = "docker.io" if locate(image).host == DOCKER_HUB_HOST else locate(image).host
    login = services.credentials({host: frozenset()}).get(host)
    return Credential(host, login.username, login.password) if login is not None else None


def _full(named: str) -> str:
    """A reference with the host of its registry: engines other than Docker do not guess it."""
    place = locate(named)
    separator = "@" if place.by_digest else ":"
    host = "docker.io" if place.host == DOCKER_HUB_HOST else place.host
    tag = re.search(r":([\w.-]+)@", named)
    middle = f":{tag[1]}" if tag else ""
    return f"{host}/{place.repository}{middle}{separator}{place.reference}"


def _python_in_name(image: str) -> str:
    found = re.search(r"/python:(\d+\.\d+)", image)
    return found[1] if found else ""


def _python_inside(image: str, services: Services, platforms: Sequence[str]) -> str:
    """The version in PYTHON_VERSION, which Python's own images set and those that are built on them inherit."""
    with _named(image):
        contents = services.distribution.contents(image, credential_for(image, services), Platform.parse(platforms[0]))
    found = re.match(r"(\d+\.\d+)", contents.environment.get("PYTHON_VERSION", ""))
    return found[1] if found else ""


def _asked(image: str, services: Services) -> RemoteImage:
    with _named(image):
        return services.distribution.find(image, credential_for(image, services))


@contextmanager
def _named(image: str) -> Iterator[None]:
    """Name the base image in a registry's error."""
    try:
        yield
    except PullError as error:
        raise PullError(error.trouble, error.what, where=f"base image {image}", fix=error.fix) from error
