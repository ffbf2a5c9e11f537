"""A project's manifest before its images are built: references stand in for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from manifestgen.images.existing import stand_in_values
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.load import Project
from manifestgen.project.lock import never_built
from manifestgen.render import Logins, NoImageError, render_project


@dataclass(frozen=True)
class Draft:
    """A manifest, and whether references stand in it for images that were never built."""

    manifest: Manifest
    stands_in: bool


def draft_of(
    project: Project,
    logins: Logins,
    stand_ins: Callable[[Project], Mapping[str, str] | None],
    images: Mapping[str, str] | None = None,
) -> Draft:
    """The manifest of a project, also before its first build.

    Args:
        logins: see `render_project`.
        stand_ins: called with the project of the modules whose images were never built, if the template needs one;
            returns a reference for each, by module, or None if there is none to give.
        images: references to use in place of the project's and of the stand-ins, by module.

    Raises:
        NoImageError: the template needs an image that the project does not build, or there is no stand-in.
        InputError: the template goes wrong.
    """
    try:
        return Draft(render_project(project, logins, image=images).manifest, False)
    except NoImageError:
        if not project.builds:
            raise
        missing = project.only(never_built(project))
        found = stand_ins(missing)
        if found is None:
            raise
    image = {**found, **(images or {})}
    return Draft(render_project(project, logins, values=stand_in_values(missing), image=image).manifest, True)
