"""Registry hosts as users and image references write them."""

from __future__ import annotations

import re
from typing import Final

from manifestgen.errors import InputError
from manifestgen.manifest.image import DOCKER_HUB

# Docker's names of a registry, its own hub in full, and the parent of a nested device.
_HOST: Final = r"(https://index\.docker\.io/v1/)|(\$upstream|[A-Za-z0-9][A-Za-z0-9.-]*)(:[0-9]{1,5})?"
# Names of Docker Hub in images and in project files.
_DOCKER_NAMES: Final = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})


def comparable(host: str) -> str:
    """A registry host in a form that can be compared: lower case, and one name for Docker Hub."""
    host = host.lower()
    return "docker.io" if host in _DOCKER_NAMES else host


def check_host(host: str, where: str) -> None:
    """Raise InputError, at this place, unless the text can be the host of a registry."""
    if not re.fullmatch(_HOST, host):
        fix = "write it as in an image reference, such as acme.azurecr.io, docker.io or localhost:5000"
        raise InputError(f"{host!r} is not a registry host", where=where, fix=fix)
