"""Hashes of a model image's inputs: equal hashes mean equal images."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from manifestgen.errors import InputError
from manifestgen.project.load import Project
from manifestgen.project.lock import LockedModel

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


def inputs_hash(project: Project, model: LockedModel) -> str:
    """Hex SHA-256 of all inputs of a project's image.

    For a model that the project registers, its content, tags and description count, so that the hash is known before
    anything is registered. For a model that is registered already, its version counts.

    Args:
        project: that builds its image.
        model: with its `sha256` if the project registers it, else with its `version`.

    Raises:
        InputError: the entry script or the conda file is missing or not readable.
    """
    image, section = project.image, project.model
    if image is None or section is None or not image.builds:
        raise ValueError("the project builds no image")
    identity: list[Any] = [model.name, model.version]
    if model.sha256 is not None:
        identity = [model.name, model.sha256, sorted(section.tags.items()), section.description]
    data: dict[str, Any] = {
        "model": identity,
        "builder": image.builder,
        "name": image.name,
        "tags": sorted(image.tags.items()),
        "description": image.description,
    }
    if image.entry_script is not None:
        data["entry_script"] = [image.entry_script.name, sha256_of(image.entry_script)]
    if image.conda_file is not None:
        data["conda_file"] = sha256_of(image.conda_file)
    return _of_data(data)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _of_data(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
