"""Makes the build context of a project's image.

`choose` finds out what goes into the image, before anything is registered or built. `gather` fetches it.
`Parts.context` is the context, once the model has its version.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from manifestgen.cloud import Context, ContextFile, RegisteredModel, Services
from manifestgen.cloud.context import DOCKERFILE
from manifestgen.context.base import Base, base_of, resolve
from manifestgen.context.dockerfile import dockerfile
from manifestgen.context.labels import MODEL_NAME, MODEL_SHA256, MODEL_VERSION
from manifestgen.context.packages import installed, lock_text
from manifestgen.context.requirements import Requirements, read_requirements
from manifestgen.errors import InputError
from manifestgen.project.app import app_files, imports_of, runner_files
from manifestgen.project.builders import platforms_of
from manifestgen.project.dockerignore import name_of, own_files
from manifestgen.project.inputs import sha256_of
from manifestgen.project.load import Project
from manifestgen.project.lock import LockedBase
from manifestgen.project.score import check_inputs
from manifestgen.project.sections import Image
from manifestgen.project.written import written_files

LOCK = "requirements.lock"
#: The folder of generated files beside the user's own Dockerfile.
_OWN = "manifestgen/"


@dataclass(frozen=True)
class Recipe:
    """The inputs of an image.

    Attributes:
        base: without its digest; None with a Dockerfile of the user's own.
        lock: text of the requirements lock.
    """

    requirements: Requirements
    base: Base | None
    python: str
    lock: str


@dataclass(frozen=True)
class Parts:
    """The parts of a context, without the model.

    Attributes:
        base: with its digest.
    """

    image: Image
    base: Base | None
    files: tuple[ContextFile, ...]

    def context(self, model: RegisteredModel | None, path: Path | None, inputs: str) -> Context:
        """The context with the model.

        Args:
            model: its name and version; None without one.
            path: its file or folder.
            inputs: hash of all inputs of the image.

        Raises:
            InputError: the model is missing or not readable.
        """
        image = self.image
        prefix = _OWN if image.own else ""
        files = [*self.files, *(_model_files(path, f"{prefix}model") if path is not None else ())]
        if image.own:
            several = {key: name_of(file, image.context) for key, file in (image.dockerfiles or {}).items()}
            first = name_of(image.own[0], image.context)
            return Context.of(files, dockerfile=first, dockerfiles=several, arguments=image.build_args)
        assert self.base is not None and model is not None and path is not None  # noqa: S101 - see `check_image`
        labels = {
            **{f"manifestgen.tag.{_label(key)}": value for key, value in self.image.tags.items()},
            "manifestgen.inputs": inputs,
            MODEL_NAME: model.name,
            MODEL_VERSION: model.version,
            MODEL_SHA256: model.sha256 or sha256_of(path),
            "org.opencontainers.image.base.name": self.base.image,
            "org.opencontainers.image.base.digest": self.base.digest,
            "org.opencontainers.image.version": model.version,
        }
        environment = {"RUNNER_MODEL_NAME": model.name, "RUNNER_MODEL_VERSION": model.version}
        if self.image.entry_script is not None:
            environment["AZUREML_ENTRY_SCRIPT"] = self.image.entry_script.name
        text = dockerfile(self.base, environment, labels)
        return Context.of([*files, ContextFile(DOCKERFILE, text.encode())])


def check(project: Project) -> None:
    """Check the inputs of a project's context, as far as that is fast and needs no request.

    Raises:
        InputError: the model, the entry script or the requirements are missing or invalid.
    """
    check_inputs(project)
    image, spec = _image(project), project.model
    files = app_files(image.entry_script) if image.entry_script is not None else {}
    path = spec.path if spec is not None else None
    if spec is not None and path is None and image.conda_file is None and image.requirements is None:
        return  # the registered model may be MLflow's, and bring them
    try:
        read_requirements(image, path, imports_of(files))
        _own_context_files(project)
    except InputError as error:
        raise _located(error, project) from None


def choose(
    project: Project, services: Services, model: Path | None, report: Callable[[str], None] = lambda text: None
) -> Recipe:
    """Find out what goes into a project's image; writes nothing.

    Args:
        model: the model's file or folder, where it is known: an MLflow model brings its requirements.
        report: is called with what was left out or replaced.

    Raises:
        InputError: the entry script or the requirements are missing or invalid, or a package cannot be had.
        CloudError: the package index, or the registry of the base image, could not be reached.
    """
    image = _image(project)
    files = app_files(image.entry_script) if image.entry_script is not None else {}
    try:
        needed = read_requirements(image, model, imports_of(files))
        platforms = platforms_of(image)
        if image.own and image.base is None and needed.file is None:
            return Recipe(needed, None, "", "")
        base = base_of(image.base, needed.python, services, platforms)
    except InputError as error:
        raise _located(error, project) from None
    for note in needed.notes:
        report(note)
    lock = lock_text(project, needed, base.python, platforms, report)
    return Recipe(needed, base, base.python, lock)


def gather(
    project: Project,
    recipe: Recipe,
    services: Services,
    locked: LockedBase | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Parts:
    """Fetch what goes into a project's image: the packages for each platform, and the digest of its base.

    Args:
        locked: the base image of the last build.

    Raises:
        InputError: a package has no wheel for a platform, or the base image is not for it.
        CloudError: the package index or the registry could not be reached.
    """
    image = _image(project)
    platforms = platforms_of(image)
    own = image.own
    prefix = _OWN if own else ""
    try:
        base = resolve(recipe.base, locked, services, platforms) if recipe.base is not None and not own else None
    except InputError as error:
        raise _located(error, project) from None
    runs = project.model is not None  # without one, the image is nothing but what the user's Dockerfile makes
    files = [ContextFile(f"{prefix}runner/{name}", path) for name, path in (runner_files() if runs else {}).items()]
    if image.entry_script is not None:
        files += [ContextFile(f"{prefix}app/{name}", path) for name, path in app_files(image.entry_script).items()]
    if recipe.lock:
        files.append(ContextFile(f"{prefix}{LOCK}", recipe.lock.encode()))
        where = str(recipe.requirements.file or project.path)
        for file in installed(project, recipe.lock, recipe.python, platforms, report, where):
            files.append(ContextFile(f"{prefix}{file.name}", file.content, file.executable, file.platform))
    files += [ContextFile(name, path, _executable(path)) for name, path in _own_context_files(project)]
    for path in own if runs else ():
        if "manifestgen_runner" not in path.read_text("utf-8", "replace"):
            what = "does not start manifestgen_runner: a module of this image gets no messages from edgeHub"
            report(f"{path.name} {what}")
    return Parts(image, base, tuple(files))


def _own_context_files(project: Project) -> list[tuple[str, Path]]:
    """The files of the user's own Dockerfiles and their context, without those that manifestgen makes.

    Raises:
        InputError: a Dockerfile, the context's folder or an ignore file is missing or not readable.
    """
    found: dict[str, Path] = {}
    image, written = _image(project), written_files(project)
    for file in image.own:
        own = name_of(file, image.context)
        listed = own_files(file, image.context, written)
        found |= {name: path for name, path in listed if name == own or not name.startswith(_OWN)}
    return sorted(found.items())


def _image(project: Project) -> Image:
    if project.image is None:
        raise ValueError("the project builds no image")
    return project.image


def _located(error: InputError, project: Project) -> InputError:
    """An error about a key of the project file, with that file's name."""
    if error.where.startswith("image"):
        error.where = f"{project.path}: {error.where}" if error.where != "image" else str(project.path)
    return error


def _model_files(path: Path, prefix: str) -> list[ContextFile]:
    """A model as Azure ML puts it into `AZUREML_MODEL_DIR`: a file by its name, a folder in a folder of its name."""
    if path.is_file():
        return [ContextFile(f"{prefix}/{path.name}", path)]
    if not path.is_dir():
        fix = "train the model first, or correct model.path"
        raise InputError("model not found", where=str(path), fix=fix)
    files = [file for file in path.rglob("*") if not file.is_dir()]
    for file in files:
        if not file.is_file():
            fix = "remove it from the model's folder"
            raise InputError("neither a file nor a folder, or a link to nothing", where=str(file), fix=fix)
    if not files:
        raise InputError("the folder is empty", where=str(path), fix="use the folder with the model's files")
    return [ContextFile(f"{prefix}/{path.name}/{file.relative_to(path).as_posix()}", file) for file in files]


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _label(key: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", key.lower()).strip("-.") or "tag"
