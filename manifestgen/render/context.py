"""The names that a template can use, as documented in docs/templates.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from manifestgen.project import Project
from manifestgen.project.lock import Lock
from manifestgen.project.sections import ManifestSection
from manifestgen.project.values import merge

#: Values that every template has, if nothing else gives them.
DEFAULTS: Final[Mapping[str, Any]] = {"ttl": 7200}


def context_of(
    project: Project | None = None,
    lock: Lock | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    image: str | None = None,
) -> dict[str, Any]:
    """The values of a rendering; later ones win: defaults, project file, `values`, `image`.

    Args:
        project: whose names and values are used; None for the defaults alone.
        lock: of the last build, for its image and model.
        values: given for this rendering, `--values` and `--set` merged.
        image: given for this rendering; without it, the project's reference with builder none, else the lock's image.

    Returns:
        `module`, `runtime` and the values of the project file; `image`, `model` and `device` where they are known.
    """
    manifest = (project.manifest if project is not None else None) or ManifestSection()
    context: dict[str, Any] = {**DEFAULTS, "module": manifest.module, "runtime": manifest.runtime}
    if project is not None:
        context |= _of_project(project, lock)
    context = merge(merge(context, manifest.values), values or {})
    if image is not None:
        context["image"] = image
    return context


def _of_project(project: Project, lock: Lock | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if project.image is not None and not project.image.builds:
        found["image"] = project.image.reference
    elif lock is not None:
        found["image"] = lock.image
    if project.model is not None:
        model: dict[str, Any] = {"name": project.model.name}
        version = lock.model.version if lock is not None and lock.model is not None else project.model.wanted
        if version:
            model["version"] = int(version) if version.isdecimal() else version
        model["tags"] = dict(project.model.tags)
        model["description"] = project.model.description
        found["model"] = model
    if project.target is not None and project.target.device is not None:
        found["device"] = project.target.device
    return found
