"""Sources of models: a model registry, such as an Azure ML workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

#: Property of a registered model that holds the hash of its content, which identifies it among its versions.
SHA256_PROPERTY = "manifestgen.sha256"


@dataclass(frozen=True)
class RegisteredModel:
    """A model in a model registry, or on this machine.

    Attributes:
        version: in the source's form; Azure ML counts them, but a version need not be a number.
    """

    name: str
    version: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @property
    def id(self) -> str:
        """`name:version`, as Azure ML writes it."""
        return f"{self.name}:{self.version}"

    @property
    def sha256(self) -> str | None:
        """Hex SHA-256 of its content; None if manifestgen did not register it."""
        return self.properties.get(SHA256_PROPERTY)


@dataclass(frozen=True)
class ModelRegistration:
    """A model to register.

    Attributes:
        path: the file or folder on this machine.
        sha256: hex SHA-256 of its content. It is stored with the model, so that an interrupted run finds the model that
            it registered and does not register it again.
    """

    name: str
    path: Path
    sha256: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


class ModelSource(Protocol):
    """A model registry, or a project's model on this machine."""

    @property
    def registers(self) -> bool:
        """Whether it registers models. If not, the project's own file is used directly."""
        ...

    def find(self, name: str, version: str | None = None) -> RegisteredModel:
        """One registered model; the latest version if none is given. Raises NotFoundError."""
        ...

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """Register a model as a new version. Callers first look for a version with the same content."""
        ...

    def list(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """The registered models of one name, or all of them; within a name the newest version first."""
        ...

    def download(self, model: RegisteredModel, folder: Path) -> Path:
        """Put a model's files into a folder, for a builder that needs them.

        Args:
            model: as `find`, `register` or `list` returned it.
            folder: exists, and is empty.

        Returns:
            The model's file or folder. It is inside `folder`, or where it already is on this machine.

        Raises:
            NotFoundError: it does not exist.
            CloudError: it could not be downloaded.
        """
        ...
