"""An Azure ML workspace in memory; passes the contract suite of `ImageBuilder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from manifestgen.cloud import (
    Build,
    BuildRequest,
    BuildState,
    BuildStatus,
    ModelRegistration,
    RegisteredModel,
)
from manifestgen.errors import InputError, NotFoundError

_LOGIN_SERVER = "fake.azurecr.io"
_REGISTRY = "/subscriptions/s/resourceGroups/shared/providers/Microsoft.ContainerRegistry/registries/fake"


@dataclass
class _Running:
    request: BuildRequest
    image: str
    reference: str
    log: str
    error: str = ""
    states: list[BuildState] = field(default_factory=list)


class FakeImageBuilder:
    """Builds that go one state further each time they are asked for.

    Attributes:
        failures: messages of the builds to come that are to fail, with the lines of their logs.
        started: what was built, in order.
    """

    def __init__(self) -> None:
        self.failures: list[tuple[str, list[str]]] = []
        self.started: list[BuildRequest] = []
        self._models: dict[str, list[RegisteredModel]] = {}
        self._builds: dict[str, _Running] = {}
        self._registry: str | None = None

    def models(self, name: str | None = None) -> Sequence[RegisteredModel]:
        names = sorted(self._models) if name is None else [name]
        return [model for key in names for model in reversed(self._models.get(key, []))]

    def model(self, name: str, version: int | None = None) -> RegisteredModel:
        for model in self.models(name):
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
            version=len(versions) + 1,
            tags=dict(registration.tags),
            description=registration.description,
            properties={"manifestgen.sha256": registration.sha256},
            created=datetime.now(timezone.utc),
        )
        versions.append(model)
        return model

    def start(self, request: BuildRequest) -> Build:
        self.model(request.model.name, request.model.version)
        for file in (request.entry_script, request.conda_file):
            if not file.is_file():
                raise InputError("the file cannot be read", where=str(file), fix="check its name")
        self.started.append(request)
        earlier = sum(build.request.name == request.name and bool(build.image) for build in self._builds.values())
        image = f"{request.name}:{earlier + 1}" if request.builder == "container-image" else ""
        reference = f"{_LOGIN_SERVER}/{image or f'{request.name}:{request.label}'}"
        build = _Running(request, image, reference, "Step 1/2 : FROM base\n")
        build.states = [BuildState.QUEUED, BuildState.RUNNING, BuildState.SUCCEEDED]
        if self.failures:
            build.error, lines = self.failures.pop(0)
            build.states[-1] = BuildState.FAILED
            build.log += "".join(f"{line}\n" for line in lines)
        operation = f"operation-{len(self._builds) + 1}"
        self._builds[operation] = build
        return Build(request.builder, operation, image)

    def find(self, request: BuildRequest) -> Build | None:
        for operation, build in reversed(self._builds.items()):
            same = build.request.inputs == request.inputs and build.request.name == request.name
            if build.image and same and request.builder == "container-image" and not build.error:
                return Build("container-image", operation, build.image)
        return None

    def status(self, build: Build) -> BuildStatus:
        running = self._running(build)
        state = running.states[0] if len(running.states) == 1 else running.states.pop(0)
        if state is BuildState.SUCCEEDED:
            self._registry = _REGISTRY
            return BuildStatus(state, reference=running.reference)
        return BuildStatus(state, error=running.error if state is BuildState.FAILED else "")

    def log(self, build: Build, offset: int = 0) -> str:
        running = self._running(build)
        return running.log[offset:] if running.states[0] is not BuildState.QUEUED else ""

    def registry_id(self) -> str | None:
        return self._registry

    def _running(self, build: Build) -> _Running:
        if build.operation not in self._builds:
            raise NotFoundError(f"no build {build.operation!r}", where="workspace fake", fix="start it again")
        return self._builds[build.operation]
