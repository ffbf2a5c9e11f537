"""Builds a model's image: registers the model, builds the image, waits, and writes both to the lock file.

Every step first checks whether it has been done already: in the lock file, in the files of an interrupted run, in
the registry, with the model source and the builder. So a second run resumes, and nothing is registered or built twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final

import msgspec

from manifestgen import __version__
from manifestgen.cloud import (
    Build,
    Builder,
    BuildRequest,
    BuildState,
    BuildStatus,
    Context,
    ModelRegistration,
    ModelSource,
    RegisteredModel,
    Services,
)
from manifestgen.errors import FoundError, Interrupted, ManifestgenError, NotFoundError
from manifestgen.images.content_tag import content_tag, digest_of, look_up, own_tag
from manifestgen.images.existing import identify, is_gone, is_of, registered
from manifestgen.images.ingredients import Ingredients
from manifestgen.images.sizes import Transfer, described
from manifestgen.project.builders import entry_of, platforms_of
from manifestgen.project.fit import check_lock
from manifestgen.project.inputs import input_hashes, inputs_hash
from manifestgen.project.load import Project
from manifestgen.project.lock import Lock, LockedModel, path_of, read, workspace_name, write
from manifestgen.project.pending import Pending, Progress
from manifestgen.project.sections import Image, Model
from manifestgen.target import Patience

_LOG_LINES = 20


#: How long to wait for a build, which some builders continue afterwards.
PATIENCE: Final = Patience(timeout=1800.0, first=2.0, longest=2.0)


@dataclass(frozen=True)
class Reporter:
    """Callbacks for progress.

    Attributes:
        step: a sentence about a step that was taken.
        state: the state of the build, and the seconds since it was started.
        log: the next lines of the build log.
        named: creates the reporter for one of several modules.
    """

    step: Callable[[str], None] = lambda text: None
    state: Callable[[BuildState, float], None] = lambda state, seconds: None
    log: Callable[[str], None] = lambda text: None
    named: Callable[[str], Reporter] | None = None

    def of(self, module: str) -> Reporter:
        """The reporter for one of several modules, whose lines begin with its name."""
        if self.named is not None:
            return self.named(module)
        return Reporter(lambda text: self.step(f"{module}: {text}"), self.state, self.log)


@dataclass(frozen=True)
class Prepared:
    """The image of a project's model.

    Attributes:
        reused: whether it existed already.
        pulls: a device's download by platform, if known and new in this lock file.
    """

    lock: Lock
    reused: bool
    pulls: Mapping[str, Transfer] = field(default_factory=dict)


def prepare(
    project: Project,
    services: Services,
    *,
    rebuild: bool = False,
    locked: bool = False,
    first: Callable[[], None] = lambda: None,
    before_build: Callable[[], None] = lambda: None,
    patience: Patience = PATIENCE,
    report: Reporter = Reporter(),
) -> Prepared:
    """Register a module's model if it is a file, build its image unless it exists already, and wait for it.

    The caller must hold the project's lock (`project.pending.exclusive`).

    Args:
        project: of one module, which builds its image.
        services: of that module, see `Services.of`.
        rebuild: build even if the lock file has an image of these inputs.
        locked: use the lock file's image, and register and build nothing.
        first: called once something must be registered or built; raises to stop.
        before_build: is called once it is known that an image must be built that is not being built already, before
            anything is registered, and stops that if it raises.

    Raises:
        InputError: the entry script, the conda file or the model is missing or invalid.
        FoundError: the build failed (with the last lines of its log) or took too long; with `locked`, the lock file is
            missing or no longer fits, or the registry no longer has its image.
        CloudError: a service rejected a request, or could not be reached.
        Interrupted: by Ctrl-C; the service continues with the build.
    """
    if project.image is None or not project.builds:
        raise ValueError("the project builds no image")
    if locked:
        check_lock(project, locked=True)
    run = _Preparation(project, project.image, services, rebuild, locked, first, before_build, patience, report)
    try:
        return run.prepared()
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {entry_of(project.image).service} continues with what it was sent",
            fix="run the same command again: it resumes",
        ) from None


@dataclass(frozen=True)
class _Preparation:
    """One run of `prepare`, which says what the attributes are."""

    project: Project
    image: Image
    services: Services
    rebuild: bool
    must_fit: bool
    first: Callable[[], None]
    before_build: Callable[[], None]
    patience: Patience
    report: Reporter

    def prepared(self) -> Prepared:
        """The image: the lock file's, one that is in the registry, or a new one."""
        services, report = self.services, self.report
        services.builder.check_inputs()
        model, known = identify(self.project.model, services)
        ingredients = Ingredients.of(self.project, services, model, report.step)
        ingredients.keep()
        inputs = inputs_hash(self.project, known, ingredients.lock)
        locked = read(self.project)
        if locked is not None and is_of(locked, self.project, inputs) and not self.rebuild:
            if not is_gone(locked, services, report.step):
                report.step(f"image {locked.image} is up to date, reusing it")
                return Prepared(locked, reused=True)
            if self.must_fit:
                raise _not_locked(self.project, f"image {locked.image} is no longer in its registry")
            report.step(f"image {locked.image} is no longer in its registry, building it again")
        if self.must_fit:
            raise _not_locked(self.project, f"the lock file is not for {_named(self.project.model, model)}")
        _call(self.first)
        pending = self._progress.read(inputs)
        if not self.rebuild and _pending_build(pending) is None:
            found = look_up(self.image, inputs, services, report.step)
            if found.image:
                report.step(f"image {found.image} is already in the registry, reusing it")
                spec = self.project.model
                if spec is not None and known is not None:
                    known = _in_image(spec, model, known, services.models)
                return self._written(self._lock(known, inputs, found.image, found.digest), locked, reused=True)
            pending = self._progress.write(pending, label=pending.label or found.label)
        return self._built(model, known, ingredients, inputs, locked, pending)

    def _built(
        self,
        model: RegisteredModel | None,
        known: LockedModel | None,
        ingredients: Ingredients,
        inputs: str,
        locked: Lock | None,
        pending: Pending,
    ) -> Prepared:
        """A new image, or the one of a build that is running already."""
        services, report, spec = self.services, self.report, self.project.model
        if _pending_build(pending) is None:
            _call(self.before_build)
        services.builder.check_ready()
        ingredients = ingredients.gathered(services, None if self.rebuild else locked, report.step)
        if model is None and spec is not None and known is not None:
            model = _register(spec, known.sha256 or "", services.models, report)
        build, pending = self._started(model, inputs, ingredients.context(model, inputs, services), pending)
        status = self._finished(build, pending)
        if model is not None and known is not None:
            known = LockedModel(name=model.name, version=model.version, sha256=known.sha256)
        digest = status.digest or _reported_digest(status.reference, services, report)
        built_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        lock = self._lock(known, inputs, status.reference, digest, built_at)
        prepared = self._written(msgspec.structs.replace(lock, base=ingredients.base), locked, reused=False)
        report.step(f"built {prepared.lock.image}")
        return prepared

    @property
    def _progress(self) -> Progress:
        return Progress(self.project)

    def _lock(
        self, model: LockedModel | None, inputs: str, reference: str, digest: str | None, built_at: str = ""
    ) -> Lock:
        return Lock(
            model=model,
            builder=self.image.builder,
            image=reference,
            digest=digest,
            inputs=inputs,
            built_at=built_at,
            manifestgen=__version__,
            workspace=workspace_name(self.project),
            parts=input_hashes(self.project, model),
        )

    def _written(self, lock: Lock, former: Lock | None, *, reused: bool) -> Prepared:
        """The image, once the lock file has it."""
        lock, pulls = described(lock, former, self.image, self.services, self.report.step)
        write(self.project, lock)
        self._progress.clear()
        return Prepared(lock, reused=reused, pulls=pulls)

    def _started(
        self, model: RegisteredModel | None, inputs: str, context: Context | None, pending: Pending
    ) -> tuple[Build, Pending]:
        """The build of these inputs: one that is already running, or a new one."""
        image, builder = self.image, self.services.builder
        if not pending.label:
            # Devices do not pull a tag that they already have.
            pending = self._progress.write(pending, label=own_tag(inputs) if self.rebuild else content_tag(inputs))
        request = BuildRequest(
            name=image.name or "",
            label=pending.label,
            model=model,
            inputs=inputs,
            entry_script=image.entry_script,
            conda_file=image.conda_file,
            tags=image.tags,
            description=image.description,
            registry=image.registry or "",
            platforms=platforms_of(image) if entry_of(image).context else (),
            context=context,
        )
        known = _pending_build(pending) or (None if self.rebuild else builder.find(request))
        if known is not None and _is_alive(builder, known):
            self.report.step("resuming the build of these inputs")
            build = known
        else:
            self.report.step(f"building image {image.name} with {entry_of(image).service} ({image.builder})")
            build = builder.start(request)
        changes = {"builder": image.builder, "operation": build.operation, "image": build.image}
        return build, self._progress.write(pending, **changes)

    def _finished(self, build: Build, pending: Pending) -> BuildStatus:
        """Wait for a build; Ctrl-C cancels it, where its builder can."""
        try:
            return self._waited(build, pending)
        except KeyboardInterrupt:
            if not self.services.builder.cancel(build):
                raise
            self._forget(pending)
            fix = "run the same command to start it again"
            raise Interrupted("interrupted; the build was cancelled", fix=fix) from None

    def _waited(self, build: Build, pending: Pending) -> BuildStatus:
        builder, patience, report = self.services.builder, self.patience, self.report
        started = patience.clock()
        pauses = patience.pauses()
        log = ""
        while True:
            status = builder.status(build)
            piece = builder.log(build, len(log))
            if piece:
                log += piece
                report.log(piece)
            seconds = patience.clock() - started
            report.state(status.state, seconds)
            if status.state is BuildState.SUCCEEDED:
                return status
            if status.state is BuildState.FAILED:
                self._forget(pending)
                raise _failed(build, status, log)
            if seconds >= patience.timeout and builder.cancel(build):
                self._forget(pending)
                raise FoundError(
                    f"the build took longer than {patience.timeout:.0f} s and was cancelled",
                    where=f"build {build.operation}",
                    fix="see in its log what takes so long",
                    options=("give it more time with --build-timeout", "give it more time with --timeout"),
                )
            if seconds >= patience.timeout:
                raise FoundError(
                    f"the build is still {status.state.value} after {seconds:.0f} s",
                    where=f"build {build.operation}",
                    fix="run the same command again to keep waiting",
                    options=("wait longer with --build-timeout", "wait longer with --timeout"),
                )
            patience.sleep(next(pauses))

    def _forget(self, pending: Pending) -> None:
        """A build that has failed or was cancelled is not resumed; its tag is kept."""
        self._progress.write(pending, operation="", image="")


