"""Checks whether a project's lock file still matches the inputs of its image, before `render` and `plan` use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from manifestgen.errors import FoundError, InputError
from manifestgen.project.inputs import input_hashes, inputs_hash, requirements_lock, sha256_of
from manifestgen.project.load import Project
from manifestgen.project.lock import Lock, LockedModel, path_of, read_own


def check_lock(project: Project, *, locked: bool = False, warn: Callable[[str], None] = lambda text: None) -> None:
    """Warn if the inputs of an image that the project builds have changed since it was built.

    Args:
        project: whose lock file is read.
        locked: require that the lock file exists and matches.
        warn: called with each warning.

    Raises:
        FoundError: with `locked`, the lock file is missing or stale.
        InputError: it is damaged, or belongs to another image.
    """
    for one in project.each():
        if one.builds:
            _check_module_lock(one, locked=locked, warn=warn)


def _check_module_lock(project: Project, *, locked: bool, warn: Callable[[str], None]) -> None:
    try:
        lock = read_own(project)
    except InputError as error:
        if locked:
            raise FoundError(error.what, where=error.where, fix=error.fix) from error
        raise
    if lock is None:
        if locked:
            what = "there is no lock file"
            if path_of(project).exists():
                what = f"the lock file has no image of module {project.module.name!r}"
            raise FoundError(what, where=str(path_of(project)), fix=_FIX)
        return
    changed = changed_inputs(project, lock)
    if changed:
        what = f"{' and '.join(changed)} changed since image {lock.image} was built"
        if locked:
            raise FoundError(what, where=str(path_of(project)), fix=_FIX)
        warn(f"{what}; run 'manifestgen image' to build it again")


# Parts of an image that come with manifestgen.
_OURS = {"runner": "manifestgen's runner", "form": "manifestgen's Dockerfile"}
_FIX = "run 'manifestgen image', and commit the lock file that it writes"


def changed_inputs(project: Project, lock: Lock) -> tuple[str, ...]:
    """The inputs that changed since the lock file's image was built, as text: a file, or a key of the project file.

    A missing file counts as changed. The latest version of a registered model is not looked up.
    """
    model = _model_now(project, lock)
    if not lock.parts:
        return () if _same(project, model, lock) else ("an input",)
    now = input_hashes(project, model)
    changed = [key for key, value in now.items() if lock.parts.get(key) != value]
    changed += [key for key in lock.parts if key not in now]
    return tuple(_words(project, model, lock, key) for key in changed)


def _same(project: Project, model: LockedModel | None, lock: Lock) -> bool:
    """Compare with a lock file of an older manifestgen, which has one hash for all inputs."""
    try:
        return inputs_hash(project, model) == lock.inputs
    except InputError:
        return False


def _model_now(project: Project, lock: Lock) -> LockedModel | None:
    section, built = project.model, lock.model or LockedModel(name="")
    if section is None:
        return None
    if section.path is None:
        return LockedModel(name=section.name, version=section.wanted or built.version)
    try:
        return LockedModel(name=section.name, sha256=sha256_of(section.path))
    except InputError:
        return LockedModel(name=section.name, sha256="")


def _words(project: Project, model: LockedModel | None, lock: Lock, key: str) -> str:
    image, section = project.image, project.model
    path: Path | None = None
    if key == "model" and section is not None:
        same = lock.model is not None and model is not None and lock.model.sha256 == model.sha256
        path = None if same else section.path
    elif key in ("entry_script", "conda_file", "requirements", "dockerfile") and image is not None:
        path = getattr(image, key)
    elif key == "requirements_lock":
        path = requirements_lock(project)
    elif key in _OURS:
        return _OURS[key]
    if path is None:
        owner = f"modules.{project.module.name}." if project.modular else ""
        return f"{owner}{'model' if key == 'model' else f'image.{key}'} in {project.path.name}"
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else str(path)
