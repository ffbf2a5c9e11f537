"""A registry of models and a builder in memory; they pass the contract suite of `ModelSource` and `Builder`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from fakes.registry import registry_id

from manifestgen.cloud import (
    SHA256_PROPERTY,
    Build,
    BuildRequest,
    BuildState,
    BuildStatus,
    ModelRegistration,
    RegisteredModel,
    Requirement,
)
from manifestgen.errors import CloudError, InputError, NotFoundError
from manifestgen.project import Project
from manifestgen.project.score import check_inputs

_LOGIN_SERVER = "fake.azurecr.io"
_REGISTRY = registry_id("fake")


@dataclass
class _Running:
    request: BuildRequest
    image: str
    reference: str
    log: str
    error: str = ""
    states: list[BuildState] = field(default_factory=list)


class FakeModels:
    """Implements `manifestgen.cloud.ModelSource`.

    Attributes:
        trouble: is raised by every call; None for none.
    """

    def __init__(self) -> None:
        self.trouble: CloudError | None = None
        self._models: dict[str, list[RegisteredModel]] = {}
        self.registers = True
        self.contents: dict[str, Path] = {}

    def find(self, name: str, version: str | None = None) -> RegisteredModel:
        for model in self.list(name):
            if version in (None, model.version):
                return model
        wanted = name if version is None else f"{name}:{version}"
        raise NotFoundError(f"no model {wanted!r} is registered", where="workspace fake", fix="register it")

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        if not registration.path.exists():
            raise InputError("the model does not exist", where=str(registration.path), fix="correct model.path")
        versions = self._models.setdefault(registration.name, [])
        model = RegisteredModel(
            name=registration.name,
            version=str(len(versions) + 1),
            tags=dict(registration.tags),
            description=registration.description,
            properties={SHA256_PROPERTY: registration.sha256},
            created=datetime.now(timezone.utc),
        )
        versions.append(model)
        self.contents[model.id] = registration.path
        return model

    def download(self, model: RegisteredModel, folder: Path) -> Path:
        if model.id not in self.contents:
            raise NotFoundError(f"no model {model.id!r} is registered", where="workspace fake", fix="register it")
        source = self.contents[model.id]
        target = folder / source.name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
        return target

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        if self.trouble is not None:
            raise self.trouble
        names = sorted(self._models) if name is None else [name]
        return [model for key in names for model in reversed(self._models.get(key, []))]


class FakeBuilder:
    """Implements `manifestgen.cloud.Builder`; builds go one state further each time they are asked for.

    Args:
        models: that it builds from.
        numbered: whether it numbers its images itself and finds them again, as `container-image` does.

    Attributes:
        failures: messages of the next builds that are to fail, with the lines of their logs.
        project: whose inputs it checks.
        started: what was built, in order.
        registry: what `registry_id` tells.
        registry_trouble: what it raises; None for nothing.
        pushed: is called with the reference of each image that was built.
    """

    packages: Mapping[str, str] = {"azureml-core": "manifestgen[azureml]"}

    def __init__(self, models: FakeModels, project: Project | None = None, *, numbered: bool = False) -> None:
        self.project = project
        self.failures: list[tuple[str, list[str]]] = []
        self.started: list[BuildRequest] = []
        self.registry: str | None = None
        self.registry_trouble: CloudError | None = None
        self.pushed: Callable[[str], object] = lambda reference: None
        self._models = models
        self._numbered = numbered
        self._builds: dict[str, _Running] = {}

    def requirements(self) -> Sequence[Requirement]:
        return (
            Requirement("entry script and conda file", self._inputs),
            Requirement("workspace", lambda: f"{len(self._models.list())} registered models", login=True),
        )

    def _inputs(self) -> str:
        self.check_inputs()
        return "ok (static checks only)"

    def check_inputs(self) -> None:
        if self.project is not None:
            check_inputs(self.project)

    def check_ready(self) -> None:
        pass

    def start(self, request: BuildRequest) -> Build:
        if request.model is not None:
            self._models.find(request.model.name, request.model.version)
        for file in (request.entry_script, request.conda_file) if request.context is None else ():
            if not Path(file or "").is_file():
                raise InputError("the file cannot be read", where=str(file), fix="check its name")
        self.started.append(request)
        earlier = sum(build.request.name == request.name for build in self._builds.values())
        image = f"{request.name}:{earlier + 1}" if self._numbered else ""
        reference = f"{_LOGIN_SERVER}/{image or f'{request.name}:{request.label}'}"
        build = _Running(request, image, reference, "Step 1/2 : FROM base\n")
        build.states = [BuildState.QUEUED, BuildState.RUNNING, BuildState.SUCCEEDED]
        if self.failures:
            build.error, lines = self.failures.pop(0)
            build.states[-1] = BuildState.FAILED
            build.log += "".join(f"{line}\n" for line in lines)
        operation = f"operation-{len(self._builds) + 1}"
        self._builds[operation] = build
        return Build(operation, image)

    def find(self, request: BuildRequest) -> Build | None:
        for operation, build in reversed(self._builds.items()):
            same = build.request.inputs == request.inputs and build.request.name == request.name
            if build.image and same and not build.error:
                return Build(operation, build.image)
        return None

    def status(self, build: Build) -> BuildStatus:
        running = self._running(build)
        state = running.states[0] if len(running.states) == 1 else running.states.pop(0)
        if state is BuildState.SUCCEEDED:
            self.registry = _REGISTRY
            self.pushed(running.reference)
            return BuildStatus(state, reference=running.reference)
        return BuildStatus(state, error=running.error if state is BuildState.FAILED else "")

    def log(self, build: Build, offset: int = 0) -> str:
        running = self._running(build)
        return running.log[offset:] if running.states[0] is not BuildState.QUEUED else ""

    def cancel(self, build: Build) -> bool:
        return False

    def registry_id(self) -> str | None:
        if self.registry_trouble is not None:
            raise self.registry_trouble
        return self.registry

    def _running(self, build: Build) -> _Running:
        if build.operation not in self._builds:
            raise NotFoundError(f"no build {build.operation!r}", where="workspace fake", fix="start it again")
        return self._builds[build.operation]
