"""Renders the manifest of a project: its template, its values, its image, its registry credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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

#: Finds the logins for what the images of a manifest name.
Logins = Callable[[Manifest], Mapping[str, Login]]


class NoImageError(InputError):
    """The template uses the model image, and the project has none yet."""


class Rendered(Struct, frozen=True):
    """A manifest that was rendered for a project.

    Attributes:
        hosts: the registries that it got a credential for.
        secret: whether it holds a secret that `${file:…}` or `${env:…}` brought into the values.
    """

    manifest: Manifest
    hosts: tuple[str, ...]
    secret: bool


def render_project(
    project: Project, logins: Logins, *, values: Mapping[str, Any] | None = None, image: str | None = None
) -> Rendered:
    """Render the manifest of a project.

    Args:
        project: whose template, values, image and lock file are used.
        logins: called once, with the manifest as it is without credentials; see `credentials.logins`.
        values: win over the project file's.
        image: wins over the project's reference and the lock file's image.

    Raises:
        NoImageError: the template uses an image and there is none yet.
        InputError: the template goes wrong.
    """
    template = load_template((project.manifest or ManifestSection()).template, project.root)
    context = context_of(project, _locked(project, image), values=values, image=image)
    try:
        draft = template.render(context)
    except UndefinedValueError as error:
        if error.name != "image":
            raise
        what, fix = "the model image has not been built yet", "run 'manifestgen image' to build it"
        if not project.builds:
            what, fix = "the template needs an image, and the project names none", _NO_SECTION
        raise NoImageError(what, where=str(project.path), fix=fix, options=("give --image REF",)) from error
    found = logins(draft)
    manifest = template.render(context, found) if found else draft
    hosts = tuple(host for host in named_hosts(draft) if host in found)
    return Rendered(manifest, hosts, _holds(manifest, [secret.reveal() for secret in project.file_texts]))


def _locked(project: Project, image: str | None) -> Lock | None:
    """The lock file of a project that builds its image. It must be the project's own if its image is used."""
    if not project.builds:
        return None
    return lock.read_own(project) if image is None else lock.read(project)


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
