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
from manifestgen.errors import CloudError, DeniedError, InputError, NotFoundError

if TYPE_CHECKING:
    from manifestgen.azure.aml import Workspace

_LOG = logging.getLogger("manifestgen.azure.aml")


class WorkspaceModels:
    """Implements `manifestgen.cloud.ModelSource`.

    Args:
        open_workspace: called once, when the workspace is first needed.
    """

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace; opens it."""
        return self._open_workspace()

    def find(self, name: str, version: int | None = None) -> RegisteredModel:
        """See `ModelSource.find`."""
        return _registered(self.sdk_model(name, version), self.workspace.where)

    def sdk_model(self, name: str, version: int | None) -> Any:
        """A registered model as azureml-core has it. Raises NotFoundError."""
        workspace = self.workspace  # importing the SDK on the way, with its settings
        from azureml.core.model import Model

        try:
            with workspace.calling():
                return Model(workspace.sdk, name=name, version=version, expand=False)
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
        before = self._same(registration)
        try:
            # The SDK refuses a model outside the working directory (1.61), whatever the model's size.
            with workspace.calling(path.parent):
                model = Model.register(
                    workspace.sdk,
                    model_path=path.name,
                    model_name=registration.name,
                    tags=dict(registration.tags),
                    properties={SHA256_PROPERTY: registration.sha256},
                    description=registration.description,
                )
                mine = _registered(model, workspace.where)
        except (DeniedError, NotFoundError):
            raise
        except CloudError:
            taken = [model for version, model in self._same(registration).items() if version not in before]
            if not taken:
                raise
            mine = taken[0]
            _LOG.warning("the answer was lost, but the workspace has registered model %s", mine.id)
        extra = sorted(set(self._same(registration)) - set(before) - {mine.version})
        if extra:
            _LOG.warning(
                "azureml-core retried a request, so %s was registered more than once: version %s is used, delete %s",
                mine.name,
                mine.version,
                ", ".join(map(str, extra)),
            )
        return mine

    def _same(self, registration: ModelRegistration) -> dict[int, RegisteredModel]:
        """Versions that hold the same content, the newest first."""
        models = self.list(registration.name)
        return {m.version: m for m in models if m.sha256 == registration.sha256}

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """See `ModelSource.list`."""
        workspace = self.workspace  # importing the SDK on the way, with its settings
        from azureml.core.model import Model

        with workspace.calling():
            models = Model.list(workspace.sdk, name=name, expand=False)
            found = [_registered(model, workspace.where) for model in models]
        return sorted(found, key=lambda model: (model.name, -model.version))


class _Model(msgspec.Struct):
    """What is used of the SDK's `Model`."""

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
        version=found.version,
        tags={name: text or "" for name, text in (found.tags or {}).items()},
        description=found.description or "",
        properties={name: text or "" for name, text in (found.properties or {}).items()},
        created=found.created_time,
    )
