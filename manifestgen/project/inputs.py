"""Hashes of a model image's inputs: equal hashes mean equal images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from manifestgen.errors import InputError
from manifestgen.project.app import app_files, runner_files
from manifestgen.project.builders import builds_from_context, platforms_of
from manifestgen.project.dockerignore import name_of, own_files
from manifestgen.project.load import Project
from manifestgen.project.lock import LockedModel
from manifestgen.project.sections import Image
from manifestgen.project.written import written_files

#: Version of the generated Dockerfile: a new version is a new image.
FORM = 1
_PIECE = 1024 * 1024


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content, or of the names and contents of all files below a folder.

    Raises:
        InputError: it is missing or not readable, or the folder is empty.
    """
    try:
        if not path.is_dir():
            return _of_file(path)
        files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if not file.is_dir())
        content = [[name, _of_file(file)] for name, file in files]
    except FileNotFoundError as error:
        raise InputError("not found", where=str(error.filename), fix="create it or correct its path") from error
    except OSError as error:
        what = f"could not read it: {error.strerror}"
        raise InputError(what, where=str(error.filename), fix="check its permissions") from error
    if not content:
        raise InputError("the folder is empty", where=str(path), fix="use the folder with the model's files")
    return _of_data(content)


def inputs_hash(project: Project, model: LockedModel | None, requirements: str | None = None) -> str:
    """Hex SHA-256 of all inputs of a project's image.

    For an image that is built from a context, the inputs are its files and the base image's name. The base's digest is
    recorded in the lock file, but a new digest does not cause a build.

    If the project registers the model, its content, tags and description are inputs, so that the hash is known before
    anything is registered. If the model is registered already, its version is.

    Args:
        project: builds the image.
        model: with its `sha256` if the project registers it, else with its `version`; None for an image without one.
        requirements: text of the requirements lock; None for the file's.

    Raises:
        InputError: the entry script or the conda file is missing or not readable.
    """
    parts = _parts(project, model)
    if requirements is not None:
        parts["requirements_lock"] = lambda: _of_text(requirements)
    return _of_data({key: part() for key, part in parts.items()})


def input_hashes(project: Project, model: LockedModel | None) -> dict[str, str]:
    """Hex SHA-256 of each input by its key, to detect later which one changed; empty for an unreadable file.

    Args:
        project, model: as for `inputs_hash`.
    """
    hashes = {}
    for key, part in _parts(project, model).items():
        try:
            hashes[key] = _of_data(part())
        except InputError:
            hashes[key] = ""
    return hashes


def _parts(project: Project, model: LockedModel | None) -> dict[str, Callable[[], Any]]:
    """Each input by its key in the section `image`, and the model; files are read when a part is called."""
    image, section = project.image, project.model
    if image is None or not image.builds:
        raise ValueError("the project builds no image")
    if section is None or model is None:
        return _own_parts(project, image)
    # A number if possible, as all versions once were, so that the hashes of unchanged inputs stay the same.
    version = int(model.version or 0) if (model.version or "0").isdecimal() else model.version
    identity: list[Any] = [model.name, version]
    if model.sha256 is not None and not builds_from_context(image):
        identity = [model.name, model.sha256, sorted(section.tags.items()), section.description]
    if builds_from_context(image):
        return _context_parts(project, image, model, [model.name, model.sha256 or version])
    parts: dict[str, Callable[[], Any]] = {
        "model": lambda: identity,
        "builder": lambda: image.builder,
        "name": lambda: image.name,
        "tags": lambda: sorted(image.tags.items()),
        "description": lambda: image.description,
    }
    script, conda = image.entry_script, image.conda_file
    if script is not None:
        parts["entry_script"] = lambda: [script.name, sha256_of(script)]
    if conda is not None:
        parts["conda_file"] = lambda: sha256_of(conda)
    return parts


def requirements_lock(project: Project) -> Path:
    """The path of the requirements lock: `NAME.requirements.lock` for the project file `NAME.yaml`.

    Environments share it, so that the versions that one has tested are built for the next, unless one changes the keys
    that determine it. With several modules, each has its own, `NAME.MODULE.requirements.lock`.
    """
    name = project.own_name if project.own_packages else project.name
    return project.root / f"{project.of_module(name)}.requirements.lock"


def _own_parts(project: Project, image: Image) -> dict[str, Callable[[], Any]]:
    """The parts of an image that is built only from the user's own Dockerfiles."""
    return {
        "name": lambda: image.name,
        "tags": lambda: sorted(image.tags.items()),
        "platforms": lambda: sorted(platforms_of(image)),
        **_of_dockerfiles(project, image),
    }


def _of_dockerfiles(project: Project, image: Image) -> dict[str, Callable[[], Any]]:
    """The user's own Dockerfiles, by platform if there are several, with their contexts."""
    parts: dict[str, Callable[[], Any]] = {}
    one, several, context = image.dockerfile, image.dockerfiles, image.context
    written = written_files(project)
    if one is not None:
        parts["dockerfile"] = lambda: [[name, _of_file(path)] for name, path in own_files(one, context, written)]
    if several is not None:
        parts["dockerfiles"] = lambda: [
            [
                platform,
                name_of(dockerfile, context),
                [[name, _of_file(path)] for name, path in own_files(dockerfile, context, written)],
            ]
            for platform, dockerfile in sorted(several.items())
        ]
    if image.build_args:
        parts["build_args"] = lambda: sorted((image.build_args or {}).items())
    return parts


def _context_parts(project: Project, image: Image, model: LockedModel, identity: Any) -> dict[str, Callable[[], Any]]:
    """Like `_parts`, without anything that is not in the image, such as its description or its builder."""
    parts: dict[str, Callable[[], Any]] = {
        "model": lambda: identity,
        "name": lambda: image.name,
        "tags": lambda: sorted(image.tags.items()),
        "platforms": lambda: sorted(platforms_of(image)),
        "base": lambda: image.base,
        "form": lambda: FORM,
        "runner": lambda: [[name, _of_file(path)] for name, path in runner_files().items()],
    }
    script, locked = image.entry_script, requirements_lock(project)
    if script is not None:
        parts["entry_script"] = lambda: [[name, _of_file(path)] for name, path in sorted(app_files(script).items())]
    parts |= _of_dockerfiles(project, image)
    for key in ("conda_file", "requirements"):
        path = getattr(image, key)
        if path is not None:
            parts[key] = partial(sha256_of, path)
    if locked.is_file():
        parts["requirements_lock"] = lambda: _of_file(locked)
    return parts


def _of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _of_data(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
