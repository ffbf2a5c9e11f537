"""Manifests on their way to a hub: loads them, and says what `check` has to say of them."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.cli._console import Console
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.check import Finding
    from manifestgen.manifest.document import Document
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.project import Project
    from manifestgen.secret import Secret


def load_manifest(file: Path, console: Console, *, force: bool) -> Manifest:
    """The manifest in a file, or on stdin for `-`, with its placeholders filled in from the environment.

    Raises:
        InputError: it cannot be read, is no manifest, or a placeholder has no value.
        FoundError: `check` finds errors in it.
    """
    from manifestgen.gate import admit

    noticed: list[str] = []
    manifest = admit(load_document(file, noticed.append), force=force, report=findings_reporter(console))
    warn_of_credentials(file, manifest, noticed, console)
    return manifest


def load_document(file: Path, notice: Callable[[str], None] = lambda text: None) -> Document:
    """The document in a file, or on stdin for `-`, with its placeholders filled in.

    They come from the environment, or else from the sources of the project that is beside the file or here.

    Args:
        notice: told of credentials among them that expire soon.

    Raises:
        InputError: it cannot be read, or a placeholder has no value.
    """
    from manifestgen.gate import resolve
    from manifestgen.manifest.document import read

    name = "stdin" if str(file) == "-" else str(file)
    return resolve(read(_bytes(file), name), os.environ, functools.partial(_from_project, file, notice))


def project_beside(file: Path) -> Project | None:
    """The project in the folder of a manifest, or else in the working directory, if there is one."""
    from manifestgen.services import project_here

    return (None if str(file) == "-" else project_here(file.parent)) or project_here()


def _from_project(
    file: Path, notice: Callable[[str], None], manifest: Manifest, hosts: Sequence[str]
) -> Mapping[str, tuple[str, Secret]]:
    """User name and password for registry hosts, from the sources that a project names."""
    project = project_beside(file)
    if project is None:
        return {}
    from manifestgen.credentials.logins import for_placeholders
    from manifestgen.services import Clouds

    return for_placeholders(manifest, hosts, Clouds(project, report=notice).logins)


def _bytes(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except FileNotFoundError:
        raise InputError("manifest not found", where=str(file), fix="write one with 'manifestgen render'") from None
    except OSError as error:
        what = f"manifest cannot be read: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(file), fix="check the path") from error


def findings_reporter(console: Console) -> Callable[[Document, Sequence[Finding]], None]:
    """Says errors and warnings, one a line."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        from manifestgen.check import Severity

        for finding in findings:
            if finding.severity is not Severity.INFO:
                place = f"{document.name}:{finding.line}:{finding.column}"
                console.progress(f"{place}: {finding.severity.value}: {finding.message} [{finding.rule}]")

    return report


def warn_of_credentials(file: Path, manifest: Manifest, noticed: Sequence[str], console: Console) -> None:
    """Warn of the registry credentials in a manifest that expire soon: what was noticed, and what this machine knows.

    Args:
        file: where the manifest came from.
        manifest: filled in.
        noticed: what `load_document` told.
        console: to say it.
    """
    known: Iterator[str] = iter(())
    if manifest.credential_entries():
        try:
            project = project_beside(file)
        except InputError:
            project = None  # told where the project is needed
        known = _expiries(manifest, project)
    for words in dict.fromkeys((*noticed, *known)):  # a token's may have been noticed twice
        console.warn(words)


def warn_of_expiry(manifest: Manifest, project: Project | None, console: Console) -> None:
    """Warn of passwords of tokens that expire soon, as far as this machine knows them; nothing is asked."""
    for words in _expiries(manifest, project):
        console.warn(words)


def _expiries(manifest: Manifest, project: Project | None) -> Iterator[str]:
    from datetime import datetime, timezone

    from manifestgen.credentials.standing import WARN_DAYS, warnings
    from manifestgen.device.snapshots import state_folder

    days = project.registry_settings.registry.warn_days if project is not None else WARN_DAYS
    yield from warnings(manifest.credentials().values(), state_folder(), datetime.now(timezone.utc), days)