def _call(hook: Callable[[], None]) -> None:
    try:
        hook()
    except KeyboardInterrupt:
        fix = "run the same command again"
        raise Interrupted("interrupted; nothing was registered or built", fix=fix) from None


def _in_image(spec: Model, model: RegisteredModel | None, known: LockedModel, models: ModelSource) -> LockedModel:
    """The model in an image that was built elsewhere: its version, if the model source has it."""
    found = model or registered(spec, known.sha256, models)
    version = found.version if found is not None else ""
    return LockedModel(name=known.name, version=version, sha256=known.sha256)


def _not_locked(project: Project, what: str) -> FoundError:
    fix = "run the command without --locked, and commit the lock file that it writes"
    return FoundError(what, where=str(path_of(project)), fix=fix)


def _named(spec: Model | None, model: RegisteredModel | None) -> str:
    if spec is None:
        return "these inputs"
    return f"model {model.id if model is not None else spec.name}"


def _reported_digest(image: str, services: Services, report: Reporter) -> str | None:
    """The image's digest; None, which is reported, if the registry does not return it: the image works without it."""
    try:
        return digest_of(image, services)
    except ManifestgenError as error:
        report.step(f"could not read the digest of {image}: {error}")
        return None


def _register(spec: Model, sha256: str, models: ModelSource, report: Reporter) -> RegisteredModel:
    """Register the model's file, unless there is a version with its content, tags and description."""
    assert spec.path is not None  # noqa: S101 - the caller has its hash
    known = registered(spec, sha256, models)
    if known is not None:
        if models.registers:
            report.step(f"model {known.id} is already registered, reusing it")
        else:
            report.step(f"using model {known.id} from {spec.path.name}; without a workspace, it is not registered")
        return known
    report.step(f"registering model {spec.name} from {spec.path.name}")
    model = models.register(ModelRegistration(spec.name, spec.path, sha256, spec.tags, spec.description))
    report.step(f"registered model {model.id}")
    return model


def _pending_build(pending: Pending) -> Build | None:
    return Build(pending.operation, pending.image) if pending.operation or pending.image else None


def _is_alive(builder: Builder, build: Build) -> bool:
    """Whether a build that an earlier run started can still succeed."""
    try:
        return builder.status(build).state is not BuildState.FAILED
    except NotFoundError:
        return False


def _failed(build: Build, status: BuildStatus, log: str) -> FoundError:
    lines = tuple(line.rstrip() for line in log.splitlines() if line.strip())[-_LOG_LINES:]
    return FoundError(
        f"the image build failed: {status.error or 'no reason given'}",
        where=f"build {build.operation}",
        fix=status.fix or "correct the conda file or the script as the build log says, and run the same command again",
        detail=lines,
    )
