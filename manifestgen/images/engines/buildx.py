"""docker buildx."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from manifestgen.errors import FoundError
from manifestgen.images.engines.engine import Commands, Engine, Job


class Buildx(Engine):
    """docker buildx: needs Docker's daemon, and for several platforms a capable builder (`docker buildx create`)."""

    name = "docker buildx"
    program = "docker"
    storage: ClassVar[tuple[tuple[str, ...], str]] = (("info", "--format", "{{.DockerRootDir}}"), r"^(/.*)$")

    @property
    def ask(self) -> tuple[str, ...]:
        """`inspect` contacts the daemon, and fails if the plug-in is missing."""
        return ("buildx", "inspect")

    def build(self, job: Job, commands: Commands) -> str:
        """See `Engine.build`. The context goes in as a tar, and the engine pushes what it has built."""
        environ = _with_logins(job.auth, job.folder) if job.auth is not None else {}
        if not job.context.dockerfiles or len(job.platforms) == 1:
            return self._built(job, job.reference, job.platforms, environ, commands)
        tags = {one: f"{job.reference}-{one.replace('/', '-')}" for one in job.platforms}
        for platform, tag in tags.items():
            self._built(job, tag, (platform,), environ, commands)
        commands.run(
            [self.path or self.program, "buildx", "imagetools", "create", "--tag", job.reference, *tags.values()],
            reference=job.reference,
            environ=environ,
        )
        digest = job.pushed()
        if digest is None:
            what = "docker buildx has pushed an index, and the registry does not say its digest"
            raise FoundError(what, where=job.reference, fix="log in to the registry with 'docker login'")
        return digest

    def _built(
        self, job: Job, reference: str, platforms: tuple[str, ...], environ: Mapping[str, str], commands: Commands
    ) -> str:
        """Build and push for platforms that share a Dockerfile; returns the digest."""
        metadata = job.folder / "metadata.json"
        context = job.context.for_platforms(platforms)
        options = ("type=image", f'"name={reference}"', "push=true", "compression=gzip", "rewrite-timestamp=true")
        given = (f"{name}={value}" for name, value in sorted(context.arguments.items()))
        arguments = [
            *(self.path or self.program, "buildx", "build", "--progress", "plain"),
            *("--platform", ",".join(platforms), "--file", context.dockerfile),
            # Old runtimes mistake an attestation for an image (Azure/iotedge#7538).
            *("--provenance=false", "--sbom=false", "--build-arg", "SOURCE_DATE_EPOCH=0"),
            *(part for one in given for part in ("--build-arg", one)),
            *("--output", ",".join(options), "--metadata-file", str(metadata), "-"),
        ]
        commands.run(arguments, reference=reference, environ=environ, context=context)
        try:
            digest = json.loads(metadata.read_text("utf-8"))["containerimage.digest"]
        except (OSError, ValueError, KeyError, TypeError):
            what = "docker buildx has pushed an image and not said its digest"
            raise FoundError(what, where=reference, fix="update docker buildx to 0.8 or later") from None
        return str(digest)


def _with_logins(auth: Path, folder: Path) -> dict[str, str]:
    """Variables that give Docker other logins, but keep its builders, contexts and plug-ins.

    Docker has no separate file for logins, and `docker login` would store the password in the user's own.
    """
    usual = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    config = folder / "docker"
    config.mkdir(mode=0o700)
    for entry in usual.iterdir() if usual.is_dir() else ():
        if entry.name != "config.json":
            (config / entry.name).symlink_to(entry)
    auth.rename(config / "config.json")
    return {"DOCKER_CONFIG": str(config), "BUILDX_CONFIG": os.environ.get("BUILDX_CONFIG") or str(usual / "buildx")}
