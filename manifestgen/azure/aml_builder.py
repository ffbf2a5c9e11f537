"""Shared by the builders of Azure ML. Imports no SDK."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from manifestgen.azure.aml_models import WorkspaceModels
from manifestgen.cloud import Build, BuildRequest, BuildState, BuildStatus, ModelSource, Requirement
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.azure.aml import Workspace

_LOG = logging.getLogger("manifestgen.azure.aml")

_START_SECONDS = 600.0
_STATES = {"NotStarted": BuildState.QUEUED, "Running": BuildState.RUNNING, "Succeeded": BuildState.SUCCEEDED}

#: Starts a build: given the request, the SDK's model, and the names of entry script and conda file in the working
#: directory.
Start = Callable[[BuildRequest, Any, str, str], Build]


class Problem(msgspec.Struct):
    """The fields that we use of an error in a build's responses."""

    message: str | None = None
    details: list[Problem] | None = None


class Operation(msgspec.Struct, rename="camel"):
    """The fields that we use of an operation of the model management service."""

    state: str | None = None
    resource_location: str | None = None
    operation_log: str | None = None
    error: Problem | None = None


class Image(msgspec.Struct, rename="camel"):
    """The fields that we use of an image of the model management service."""

    id: str = ""
    creation_state: str | None = None
    image_location: str | None = None
    image_build_log_uri: str | None = None
    error: Problem | None = None


class WorkspaceBuilder:
    """Status, log and requirements of an Azure ML build; the subclasses start and find builds.

    Args:
        models: of the workspace that builds.
        check: checks what the image is made from; raises InputError.
    """

    packages: Final[Mapping[str, str]] = {"azureml-core": "manifestgen[azureml]"}

    def __init__(self, models: Callable[[], ModelSource], check: Callable[[], None] = lambda: None) -> None:
        self._open_models = models
        self._check = check

    @cached_property
    def _models(self) -> WorkspaceModels:
        models = self._open_models()
        if not isinstance(models, WorkspaceModels):
            raise InputError("Azure ML builds only models of its own workspaces", fix="choose another image.builder")
        return models

    @property
    def _workspace(self) -> Workspace:
        return self._models.workspace

    def requirements(self) -> Sequence[Requirement]:
        """See `Builder.requirements`."""

        def inputs() -> str:
            self.check_inputs()
            return "ok (static checks only)"

        def workspace() -> str:
            return f"readable, {len(self._open_models().list())} registered models"

        return (
            Requirement("entry script and conda file", inputs),
            Requirement("workspace", workspace, login=True),
        )

    def check_inputs(self) -> None:
        """See `Builder.check_inputs`."""
        self._check()

    def check_ready(self) -> None:
        """Azure ML says so when the build is started."""

    def status(self, build: Build) -> BuildStatus:
        """See `Builder.status`."""
        operation = self._operation(build) if build.operation else Operation()
        image = self._image(build) if build.image else Image()
        named = operation.state or image.creation_state
        state = state_of(named)
        if state is BuildState.SUCCEEDED:
            return BuildStatus(state, reference=image.image_location or operation.resource_location or "")
        if state is BuildState.FAILED:
            return BuildStatus(state, error=_reason(operation.error or image.error) or f"state {named}")
        return BuildStatus(state)

    def log(self, build: Build, offset: int = 0) -> str:
        """See `Builder.log`."""
        url = self._image(build).image_build_log_uri if build.image else self._operation(build).operation_log
        return self._workspace.read_log(url, build.image or build.operation, offset) if url else ""

    def _operation(self, build: Build) -> Operation:
        return self._workspace.get(f"/operations/{build.operation}", Operation)

    def _image(self, build: Build) -> Image:
        return self._workspace.get(f"/images/{build.image}", Image)

    def cancel(self, build: Build) -> bool:
        """False: Azure ML's builds go on, and a later run resumes them."""
        return False

    def registry_id(self) -> str | None:
        """See `Builder.registry_id`."""
        return self._workspace.registry_id()

    def _model_of(self, request: BuildRequest) -> Any:
        if request.model is None:
            raise ValueError("Azure ML builds only images of models")
        return self._models.sdk_model(request.model.name, request.model.version)

    def _send(self, request: BuildRequest, model: Any, start: Start) -> Build:
        """Send what the image is made from, and start its build."""
        if request.entry_script is None or request.conda_file is None:
            raise ValueError("Azure ML builds from an entry script and a conda file")
        with tempfile.TemporaryDirectory(prefix="manifestgen-") as name:
            # A temporary folder: the SDK takes the script from the working directory only, and uploads its path.
            folder = Path(name)
            script = _copied(request.entry_script, folder)
            conda = _copied(request.conda_file, folder)
            return self._workspace.call(
                lambda: start(request, model, script, conda),
                folder=folder,
                seconds=_START_SECONDS,
                what="starting the build",
            )


def _copied(file: Path, folder: Path) -> str:
    try:
        shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise InputError(
            f"could not read the file: {error.strerror}", where=str(file), fix="check its path in the project file"
        ) from error
    return file.name


def state_of(named: object) -> BuildState:
    """The state for the service's word."""
    # Failed, TimedOut, Cancelled, and any other word: no image will come of it.
    return _STATES.get(str(named), BuildState.FAILED)


def _reason(error: Problem | None) -> str:
    if error is None:
        return ""
    more = [detail.message for detail in error.details or () if detail.message]
    return ": ".join(filter(None, (error.message, "; ".join(more)))).rstrip(".")
