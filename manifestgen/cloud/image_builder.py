"""An Azure ML workspace: registered models, and the images that are built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

Builder = Literal["package", "container-image"]

#: Property of a registered model that holds its content's hash, so that it can be told from another of the same name.
SHA256_PROPERTY = "manifestgen.sha256"


@dataclass(frozen=True)
class RegisteredModel:
    """A model in an Azure ML workspace."""

    name: str
    version: int
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @property
    def id(self) -> str:
        """`name:version`, as Azure ML writes it."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class ModelRegistration:
    """A model to register.

    Attributes:
        path: the file or folder on this machine.
        sha256: of its content; kept as a property of the registered model, so that a run which was interrupted finds
            the model it registered instead of registering it again.
    """

    name: str
    path: Path
    sha256: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class BuildRequest:
    """A model image to build.

    Attributes:
        name: of the image: `name` in `registry/name:label`.
        label: the image's tag, where the builder lets us choose it (`package`).
        inputs: hex digest of everything the image is made from; kept with the image where the builder can, so that an
            interrupted run finds its build again.
    """

    builder: Builder
    name: str
    label: str
    model: RegisteredModel
    entry_script: Path
    conda_file: Path
    inputs: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Build:
    """A build that the service has accepted: what is needed to ask for it again, from another process too.

    Attributes:
        operation: the service's id of the asynchronous operation.
        image: the service's id of the image, `name:version`; empty for `package`, which has none.
    """

    builder: Builder
    operation: str
    image: str = ""


class BuildState(Enum):
    """How far a build is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class BuildStatus:
    """A build as the service reports it now.

    Attributes:
        reference: the image, `login-server/repository:tag`, once it succeeded.
        error: the service's own words, when it failed.
    """

    state: BuildState
    reference: str = ""
    error: str = ""


class ImageBuilder(Protocol):
    """An Azure ML workspace, for what is asked of it here."""

    def models(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """Registered models, of one name or all, the newest version first within a name."""
        ...

    def model(self, name: str, version: int | None = None) -> RegisteredModel:
        """One registered model; the latest version if none is given. Raises NotFoundError."""
        ...

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """Register a model. The caller looks first whether it is registered already."""
        ...

    def start(self, request: BuildRequest) -> Build:
        """Send what the image is made from and start its build; returns as soon as the service accepted it."""
        ...

    def find(self, request: BuildRequest) -> Build | None:
        """The build of exactly these inputs that was started before, if the service can tell."""
        ...

    def status(self, build: Build) -> BuildStatus:
        """How far the build is. Raises NotFoundError if the service no longer knows it."""
        ...

    def log(self, build: Build, offset: int = 0) -> str:
        """The build log from `offset` characters on; empty while there is none."""
        ...

    def registry_id(self) -> str | None:
        """Full ARM id of the workspace's container registry; None before the workspace has built its first image."""
        ...
