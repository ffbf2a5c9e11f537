"""The model of a project without a workspace: a file or folder on this machine, which is not registered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from manifestgen.cloud import SHA256_PROPERTY, ModelRegistration, RegisteredModel
from manifestgen.errors import NotFoundError
from manifestgen.project.inputs import sha256_of
from manifestgen.project.load import Project

# As many digits as the image's tag has of its hash.
_DIGITS: Final = 12


class LocalModels:
    """Implements `manifestgen.cloud.ModelSource` for the project's own model.

    Its version is `model.version`, else the first digits of the SHA-256 of its content.
    """

    registers: Final = False

    def __init__(self, project: Project) -> None:
        self._project = project

    def find(self, name: str, version: str | None = None) -> RegisteredModel:
        """See `ModelSource.find`."""
        for model in self.list(name):
            if version in (None, model.version):
                return model
        raise self._missing(name if version is None else f"{name}:{version}")

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """The model itself, without registering it."""
        version = self._project.model.wanted if self._project.model is not None else None
        return RegisteredModel(
            name=registration.name,
            version=version or registration.sha256[:_DIGITS],
            tags=dict(registration.tags),
            description=registration.description,
            properties={SHA256_PROPERTY: registration.sha256},
        )

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """The project's model, if it is a file or folder; its content is hashed for that."""
        spec = self._project.model
        if spec is None or spec.path is None or name not in (None, spec.name):
            return ()
        sha256 = sha256_of(spec.path)
        return (self.register(ModelRegistration(spec.name, spec.path, sha256, spec.tags, spec.description)),)

    def download(self, model: RegisteredModel, folder: Path) -> Path:
        """The project's file or folder, where it is."""
        spec = self._project.model
        if spec is None or spec.path is None or not spec.path.exists():
            raise self._missing(model.id)
        return spec.path

    def _missing(self, model: str) -> NotFoundError:
        return NotFoundError(
            f"there is no model {model} on this machine, and the project names no workspace",
            where=str(self._project.path),
            fix="add model.path to use a file or folder, or the section 'workspace' to use a registered model",
        )
