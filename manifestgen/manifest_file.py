"""Reads a manifest from a file, and fills in the placeholders of its registry credentials."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from manifestgen.credentials.placeholders import fill_placeholders
from manifestgen.errors import InputError
from manifestgen.files import in_a_shell, read_bytes
from manifestgen.manifest.document import Document, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.project import FILE_NAME, Project
from manifestgen.project.beside import project_of
from manifestgen.secret import Secret
from manifestgen.services import ProjectServices


@dataclass(frozen=True)
class ManifestFile:
    """A manifest from a file.

    Attributes:
        file: its path.
        document: with placeholders filled in.
        noticed: credentials that expire soon, found while filling in placeholders, a sentence each.
    """

    file: Path
    document: Document
    noticed: tuple[str, ...] = ()

    def warnings(self) -> tuple[str, ...]:
        """Registry credentials in it that expire soon, a sentence each; makes no requests."""
        return tuple(dict.fromkeys((*self.noticed, *_known_expiries(self.file, self.document.manifest))))


def read_manifest_file(data: bytes, file: Path, environ: Mapping[str, str] | None = None) -> ManifestFile:
    """Read a manifest, and fill in its placeholders `${ACR_USERNAME_…}` and `${ACR_PASSWORD_…}`.

    Their values come from environment variables, else from the credential sources of the project and environment that
    the file is named after, else of the project beside the file or in the working directory.

    Args:
        data: the file's content.
        file: its path, for messages and to find the project; `-` for stdin.
        environ: the environment variables; None for those of this process.

    Raises:
        InputError: a placeholder has no value.
        CloudError: a credential source could not be reached.
    """
    environ = os.environ if environ is None else environ
    noticed: list[str] = []
    name = "stdin" if str(file) == "-" else str(file)
    document = fill_placeholders(
        read(data, name, styles=_styles(file)),
        environ,
        functools.partial(_from_project, file, environ, noticed.append),
    )
    return ManifestFile(file, document, tuple(noticed))


def refuse_project(file: Path) -> None:
    """Make sure that a file is not a project or its folder, where only a manifest will do.

    Raises:
        InputError: it is, or it is another folder, or YAML.
    """
    yaml = file.suffix in (".yaml", ".yml") and file.is_file()
    if (file / FILE_NAME).is_file() or (yaml and _has_version(file)):
        name = in_a_shell(file)
        raise InputError(
            "this is a project, not a manifest",
            where=str(file),
            fix=f"write its manifest with 'manifestgen render {name}' and give that; or run "
            f"'manifestgen deploy {name}', or 'manifestgen deploy {name} --dry-run' for the plan",
        )
    if file.is_dir():
        fix = f"give the file of one, such as {file / 'deployment.json'}"
        raise InputError("this is a folder, not a manifest", where=str(file), fix=fix)
    if yaml:
        fix = "give the JSON that 'manifestgen render' or 'manifestgen export' writes"
        raise InputError("this is YAML, and a manifest is JSON", where=str(file), fix=fix)


def _has_version(file: Path) -> bool:
    """Whether a YAML file looks like a project's: those begin with their version."""
    try:
        return re.search(rb"(?m)^(\xef\xbb\xbf)?version\s*:", read_bytes(file)) is not None
    except OSError:
        return False  # an error where it is read


def _styles(file: Path) -> Styles:
    try:
        project = project_of(file)
    except InputError:
        return USUAL  # reported where the project is needed
    return project.placeholder_styles if project is not None else USUAL


def expiry_warnings(manifest: Manifest, project: Project | None) -> Iterator[str]:
    """Passwords of tokens in a manifest that expire soon, according to this machine; makes no requests."""
    from manifestgen.credentials.standing import WARN_DAYS, warnings
    from manifestgen.state import state_folder

    days = project.registry_settings.registry.warn_days if project is not None else WARN_DAYS
    yield from warnings(manifest.credentials().values(), state_folder(), datetime.now(timezone.utc), days)


def _known_expiries(file: Path, manifest: Manifest | None) -> Iterator[str]:
    if manifest is None or not manifest.credential_entries():
        return
    try:
        project = project_of(file)
    except InputError:
        project = None  # an error where the project is needed
    yield from expiry_warnings(manifest, project)


def _from_project(
    file: Path, environ: Mapping[str, str], notice: Callable[[str], None], manifest: Manifest, hosts: Sequence[str]
) -> Mapping[str, tuple[str, Secret]]:
    """User name and password for registry hosts, from a project's credential sources."""
    project = project_of(file)
    if project is None:
        return {}
    from manifestgen.credentials.logins import for_placeholders

    return for_placeholders(manifest, hosts, ProjectServices(project, report=notice, environ=environ).logins)
