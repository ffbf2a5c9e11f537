"""Reads the manifests that commands send to a hub, and prints findings and warnings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.cli._console import Console
from manifestgen.errors import FoundError, InputError, os_reason
from manifestgen.files import read_bytes, read_stdin

if TYPE_CHECKING:
    from manifestgen.check import Finding
    from manifestgen.manifest.document import Document
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.manifest_file import ManifestFile
    from manifestgen.project import Project


def load_manifest(file: Path, console: Console, *, force: bool) -> Manifest:
    """Read a manifest for a device from a file, or from stdin for `-`; prints its findings and warnings.

    Raises:
        InputError: it cannot be read, is not a manifest, or a placeholder has no value.
        FoundError: `check` finds errors in it.
    """
    from manifestgen.gate import require_applicable

    loaded = load_file(file)
    manifest = require_applicable(loaded.document, force=force, report=findings_reporter(console))
    for words in loaded.warnings():
        console.warn(words)
    return manifest


def load_file(file: Path) -> ManifestFile:
    """The manifest in a file, or on stdin for `-`, with its placeholders filled in; see `read_manifest_file`."""
    from manifestgen.manifest_file import read_manifest_file, refuse_project

    refuse_project(file)
    return read_manifest_file(_bytes(file), file)


def _bytes(file: Path) -> bytes:
    try:
        return read_stdin() if str(file) == "-" else read_bytes(file)
    except FileNotFoundError:
        raise InputError("manifest not found", where=str(file), fix="write one with 'manifestgen render'") from None
    except OSError as error:
        what = f"could not read the manifest: {os_reason(error)}"
        raise InputError(what, where=str(file), fix="check the path") from error


def check_lock(file: Path, manifest: Manifest, console: Console, *, locked: bool) -> None:
    """Warn if a manifest has its project's image, and the image's inputs have changed since its build.

    Raises:
        FoundError: with `locked`, the lock file is missing or stale, or the manifest does not have its image.
        InputError: the lock file is damaged, or belongs to another image.
    """
    from manifestgen.project.beside import project_of

    try:
        project = project_of(file)
    except InputError as error:
        if locked:
            raise
        console.warn(f"could not look at the lock file: {error}")  # planning a manifest does not need one
        return
    if project is None:
        if locked:
            fix = "drop --locked, or plan a file that 'manifestgen render' wrote beside the project file"
            raise FoundError("no project file is beside it, so no lock file", where=str(file), fix=fix)
        return
    images = {module.image_text for module in manifest.modules()}
    for one in project.each():
        if one.builds:
            _check_module_lock(one, images, file, console, locked=locked)


def _check_module_lock(
    project: Project, images: Collection[str | None], file: Path, console: Console, *, locked: bool
) -> None:
    """See `check_lock`, for one module."""
    from manifestgen.project import fit, lock

    built = lock.read(project)
    used = built is not None and any(image in images for image in (built.image, built.pinned) if image is not None)
    if used or locked:
        fit.check_lock(project, locked=locked, warn=console.warn)
    if locked and built is not None and not used:
        fix = "run 'manifestgen render' again"
        raise FoundError(f"the manifest does not have the lock file's image {built.image}", where=str(file), fix=fix)


def findings_reporter(console: Console) -> Callable[[Document, Sequence[Finding]], None]:
    """Prints errors and warnings, one a line."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        from manifestgen.check import Severity

        for finding in findings:
            if finding.severity is not Severity.INFO:
                place = f"{document.name}:{finding.place}" if finding.line else f"{document.name}: {finding.place}"
                console.progress(f"{place}: {finding.severity.value}: {finding.message} [{finding.rule}]")

    return report
