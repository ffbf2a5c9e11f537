"""Renders the manifest of a project from its template, values, image and registry credentials."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import named_hosts
from manifestgen.project import Project, lock
from manifestgen.project.lock import Lock
from manifestgen.project.sections import ManifestSection
from manifestgen.render.context import context_of
from manifestgen.render.registry import Login
from manifestgen.render.template import UndefinedValueError, load_template

_NO_SECTION = "add an 'image' section to the project file"
_IMAGE: Final = r"image|modules\.(?P<module>.+)\.image"

#: Finds the logins for the registries that a manifest's images name.
Logins = Callable[[Manifest], Mapping[str, Login]]


class NoImageError(InputError):
    """The template uses the model image, and the project has none yet."""


class Rendered(Struct, frozen=True):
    """The rendered manifest of a project.

    Attributes:
        hosts: the registries for which it has a credential.
        secret: whether it contains a secret from `${file:…}` or `${env:…}` in the values.
    """

    manifest: Manifest
    hosts: tuple[str, ...]
    secret: bool


def render_project(
    project: Project,
    logins: Logins,
    *,
    values: Mapping[str, Any] | None = None,
    image: str | Mapping[str, str] | None = None,
) -> Rendered:
    """Render the manifest of a project.

    Args:
        project: whose template, values, image and lock file are used.
        logins: called once, with the manifest before credentials are added; see `credentials.logins`.
        values: override the project file's.
        image: overrides the project's reference and the lock file's image; by module, if there are several.

    Raises:
        NoImageError: the template uses an image that does not exist yet.
        InputError: the template fails.
    """
    template = load_template((project.manifest or ManifestSection()).template, project.root)
    context = context_of(project, locks_of(project, image), values=values, image=image)
    try:
        draft = template.render(context)
    except UndefinedValueError as error:
        if (missing := re.fullmatch(_IMAGE, error.name)) is None:
            raise
        raise _no_image(project, missing["module"], context) from error
    found = logins(draft)
    manifest = template.render(context, found) if found else draft
    hosts = tuple(host for host in named_hosts(draft) if host in found)
    return Rendered(manifest, hosts, _holds(manifest, [secret.reveal() for secret in project.secret_texts]))


def _no_image(project: Project, name: str | None, context: Mapping[str, Any]) -> InputError:
    """Why the template has no image to use."""
    where = str(project.path)
    if project.modular and name is None:
        names = ", ".join(f"modules.{module.name}.image" for module in project.modules[:3])
        what = "the template uses 'image', and the project has several modules"
        return InputError(what, where=where, fix=f"use the image of one of them: {names}…")
    module = next((one for one in project.modules if one.name == name), project.modules[0])
    whose = f"the image of module {module.name!r}" if project.modular else "the model image"
    if module.image is not None and module.image.references is not None:
        platform = context.get("platform")
        known = ", ".join(module.image.references)
        what = f"{whose} is not there for {platform}" if platform else f"{whose} differs by platform, and none is given"
        fix = f"add 'platform: …' under 'target', or a column 'platform' to the devices; there are {known}"
        return InputError(what, where=where, fix=fix, options=(f"give --platform, one of {known}",))
    what, fix = f"{whose} has not been built yet", "run 'manifestgen image' to build it"
    if not module.builds:
        what, fix = "the template needs an image, and the project names none", _NO_SECTION
    return NoImageError(what, where=where, fix=fix, options=("give --image REF",))


def locks_of(project: Project, image: str | Mapping[str, str] | None = None) -> dict[str, Lock]:
    """The last build of each module that is built.

    Args:
        project: whose lock file is read.
        image: modules with an override, whose lock is not checked against the project's model and image.

    Raises:
        InputError: a lock that is used is not the project's own; see `lock.read_own`.
    """
    found = {}
    for one in project.each():
        name = one.module.name
        given = isinstance(image, str) or (image is not None and name in image)
        locked = (lock.read if given else lock.read_own)(one) if one.builds else None
        if locked is not None:
            found[name] = locked
    return found


def _holds(manifest: Manifest, texts: Sequence[str]) -> bool:
    """Whether any key or string of a manifest contains one of the texts."""
    unseen: list[Any] = [manifest.content] if texts else []
    while unseen:
        value = unseen.pop()
        if isinstance(value, str) and any(text in value for text in texts):
            return True
        if isinstance(value, dict):
            unseen += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            unseen += value
    return False
