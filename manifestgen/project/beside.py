"""Which project a file belongs to: the one that it was rendered from, the one beside it, or the one here."""

from __future__ import annotations

from pathlib import Path

from manifestgen.errors import InputError
from manifestgen.project.environments import chosen, names_of, refuse_without_project
from manifestgen.project.load import FILE_NAME, Project, load


def project_here() -> Project | None:
    """The project in the working directory, if there is one, in the chosen environment.

    Raises:
        InputError: the project file cannot be read, or an option chooses an environment without a project.
    """
    project = _project_in(Path())
    if project is None:
        refuse_without_project()
    return project


def project_beside(file: Path) -> Project | None:
    """The project in a file's folder, else the one in the working directory, if there is one; `-` is stdin."""
    return (None if str(file) == "-" else _project_in(file.parent)) or project_here()


def project_of(file: Path) -> Project | None:
    """The project and environment that a manifest was rendered from, by its file name; else the project beside it.

    `deployment.NAME.json` belongs to the environment NAME of `manifestgen.yaml` if it exists, else to `NAME.yaml` if
    that has a lock file; `deployment.NAME.ENVIRONMENT.json` belongs to an environment of `NAME.yaml`.

    Raises:
        InputError: the project file cannot be read, or another environment is chosen.
    """
    path, environment = _rendered_from(file)
    if path is None:
        return project_beside(file)
    other = chosen()
    if environment is not None and other is not None and other != environment:
        raise InputError(
            f"this is the manifest of environment {environment!r}, and {other!r} is chosen",
            where=str(file),
            fix=f"give the manifest of {other!r}, or choose {environment!r}",
        )
    return load(path, environment=environment)


def _project_in(folder: Path) -> Project | None:
    return load(folder) if (folder / FILE_NAME).is_file() else None


def _rendered_from(file: Path) -> tuple[Path | None, str | None]:
    """The project file and the environment that a manifest's file name stands for, if they exist."""
    name = file.name.removeprefix("deployment.").removesuffix(".json")
    if file.name != f"deployment.{name}.json":
        return None, None
    default = file.with_name(FILE_NAME)
    if default.is_file() and name in names_of(default):
        return default, name
    own = file.with_name(f"{name}.yaml")
    if own.is_file() and file.with_name(f"{name}.lock.json").is_file():
        return own, None
    stem, _, environment = name.rpartition(".")
    own = file.with_name(f"{stem}.yaml")
    if stem and own.is_file() and environment in names_of(own):
        return own, environment
    return None, None
