"""Builders: services and programs that make an image from a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from manifestgen.cloud.context import Context
from manifestgen.cloud.model_source import RegisteredModel


@dataclass(frozen=True)
class BuildRequest:
    """A model image to build.

    Attributes:
        name: of the image: `name` in `registry/name:label`.
        label: tag for the image. A builder that numbers its images itself ignores it.
        inputs: hex digest of everything the image is made from. A builder that can store it with the image does, so
            that `find` can return the build to a later run.
        entry_script, conda_file: None if the project does not set them, which a builder that needs them rules out
            (`project.builders.Entry.needs`).
        registry: host that the image is pushed to; empty for a builder with its own registry.
        platforms: to build for, such as `linux/arm64`; empty for a builder that has only one.
        model: in the image; None for an image that is nothing but what the user's own Dockerfile makes.
        context: what the image is built from; None for a builder that does not build from one
            (`project.builders.Entry.context`).
    """

    name: str
    label: str
    model: RegisteredModel | None
    inputs: str
    entry_script: Path | None = None
    conda_file: Path | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    registry: str = ""
    platforms: tuple[str, ...] = ()
    context: Context | None = None

    @property
    def reference(self) -> str:
        """The image to build, `registry/name:label`, for a builder that pushes to `registry`."""
        return f"{self.registry}/{self.name}:{self.label}"


@dataclass(frozen=True)
class Build:
    """A build that was accepted: enough to ask for it again, from another process too.

    Attributes:
        operation: the builder's id of the build.
        image: the builder's ID of the image, if it assigns one before the build.
    """

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
    """The state of a build.

    Attributes:
        reference: the image, `login-server/repository:tag`, once the build succeeded.
        error: the builder's own words, if the build failed.
        fix: what to do about it; empty for the usual advice.
        digest: `sha256:…` of the image, or of its index, if the builder says it.
        platforms: that were built, if the builder says it.
    """

    state: BuildState
    reference: str = ""
    error: str = ""
    fix: str = ""
    digest: str | None = None
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Requirement:
    """Something that a builder needs, for `doctor`.

    Attributes:
        subject: what is needed, such as `workspace`.
        look: checks it; returns what it found, raises ManifestgenError if it is not in place.
        login: whether it can only be checked with an Azure credential.
    """

    subject: str
    look: Callable[[], str]
    login: bool = False


class Builder(Protocol):
    """One way to build the image of one project. Connects to its service when a method first needs it."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Python distributions that it needs, each with the requirement that `pip install` takes for it."""
        ...

    def requirements(self) -> Sequence[Requirement]:
        """Whatever else must be in place before it can build the project's image."""
        ...

    def check_inputs(self) -> None:
        """Check what the image is made from before anything is sent. Raises InputError with file and line."""
        ...

    def check_ready(self) -> None:
        """Make sure that it can build now, before anything is registered or fetched for it.

        Raises:
            ManifestgenError: it cannot, such as an engine whose daemon is not running.
        """
        ...

    def start(self, request: BuildRequest) -> Build:
        """Send what the image is made from and start its build; returns as soon as the build was accepted."""
        ...

    def find(self, request: BuildRequest) -> Build | None:
        """An earlier build of exactly these inputs; None if there is none, or the builder keeps no record of it."""
        ...

    def status(self, build: Build) -> BuildStatus:
        """The state of a build. Raises NotFoundError if the builder no longer has it."""
        ...

    def log(self, build: Build, offset: int = 0) -> str:
        """The build log from character `offset` on; empty while there is none."""
        ...

    def cancel(self, build: Build) -> bool:
        """End a build, after Ctrl-C or when its time is up.

        Returns:
            False if it continues, and a later run can resume it with `status`.
        """
        ...

    def registry_id(self) -> str | None:
        """Full ARM id of the container registry that gets the images; None while that is not known."""
        ...
