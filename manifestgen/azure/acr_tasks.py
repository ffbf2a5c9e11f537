"""The builder `acr`: the registry builds the image itself, with ACR Tasks.

One run builds the image for one platform, and pushes it under a separate tag, `TAG-linux-arm64`. Once all runs have
succeeded, the image's tag is put: on an index of these images, or on the image itself if there is one platform. So the
tag exists only for a complete image, and it is put only where it does not exist: another build may have been faster.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from manifestgen.azure.acr_push import Repository
from manifestgen.azure.acr_tasks_arm import LOCAL, SUCCEEDED, Place, Run, Tasks, request_body
from manifestgen.azure.acr_tasks_failure import explain
from manifestgen.azure.acr_tasks_log import BuildLog, RunLog
from manifestgen.azure.acr_tasks_source import MARK, marked, packed, upload
from manifestgen.azure.rest import Rest
from manifestgen.cloud import Build, BuildRequest, BuildState, BuildStatus, Requirement, Services
from manifestgen.cloud.context import Context, target_arch
from manifestgen.context.uv import find_uv
from manifestgen.errors import CloudError, DeniedError, NotFoundError, UnconfirmedError
from manifestgen.project import Project
from manifestgen.project.score import check_inputs

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# Seconds: of a run, after which ACR ends it even if this process no longer does.
_TIMEOUT: Final = 3600
# How many of the latest runs may be one that is looked for.
_RECENT: Final = 30
# How often a request to queue a run is sent if its answer is lost and no run is found, and how often runs are listed.
_TRIES: Final = 3
_LOOKS: Final = 12
_PAUSE: Final = 5.0
# Seconds after a tag was put, by which a build that found no tag just before has put its own.
_SETTLE: Final = 1.0
# Offers without ACR Tasks, by the beginning of their quota IDs.
_WITHOUT_TASKS: Final = ("FreeTrial_", "AzureForStudents")


def open_builder(project: Project, services: Services) -> TaskBuilder:
    """The builder of a project."""
    image = project.image
    if image is None:
        raise ValueError("the project builds no image")
    return TaskBuilder(
        image.registry or "",
        image.name or "",
        services,
        lambda: check_inputs(project),
        agent_pool=image.agent_pool or "",
    )


class TaskBuilder:
    """Implements `manifestgen.cloud.Builder`. A build's operation is `linux/amd64=cb1,linux/arm64=cb2`.

    An image that is already in the registry is listed by its digest: `linux/amd64=sha256:…`.

    Args:
        host: login server of the registry.
        name: of the image.
        services: to find the registry.
        check: checks what the image is made from; raises InputError.
        agent_pool: of the registry, for one that ACR's shared agents cannot reach.
        credential: of azure-identity; None for that of `manifestgen.azure.auth`.
        sleep: waits.
    """

    packages: Final[Mapping[str, str]] = {}

    def __init__(
        self,
        host: str,
        name: str,
        services: Services,
        check: Callable[[], None] = lambda: None,
        *,
        agent_pool: str = "",
        credential: TokenCredential | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host.lower()
        self._name = name
        self._services = services
        self._check = check
        self._agent_pool = agent_pool
        self._credential = credential
        self._sleep = sleep
        self._repositories: dict[str, Repository] = {}
        self._log: tuple[str, BuildLog] | None = None
        self._over: set[str] = set()

    def requirements(self) -> Sequence[Requirement]:
        """See `Builder.requirements`."""

        def inputs() -> str:
            self.check_inputs()
            return "ok (static checks only)"

        return (
            Requirement("entry script and requirements", inputs),
            Requirement("uv", find_uv),
            Requirement("registry tasks", self._check_tasks, login=True),
            Requirement("registry permissions", self._check_permissions, login=True),
        )

    def check_inputs(self) -> None:
        """See `Builder.check_inputs`."""
        self._check()

    def check_ready(self) -> None:
        """See `Builder.check_ready`: whether the registry can be reached by ACR, and pushed to by the identity."""
        self._check_reach()
        self._repository(self._name).check_push()

    def start(self, request: BuildRequest) -> Build:
        """See `Builder.start`. Raises InputError if the context is too large, before anything is sent."""
        if request.context is None:
            raise ValueError("ACR builds from a build context")
        parts = {platform: self._existing(request, platform) for platform in request.platforms}
        scheduled: list[str] = []
        with ExitStack() as stack:
            sources: dict[str, Path] = {}
            for platform in (one for one, part in parts.items() if not part):
                context = marked(request.context.for_platforms((platform,)), _mark(request, platform))
                sources[platform] = stack.enter_context(packed(context))
            try:
                for platform, source in sources.items():
                    run = self._queue(request, platform, source)
                    scheduled.append(run.id)
                    parts[platform] = run.id
            except BaseException:
                # Also on Ctrl-C: a run without a waiting client must not continue.
                self._end(scheduled)
                raise
        return Build(
            ",".join(f"{platform}={part}" for platform, part in parts.items()), f"{request.name}:{request.label}"
        )

    def find(self, request: BuildRequest) -> Build | None:
        """See `Builder.find`: from the registry's images and its latest runs."""
        parts = {platform: self._existing(request, platform) for platform in request.platforms}
        if not parts or not all(parts.values()):
            return None
        return Build(
            ",".join(f"{platform}={part}" for platform, part in parts.items()), f"{request.name}:{request.label}"
        )

    def status(self, build: Build) -> BuildStatus:
        """See `Builder.status`. Puts the image's tag once every platform is there."""
        parts = _parts(build)
        runs = {platform: self._tasks.run(part) for platform, part in parts.items() if not _is_digest(part)}
        self._over |= {run.id for run in runs.values() if not run.active}
        failed = next((run for run in runs.values() if not run.active and run.status != SUCCEEDED), None)
        if failed is not None:
            self._end([run.id for run in runs.values() if run.active])
            why = explain(failed, self._tail(failed), by_repository=self._place.by_repository, timeout=_TIMEOUT)
            return BuildStatus(BuildState.FAILED, error=why.what, fix=why.fix)
        if any(run.active for run in runs.values()):
            queued = all(run.status == "Queued" for run in runs.values())
            return BuildStatus(BuildState.QUEUED if queued else BuildState.RUNNING)
        name, _, label = build.image.rpartition(":")
        digest = self._finish(name, label, parts)
        return BuildStatus(
            BuildState.SUCCEEDED, reference=f"{self._host}/{build.image}", digest=digest, platforms=tuple(parts)
        )

    def log(self, build: Build, offset: int = 0) -> str:
        """See `Builder.log`: of one run after the other."""
        known = self._log
        if known is None or known[0] != build.operation or known[1].delivered != offset:
            runs = {platform: part for platform, part in _parts(build).items() if not _is_digest(part)}
            known = (
                build.operation,
                BuildLog({part: (platform, self._run_log(part)) for platform, part in runs.items()}),
            )
            known[1].skip(offset)
            self._log = known
        return known[1].more(self._over)

    def cancel(self, build: Build) -> bool:
        """See `Builder.cancel`."""
        return self._end([part for part in _parts(build).values() if not _is_digest(part)])

    def registry_id(self) -> str | None:
        """See `Builder.registry_id`."""
        return self._tasks.registry.id

    @cached_property
    def _tasks(self) -> Tasks:
        return Tasks(self._services.registry.by_host(self._host), self._credential)

    @cached_property
    def _place(self) -> Place:
        return self._tasks.place()

    @cached_property
    def _storage(self) -> Rest:
        return Rest("the storage of ACR Tasks")

    def _repository(self, name: str) -> Repository:
        if name not in self._repositories:
            self._repositories[name] = Repository(
                self._host, name, self._credential, by_repository=self._place.by_repository
            )
        return self._repositories[name]

    def _check_tasks(self) -> str:
        offer = self._tasks.offer()
        if offer.startswith(_WITHOUT_TASKS):
            raise DeniedError(f"the subscription's offer {offer} does not include ACR Tasks", where="", fix=LOCAL)
        self._check_reach()
        latest = next(iter(self._tasks.latest(1)), None)
        if latest is not None and latest.status == SUCCEEDED:
            return f"allowed: the last run, {latest.id}, succeeded"
        return "can be listed; whether the subscription includes them shows with the first build"

    def _check_permissions(self) -> str:
        if self._place.by_repository:
            return (
                "for each repository (ABAC): the identity needs 'Container Registry Repository Writer', runs act as it"
            )
        return "for the whole registry: the identity needs 'AcrPush'"

    def _check_reach(self) -> None:
        if self._place.closed and not self._agent_pool:
            raise DeniedError(
                "the registry's network rules keep out ACR's shared agents",
                where=self._tasks.where,
                fix=f"set image.agent_pool to an agent pool in the registry's network, or {LOCAL}",
            )

    def _existing(self, request: BuildRequest, platform: str) -> str:
        """The digest of a platform's image, or the run that builds it now; empty if there is neither."""
        digest = self._repository(request.name).digest(_tag(request.label, platform))
        if digest is not None:
            return digest
        runs = [run for run in self._tasks.latest(_RECENT) if run.active and run.platform == platform]
        return next((run.id for run in runs if self._builds(run, _mark(request, platform))), "")

    def _queue(self, request: BuildRequest, platform: str, source: Path) -> Run:
        """Upload a source and queue its run; if the answer is lost, look for the run before it is queued again."""
        path = upload(source, self._tasks.upload_place, self._storage)
        context = (request.context or Context(())).for_platforms((platform,))
        body = request_body(
            image=_mark(request, platform),
            dockerfile=context.dockerfile,
            platform=platform,
            source=path,
            arguments={"TARGETARCH": target_arch(platform), **context.arguments},
            timeout=_TIMEOUT,
            by_repository=self._place.by_repository,
            agent_pool=self._agent_pool,
        )
        known = {run.id for run in self._tasks.latest(_RECENT)}
        for number in range(_TRIES):
            try:
                return self._tasks.schedule(body)
            except UnconfirmedError as error:
                found = self._lost(_mark(request, platform), platform, known, error)
                if found is not None:
                    return found
                if number == _TRIES - 1:
                    raise
        raise AssertionError("the last try has returned or raised")

    def _lost(self, mark: str, platform: str, known: set[str], error: UnconfirmedError) -> Run | None:
        """The run whose answer was lost; None if there is none.

        Raises:
            UnconfirmedError: there is one that may be it, but its log does not say so in time.
        """
        for number in range(_LOOKS):
            new = [run for run in self._tasks.latest(_RECENT) if run.id not in known and run.platform == platform]
            verdicts = [self._builds(run, mark) for run in new]
            if True in verdicts:
                return new[verdicts.index(True)]
            if None not in verdicts and number:
                return None
            self._sleep(_PAUSE)
        raise error

    def _builds(self, run: Run, mark: str) -> bool | None:
        """Whether a run builds an image; None while its log does not say."""
        if mark in run.digests:
            return True
        try:
            head = self._run_log(run.id).head()
        except CloudError:
            return None  # another user's run may go on where this identity cannot read
        if re.search(rf"{MARK}={re.escape(mark)}(?![\w.-])", head):
            return True
        return False if not run.active or "Step 1/" in head else None

    def _run_log(self, run_id: str) -> RunLog:
        return RunLog(lambda: self._tasks.log_url(run_id), self._storage)

    def _tail(self, run: Run) -> str:
        """The end of a run's log, which says more than its error; empty if it cannot be read."""
        try:
            return self._run_log(run.id).tail()
        except CloudError:
            return ""

    def _finish(self, name: str, label: str, platforms: Collection[str]) -> str:
        """Put the image's tag, unless another build was faster; returns the digest of what it names."""
        repository = self._repository(name)
        existing = repository.digest(label)
        if existing is not None:
            return existing
        digests: dict[str, str] = {}
        for platform in platforms:
            tag = _tag(label, platform)
            # Of two builds at once, both then put the same index.
            digest = repository.digest(tag)
            if digest is None:
                raise NotFoundError(
                    f"the registry no longer has the image for {platform}",
                    where=f"{self._host}/{name}:{tag}",
                    fix="run the same command to build it again",
                )
            digests[platform] = digest
        # A registry cannot put a tag on condition that there is none. So look just before; and after a pause in which
        # another build that looked at the same time has put its own, take the one that the registry kept.
        faster = repository.digest(label)
        if faster is not None:
            return faster
        put = repository.put(label, digests)
        self._sleep(_SETTLE)
        return repository.digest(label) or put

    def _end(self, runs: Sequence[str]) -> bool:
        """End runs; returns whether all are over or will be."""
        ended = True
        for run_id in runs:
            try:
                self._tasks.cancel(run_id)
            except CloudError:
                ended = False
        return ended


def _tag(label: str, platform: str) -> str:
    return f"{label}-{platform.replace('/', '-')}"


def _mark(request: BuildRequest, platform: str) -> str:
    return f"{request.name}:{_tag(request.label, platform)}"


def _parts(build: Build) -> dict[str, str]:
    pairs = (part.partition("=") for part in build.operation.split(",") if part)
    return {platform: part for platform, _, part in pairs}


def _is_digest(part: str) -> bool:
    return part.startswith("sha256:")
