"""Finds the Azure ML workspace: three ids, or a config.json, searched for as azureml-core does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.project.load import Project

# As `Workspace.from_config` of azureml-core 1.61 looks: folder by folder through all parents before the next pair.
_FOLDERS = (".azureml", "aml_config", "")
_FILES = ("config.json", "project.json")

_DOWNLOAD = (
    "download config.json from the workspace's page in the Azure portal, or write the three IDs under 'workspace:'"
)


class WorkspaceId(Struct, frozen=True):
    """Identifies a workspace."""

    subscription_id: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        return f"{self.subscription_id}/{self.resource_group}/{self.name}"


def workspace_of(project: Project) -> WorkspaceId:
    """The workspace that a project names; without a `workspace` section, the one in the nearest config.json.

    Raises:
        InputError: config.json is missing or wrong.
    """
    section = project.workspace
    if section is not None and section.name and section.resource_group and section.subscription_id:
        return WorkspaceId(section.subscription_id, section.resource_group, section.name)
    start = section.config if section is not None and section.config is not None else project.root
    return read_config(find_config(start))


def subscription_of(project: Project) -> str | None:
    """ID of the subscription of a project's workspace; None if it has no workspace, or it is unknown."""
    if project.workspace is None and not project.builds:
        return None
    try:
        return workspace_of(project).subscription_id
    except InputError:
        return None


def find_config(start: Path) -> Path:
    """The config file of the workspace: `start` itself, or the one found from that folder upwards.

    Raises:
        InputError: there is none.
    """
    if start.is_file():
        return start
    for path in _candidates(start.absolute()):
        if path.is_file():
            return path
    if start.suffix == ".json":
        raise InputError("file not found", where=str(start), fix=_DOWNLOAD)
    raise InputError("no config.json in this folder or above it", where=str(start), fix=_DOWNLOAD)


def _candidates(start: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        for name in _FILES:
            for parent in (start, *start.parents):
                yield parent / folder / name


def read_config(path: Path) -> WorkspaceId:
    """The workspace in a config.json, in today's form or in that of old SDKs (`Scope`).

    Raises:
        InputError: the file cannot be read, is not JSON, or lacks one of the three ids.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"could not read the file: {error.strerror}", where=str(path), fix=_DOWNLOAD) from error
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path), fix=_DOWNLOAD) from error
    if not isinstance(data, dict):
        raise InputError("not a JSON object", where=str(path), fix=_DOWNLOAD)
    values = [data.get(key) for key in ("subscription_id", "resource_group", "workspace_name")]
    scope = data.get("Scope")
    if isinstance(scope, str):
        parts = scope.split("/")
        values = [parts[index] if len(parts) > index else "" for index in (2, 4, 8)]
    missing = [
        key
        for key, value in zip(("subscription_id", "resource_group", "workspace_name"), values, strict=True)
        if not isinstance(value, str) or not value
    ]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing", where=str(path), fix=_DOWNLOAD)
    return WorkspaceId(*map(str, values))
