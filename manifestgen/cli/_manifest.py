"""Reads the manifests that commands send to a hub, and prints findings and warnings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.cli._console import Console
from manifestgen.errors import InputError
from manifestgen.files import read_bytes

if TYPE_CHECKING:
    from manifestgen.check import Finding
    from manifestgen.manifest.document import Document
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.manifest_file import ManifestFile


def load_manifest(file: Path, console: Console, *, force: bool) -> Manifest:
    """The manifest in a file, or on stdin for `-`, that can be set on a device; prints its findings and warnings.

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
    from manifestgen.manifest_file import read_manifest_file

    return read_manifest_file(_bytes(file), file)


def _bytes(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else read_bytes(file)
    except FileNotFoundError:
        raise InputError("manifest not found", where=str(file), fix="write one with 'manifestgen render'") from None
    except OSError as error:
        what = f"could not read the manifest: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(file), fix="check the path") from error


def findings_reporter(console: Console) -> Callable[[Document, Sequence[Finding]], None]:
    """Prints errors and warnings, one a line."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        from manifestgen.check import Severity

        for finding in findings:
            if finding.severity is not Severity.INFO:
                place = f"{document.name}:{finding.place}" if finding.line else f"{document.name}: {finding.place}"
                console.progress(f"{place}: {finding.severity.value}: {finding.message} [{finding.rule}]")

    return report
