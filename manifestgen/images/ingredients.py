"""The inputs of a project's image: a build context, or nothing if the builder needs none."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from manifestgen.cloud import Context, ModelSource, RegisteredModel, Services
from manifestgen.context.make import Parts, Recipe, choose, gather
from manifestgen.context.packages import write_lock
from manifestgen.project.builders import builds_from_context
from manifestgen.project.load import Project
from manifestgen.project.lock import Lock, LockedBase
from manifestgen.project.pending import work_folder

# Two modules that are built at the same time may have the same model.
_downloading: Final = threading.Lock()


@dataclass(frozen=True)
class Ingredients:
    """The inputs of an image, as far as they are known.

    Attributes:
        recipe: what goes into the context; None for a builder without one.
        parts: the context without its model, once it was gathered.
    """

    project: Project
    recipe: Recipe | None = None
    parts: Parts | None = None

    @classmethod
    def of(
        cls, project: Project, services: Services, model: RegisteredModel | None, report: Callable[[str], None]
    ) -> Ingredients:
        """Find out what a project's image is built from; writes nothing.

        Args:
            model: the registered model; None for the project's own file.

        Raises:
            InputError, CloudError: see `context.make.choose`.
        """
        if not builds_from_context(project.image):
            return cls(project)
        spec, image = project.model, project.image
        path = spec.path if spec is not None else None
        if path is None and model is not None and image is not None and not (image.requirements or image.conda_file):
            path = model_files(project, model, services.models)  # it may be MLflow's, which brings its requirements
        return cls(project, choose(project, services, path, report))

    @property
    def lock(self) -> str | None:
        """Text of the requirements lock, if the image has one."""
        return self.recipe.lock if self.recipe is not None and self.recipe.lock else None

    def keep(self) -> None:
        """Write the requirements lock beside the project, so that a build can be repeated."""
        if self.lock is not None:
            write_lock(self.project, self.lock)

    def gathered(self, services: Services, locked: Lock | None, report: Callable[[str], None]) -> Ingredients:
        """With everything fetched but the model.

        Args:
            locked: the last build, whose base image is used again; None to ask for its newest digest.
        """
        if self.recipe is None:
            return self
        base = locked.base if locked is not None else None
        return replace(self, parts=gather(self.project, self.recipe, services, base, report))

    def context(self, model: RegisteredModel | None, inputs: str, services: Services) -> Context | None:
        """The build context; None for a builder without one. Fetches a registered model's files."""
        if self.parts is None:
            return None
        spec = self.project.model
        path = spec.path if spec is not None else None
        if path is None and model is not None:
            path = model_files(self.project, model, services.models)
        return self.parts.context(model, path, inputs)

    @property
    def base(self) -> LockedBase | None:
        """The base image, once it was gathered."""
        if self.parts is None or self.parts.base is None:
            return None
        return LockedBase(image=self.parts.base.image, digest=self.parts.base.digest)


def model_files(project: Project, model: RegisteredModel, models: ModelSource) -> Path:
    """The file or folder of a registered model, downloaded once for each version."""
    with _downloading:
        return _model_files(project, model, models)


def _model_files(project: Project, model: RegisteredModel, models: ModelSource) -> Path:
    kept = work_folder(project.root) / "models"
    name = re.sub(r"[^\w.-]+", "-", f"{model.name}-{model.version}")
    folder = kept / name
    if not folder.is_dir() or not any(folder.iterdir()):
        partial = kept / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        path = models.download(model, partial)
        if not path.is_relative_to(partial):
            return path
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    (found,) = folder.iterdir()
    return found
