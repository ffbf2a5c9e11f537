"""buildah and podman, which builds with the same code and takes the same options."""

from __future__ import annotations

from typing import ClassVar

from manifestgen.errors import FoundError
from manifestgen.images.engines.engine import Commands, Engine, Job


class Buildah(Engine):
    """buildah: no daemon. Reads BUILDAH_ISOLATION and STORAGE_DRIVER as usual."""

    name = "buildah"
    program = "buildah"
    build_command: ClassVar[str] = "build"
    storage: ClassVar[tuple[tuple[str, ...], str]] = (("info",), r'"?graphRoot"?: *"?([^"\n]+)')

    def build(self, job: Job, commands: Commands) -> str:
        """See `Engine.build`. Each platform is an image; several are pushed as one index."""
        sources = job.folder / "context"
        sources.mkdir()
        job.context.write(sources)
        auth = ["--authfile", str(job.auth)] if job.auth is not None else []
        network = [*auth, *(["--tls-verify=false"] if job.insecure else [])]
        images = [self._built(job, platform, network, commands) for platform in job.platforms]
        meanwhile = job.pushed()
        if meanwhile is not None:
            commands.say(f"{job.reference} has been pushed by another build of the same inputs: it is used")
            return meanwhile
        if len(images) == 1:
            return self._pushed(job, ("push", *network), images[0], commands)
        # A unique name: another build of the same inputs may create its index in the same storage.
        index = f"{images[0].rpartition('-')[0]}-{job.folder.name}"
        self._run(job, commands, "manifest", "create", index)
        try:
            for image in images:
                self._run(job, commands, "manifest", "add", index, f"containers-storage:{image}")
            push = ("manifest", "push", "--all", "--format", "v2s2", *network)
            return self._pushed(job, push, index, commands)
        finally:
            self._ask("manifest", "rm", index)

    def _pushed(self, job: Job, push: tuple[str, ...], source: str, commands: Commands) -> str:
        """Push an image or an index, and return its digest.

        With a digest file, buildah 1.28 exits with 0 even if pushing an index fails; the file is empty in that case.
        Without one it says what is wrong.
        """
        file, target = job.folder / "digest", f"docker://{job.reference}"
        for attempt in range(2):
            self._run(job, commands, *push, "--digestfile", str(file), source, target)
            digest = file.read_text("ascii").strip()
            if digest:
                return digest
            if attempt == 0:
                self._run(job, commands, *push, source, target)
        fix = f"update {self.name}, or choose another engine: 'manifestgen image --engine'"
        raise FoundError(f"{self.name} has not said under which digest it pushed", where=job.reference, fix=fix)

    def _built(self, job: Job, platform: str, network: list[str], commands: Commands) -> str:
        """The name of the image for one platform in the engine's storage."""
        # The help of `--engine` names the engines, and need not wait for what packs a context.
        from manifestgen.cloud.context import target_arch

        commands.say(f"{self.name}: building for {platform}")
        image = f"localhost/manifestgen/{job.reference.partition('/')[2]}-{target_arch(platform)}"
        self._run(
            job,
            commands,
            self.build_command,
            # OCI's format has no HEALTHCHECK; time 0 makes equal inputs equal layers.
            *("--format", "docker", "--layers", "--timestamp", "0", "--platform", platform, *network),
            *("--file", str(job.folder / "context" / job.context.for_platforms((platform,)).dockerfile)),
            *(part for item in sorted(job.context.arguments.items()) for part in ("--build-arg", "=".join(item))),
            *("--tag", image),
            str(job.folder / "context"),
        )
        return image

    def _run(self, job: Job, commands: Commands, *arguments: str) -> None:
        commands.run([self.path or self.program, *arguments], reference=job.reference)


class Podman(Buildah):
    """podman: no daemon on Linux; elsewhere a virtual machine, which must be started."""

    name = "podman"
    program = "podman"

    @property
    def ask(self) -> tuple[str, ...]:
        """`info` asks the machine, where there is one."""
        return ("info",)
