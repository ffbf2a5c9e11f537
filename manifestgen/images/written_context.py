"""Writes the build context of a project's image into a folder, for an engine or a pipeline of the user's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from manifestgen.cloud import RegisteredModel, Services
from manifestgen.context.make import check, choose, gather
from manifestgen.context.packages import write_lock
from manifestgen.errors import InputError
from manifestgen.images.existing import identified
from manifestgen.images.ingredients import model_files
from manifestgen.images.local_models import LocalModels
from manifestgen.project.builders import platforms_of
from manifestgen.project.inputs import inputs_hash
from manifestgen.project.load import Project
from manifestgen.project.lock import read

_MARK = "# Written by manifestgen."


@dataclass(frozen=True)
class WrittenContext:
    """A context that was written.

    Attributes:
        sha256: of its files.
        platforms: that it is for.
    """

    sha256: str
    platforms: tuple[str, ...]
    model: RegisteredModel


def write_context(project: Project, services: Services, folder: Path, report: Callable[[str], None]) -> WrittenContext:
    """Write the context, and register, build and push nothing.

    Args:
        project: whose image has an entry script; with whatever builder.
        services: asked for a registered model, and for the base image.
        folder: is created; an earlier context in it is replaced.

    Raises:
        InputError: an input of the image is missing or invalid, or the folder has other files.
        CloudError: a package index, a registry or the workspace could not be reached.
    """
    spec, image = project.model, project.image
    if spec is None or image is None:
        fix = "build its Dockerfile where it is"
        raise InputError("the context of an image without a model is its own folder", where=str(project.path), fix=fix)
    _check_folder(folder)
    check(project)
    models = LocalModels(project) if spec.path is not None else services.models
    _, known = identified(spec, models)
    model = models.find(spec.name, None if spec.path is not None else spec.wanted)
    path = spec.path or model_files(project, model, models)
    recipe = choose(project, services, path, report)
    if recipe.lock:
        write_lock(project, recipe.lock)
    locked = read(project)
    parts = gather(project, recipe, services, locked.base if locked is not None else None, report)
    context = parts.context(model, path, inputs_hash(project, known, recipe.lock or None))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        what = f"could not create the folder: {error.strerror}"
        raise InputError(what, where=str(folder), fix="choose another folder") from error
    try:
        partial.chmod(0o755)
        context.write(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return WrittenContext(context.sha256, platforms_of(image), model)


def _check_folder(folder: Path) -> None:
    """Raise unless a folder is missing, empty, or a context that was written before."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        earlier = (folder / "Dockerfile").read_text("utf-8").startswith(_MARK)
    except (OSError, UnicodeDecodeError):
        earlier = False
    if not earlier:
        fix = "choose a folder that does not exist yet"
        raise InputError("the folder has files that manifestgen did not write", where=str(folder), fix=fix)
