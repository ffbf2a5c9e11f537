"""Renders the manifest of a project: its template, its values, its image, its registry credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import Project, lock
from manifestgen.project.credentials import is_asked_of_azure, is_named, on_this_machine, source_of, variable_suffixes
from manifestgen.project.sections import ManifestSection
from manifestgen.render.context import context_of
from manifestgen.render.registry import Login, named_hosts, placeholders, private_hosts, repositories
from manifestgen.render.template import UndefinedValueError, load_template

#: Finds the logins for what the images of a manifest name.
Logins = Callable[[Manifest], Mapping[str, Login]]
#: Finds in Azure the logins for registry hosts, each with the repositories that the manifest needs of it.
AzureLogins = Callable[[Mapping[str, frozenset[str]]], Mapping[str, Login]]


class Rendered(Struct, frozen=True):
    """A manifest that was rendered for a project.

    Attributes:
        hosts: the registries that it got a credential for.
        secret: whether it holds the content of a file that `${file:…}` brought into the values, most often a secret.
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
        logins: asked once, with the manifest as it is without credentials; see `placeholder_logins`, `inline_logins`.
        values: win over the project file's.
        image: wins over the project's reference and the lock file's image.

    Raises:
        InputError: the template goes wrong, or it uses an image and there is none yet.
    """
    template = load_template((project.manifest or ManifestSection()).template, project.root)
    context = context_of(project, lock.read(project) if project.builds else None, values=values, image=image)
    try:
        draft = template.render(context)
    except UndefinedValueError as error:
        if error.name != "image":
            raise
        fix = "run 'manifestgen image' to build it, or give --image REF"
        raise InputError("there is no model image yet", where=str(project.path), fix=fix) from error
    found = logins(draft)
    manifest = template.render(context, found) if found else draft
    hosts = tuple(host for host in named_hosts(draft) if host in found)
    return Rendered(manifest, hosts, _holds(manifest, [secret.reveal() for secret in project.file_texts]))


def placeholder_logins(manifest: Manifest) -> Mapping[str, Login]:
    """`${ACR_USERNAME_<NAME>}` and `${ACR_PASSWORD_<NAME>}` for each private registry that an image names."""
    hosts = private_hosts(manifest)
    return placeholders(hosts, variable_suffixes(named_hosts(manifest)))


def placeholders_for(project: Project) -> Logins:
    """`placeholder_logins`, for the registries that the project names sources for as well."""

    def logins(manifest: Manifest) -> Mapping[str, Login]:
        return placeholders(needed_hosts(project, manifest), variable_suffixes(named_hosts(manifest)))

    return logins


def needed_hosts(project: Project, manifest: Manifest) -> tuple[str, ...]:
    """The registries that a manifest needs a credential for and has none yet: private ones, and those in `sources`."""
    private = private_hosts(manifest)
    return tuple(host for host in named_hosts(manifest) if host in private or is_named(project, host))


def inline_logins(project: Project, environ: Mapping[str, str], azure: AzureLogins) -> Logins:
    """The real logins, each from the source that the project file names for its registry.

    Args:
        project: whose `registry` section names the sources.
        environ: the environment variables.
        azure: finds those of the sources `admin`, `token` and `keyvault`; called only if an image needs one of them.

    Returns:
        A function that raises InputError if a registry that needs a login has none.
    """

    def logins(manifest: Manifest) -> Mapping[str, Login]:
        hosts = named_hosts(manifest)
        needed = needed_hosts(project, manifest)
        found: dict[str, Login] = dict(on_this_machine(project, hosts, environ))
        pulled = repositories(manifest)
        missing = [host for host in needed if host not in found]
        asked = {host: pulled[host.lower()] for host in missing if is_asked_of_azure(project, host)}
        if asked:
            found |= azure(asked)
        for host in needed:
            if host not in found:
                fix = _advice(project, host, variable_suffixes(hosts)[host])
                raise InputError(f"no credential for registry {host}", where=str(project.path), fix=fix)
        return found

    return logins


def _advice(project: Project, host: str, suffix: str) -> str:
    source = source_of(project, host)
    if source == "env":
        return f"set ACR_USERNAME_{suffix} and ACR_PASSWORD_{suffix}"
    if source == "file" and project.registry is not None:
        return f"add {host} with its user name and password to {project.registry.file}; credential helpers are not run"
    return "choose another source in registry.credentials or registry.sources"


def _holds(manifest: Manifest, texts: Sequence[str]) -> bool:
    """Whether any key or text of a manifest has one of the texts in it."""
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
