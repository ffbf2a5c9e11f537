"""Container engines on this machine that can build and push an image: docker buildx, podman, buildah.

To add one: a module with a class like those here, and its line in `ENGINES`.
"""

from __future__ import annotations

from typing import Final

from manifestgen.errors import InputError, ManifestgenError
from manifestgen.images.engines.buildah import Buildah, Podman
from manifestgen.images.engines.buildx import Buildx
from manifestgen.images.engines.engine import Engine

#: By the name that `--engine` gives; without it, the first that can build.
ENGINES: Final[dict[str, type[Engine]]] = {"docker": Buildx, "podman": Podman, "buildah": Buildah}


def find_engine(name: str = "") -> Engine:
    """The engine of a name, or the first that can build.

    Raises:
        InputError: it is not installed or cannot build, or none can.
    """
    if name and name not in ENGINES:
        raise InputError(f"unknown engine {name!r}", where="--engine", fix=f"use one of: {', '.join(ENGINES)}")
    chosen = [engine for engine in (ENGINES[key]() for key in ENGINES if name in ("", key)) if engine.path is not None]
    if not chosen and name:
        fix = f"install it, or use another engine: 'manifestgen image --engine' takes {', '.join(ENGINES)}"
        raise InputError(f"{name} is not installed", where="--engine", fix=fix)
    if not chosen:
        raise InputError(
            "no container engine is installed: docker, podman and buildah were looked for",
            where="builder local",
            fix="install one of them, or write 'builder: acr' to let the registry build",
        )
    first: ManifestgenError | None = None
    for engine in chosen:
        try:
            engine.version()
        except ManifestgenError as error:
            first = first or error
        else:
            return engine
    assert first is not None  # noqa: S101 - there was at least one
    raise first
