"""The builder `local`: an engine on this machine builds the context and pushes the image."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from manifestgen.cloud import Build, BuildRequest, BuildState, BuildStatus, Context, Login, Requirement, Services
from manifestgen.cloud.distribution import locate
from manifestgen.context.make import check
from manifestgen.context.uv import find_uv
from manifestgen.errors import InputError, ManifestgenError, NotFoundError
from manifestgen.images.content_tag import digest_of
from manifestgen.images.engines import find_engine
from manifestgen.images.engines.engine import Cancelled, Commands, Engine, Job
from manifestgen.images.engines.logins import has_login, own_logins, write_logins
from manifestgen.project.load import Project
from manifestgen.project.pending import work_folder

# Where a registry may speak HTTP, as Docker sees it.
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3})(?::\d+)?")


# Bytes of packages and base image, in a context and in layers of several platforms.
_USUAL: Final = 1_000_000_000


def open_builder(project: Project, services: Services) -> LocalBuilder:
    """The builder of a project."""
    return LocalBuilder(project, services)


@dataclass
class _Running:
    """A build in a thread of this process."""

    request: BuildRequest
    commands: Commands = field(default_factory=Commands)
    done: threading.Event = field(default_factory=threading.Event)
    digest: str = ""
    error: BaseException | None = None


class LocalBuilder:
    """Implements `manifestgen.cloud.Builder`. A build belongs to the process that started it."""

    packages: Mapping[str, str] = {}

    def __init__(self, project: Project, services: Services) -> None:
        self._project = project
        self._services = services
        self._builds: dict[str, _Running] = {}

    @cached_property
    def _engine(self) -> Engine:
        return find_engine(self._project.engine)

    def requirements(self) -> Sequence[Requirement]:
        """See `Builder.requirements`."""

        def inputs() -> str:
            check(self._project)
            return "ok (static checks only)"

        return (
            Requirement("entry script and requirements", inputs),
            Requirement("engine", lambda: self._engine.version()),
            Requirement("uv", find_uv),
            Requirement("disk", self._disk),
        )

    def _disk(self) -> str:
        """How much is free where the context and the engine's layers go. Raises InputError if it is too little."""
        model = self._project.model.path if self._project.model is not None else None
        needed = _USUAL + 2 * (_size(model) if model is not None else 0)
        folders = {"the build context": self._project.root}
        try:
            layers = self._engine.storage_folder()
        except ManifestgenError:
            layers = None  # the row of the engine says what is wrong
        if layers is not None:
            folders["the engine's layers"] = layers
        free = {what: shutil.disk_usage(folder).free for what, folder in folders.items()}
        for what, folder in folders.items():
            if free[what] < needed:
                raise InputError(
                    f"{_gigabytes(free[what])} are free for {what}, and a build needs about {_gigabytes(needed)}",
                    where=str(folder),
                    fix="free disk space: engines keep old layers until 'docker system prune', 'podman system prune' "
                    "or 'buildah prune'",
                )
        return ", ".join(f"{_gigabytes(size)} free for {what}" for what, size in free.items())

    def check_inputs(self) -> None:
        """See `Builder.check_inputs`."""
        check(self._project)

    def check_ready(self) -> None:
        """Raise unless an engine is installed and can build."""
        self._engine.version()

    def start(self, request: BuildRequest) -> Build:
        """See `Builder.start`."""
        if request.context is None:
            raise ValueError("the builder local builds from a context")
        # Remains of a killed run, including logins. Only one run at a time locks the project.
        for left in work_folder(self._project.root).glob(f"build.{self._project.module.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        running = _Running(request)
        build = Build(uuid.uuid4().hex[:12])
        self._builds[build.operation] = running
        threading.Thread(target=self._work, args=(running, request.context), name="build", daemon=True).start()
        return build

    def find(self, request: BuildRequest) -> Build | None:
        """None: an engine keeps no record of what it has pushed; the registry is asked instead."""
        return None

    def status(self, build: Build) -> BuildStatus:
        """See `Builder.status`. Raises the error of a build that failed, by its cause."""
        running = self._running(build)
        if not running.done.is_set():
            return BuildStatus(BuildState.RUNNING)
        if isinstance(running.error, Cancelled):
            return BuildStatus(BuildState.FAILED, error="it was cancelled")
        if running.error is not None:
            raise running.error
        request = running.request
        return BuildStatus(
            BuildState.SUCCEEDED, reference=request.reference, digest=running.digest, platforms=request.platforms
        )

    def log(self, build: Build, offset: int = 0) -> str:
        """See `Builder.log`."""
        return "".join(self._running(build).commands.output)[offset:]

    def cancel(self, build: Build) -> bool:
        """End the engine's command, and what it has started."""
        running = self._running(build)
        running.commands.cancel()
        running.done.wait()
        return True

    def registry_id(self) -> str | None:
        """None: the image goes to `image.registry`."""
        return None

    def _running(self, build: Build) -> _Running:
        if build.operation not in self._builds:
            fix = "run the same command again: it builds anew"
            raise NotFoundError("the process that built this has ended", where=f"build {build.operation}", fix=fix)
        return self._builds[build.operation]

    def _work(self, running: _Running, context: Context) -> None:
        request = running.request
        folder = Path(
            tempfile.mkdtemp(prefix=f"build.{self._project.module.name}.", dir=work_folder(self._project.root))
        )
        try:
            job = self._job(request, context, folder, running.commands)
            running.digest = self._engine.build(job, running.commands)
        except BaseException as error:  # `status` raises it where it can be shown
            running.error = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            running.done.set()

    def _job(self, request: BuildRequest, context: Context, folder: Path, commands: Commands) -> Job:
        config = own_logins()
        hosts = [request.registry]
        if self._project.image is not None and self._project.image.base is not None:
            hosts.append(locate(self._project.image.base).host)
        logins: dict[str, Login] = {}
        for host in dict.fromkeys(hosts):
            if not has_login(config, host):
                try:
                    logins |= self._services.credentials({host: frozenset()})
                except ManifestgenError as error:
                    commands.say(f"no login for {host}: {error}")
        auth = folder / "auth.json" if logins else None
        if auth is not None:
            write_logins(config, logins, auth)
        insecure = _LOOPBACK.fullmatch(request.registry) is not None

        def pushed() -> str | None:
            try:
                return digest_of(request.reference, self._services)
            except ManifestgenError:
                return None  # permission to push does not imply permission to read

        return Job(context, request.reference, request.platforms, folder, auth, insecure, pushed)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; 0 if it is missing, which another row says."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
