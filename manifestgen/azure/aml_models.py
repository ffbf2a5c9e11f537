"""The registered models of an Azure ML workspace, through azureml-core."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from manifestgen.azure.answer import decoded
from manifestgen.cloud import SHA256_PROPERTY, ModelRegistration, RegisteredModel
from manifestgen.errors import InputError, NotFoundError, UnconfirmedError

if TYPE_CHECKING:
    from manifestgen.azure.aml import Workspace

_LOG = logging.getLogger("manifestgen.azure.aml")


_DOWNLOAD_SECONDS = 3600.0


class WorkspaceModels:
    """Implements `manifestgen.cloud.ModelSource`.

    Args:
        open_workspace: called once, when the workspace is first needed.
    """

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace

    @property
    def registers(self) -> bool:
        """See `ModelSource.registers`."""
        return True

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace; opens it."""
        return self._open_workspace()

    def find(self, name: str, version: str | None = None) -> RegisteredModel:
        """See `ModelSource.find`."""
        return _registered(self.sdk_model(name, version), self.workspace.where)

    def sdk_model(self, name: str, version: str | None) -> Any:
        """A registered model as azureml-core has it. Raises NotFoundError."""
        workspace = self.workspace  # importing the SDK on the way, with its settings
        from azureml.core.model import Model

        try:
            return workspace.call(lambda: Model(workspace.sdk, name=name, version=_number(version), expand=False))
        except NotFoundError as error:
            wanted = name if version is None else f"{name}:{version}"
            raise NotFoundError(
                f"model {wanted!r} is not registered",
                where=workspace.where,
                fix="set model.path to register one, or see 'manifestgen model list'",
            ) from error

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """See `ModelSource.register`."""
        workspace = self.workspace  # importing the SDK on the way, with its settings
        from azureml.core.model import Model

        # Only the folder: the model's own name may be that of a link.
        path = Path(os.path.normpath(registration.path.absolute()))
        if path.is_dir() and not any(child.is_file() for child in path.rglob("*")):
            raise InputError("the model's folder is empty", where=str(path), fix="save the model there first")

        def send() -> RegisteredModel:
            model = Model.register(
                workspace.sdk,
                model_path=path.name,
                model_name=registration.name,
                tags=dict(registration.tags),
                properties={SHA256_PROPERTY: registration.sha256},
                description=registration.description,
            )
            return _registered(model, workspace.where)

        # The SDK refuses a model outside the working directory (1.61), whatever the model's size.
        try:
            return workspace.call(send, folder=path.parent)
        except UnconfirmedError:
            made = self._made(registration)
            if made is None:
                return workspace.call(send, folder=path.parent)
            _LOG.warning("the answer was lost, but the workspace has registered model %s", made.id)
            return made

    def _made(self, registration: ModelRegistration) -> RegisteredModel | None:
        """The newest version of a model after registration; the caller found none before."""
        for model in self.list(registration.name):
            same = model.sha256 == registration.sha256 and model.description == registration.description
            if same and dict(model.tags) == dict(registration.tags):
                return model
        return None

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """See `ModelSource.list`."""
        workspace = self.workspace  # importing the SDK on the way, with its settings
        from azureml.core.model import Model

        models = workspace.call(lambda: Model.list(workspace.sdk, name=name, expand=False))
        found = [_registered(model, workspace.where) for model in models]
        return sorted(found, key=lambda model: (model.name, -int(model.version)))

    def download(self, model: RegisteredModel, folder: Path) -> Path:
        """See `ModelSource.download`."""
        found = self.sdk_model(model.name, model.version)

        def fetch() -> Path:
            return Path(found.download(target_dir=str(folder), exist_ok=True))

        return self.workspace.call(fetch, seconds=_DOWNLOAD_SECONDS, what="downloading the model")


def _number(version: str | None) -> int | None:
    """A version as the SDK takes it; one that is not a number cannot be there, and 0 never is."""
    if version is None:
        return None
    return int(version) if version.isdecimal() else 0


class _Model(msgspec.Struct):
    """The fields that we use of the SDK's `Model`."""

    name: str
    version: int
    tags: dict[str, str | None] | None = None
    description: str | None = None
    properties: dict[str, str | None] | None = None
    created_time: datetime | None = None


def _registered(model: Any, where: str) -> RegisteredModel:
    found = decoded(model, _Model, service="Azure ML", where=where)
    return RegisteredModel(
        name=found.name,
        version=str(found.version),
        tags={name: text or "" for name, text in (found.tags or {}).items()},
        description=found.description or "",
        properties={name: text or "" for name, text in (found.properties or {}).items()},
        created=found.created_time,
    )
