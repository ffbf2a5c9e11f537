"""Loads a manifest file for a command that sends it."""

from __future__ import annotations

from pathlib import Path

from manifestgen.cli._console import Console
from manifestgen.manifest.document import read
from manifestgen.manifest.manifest import Manifest


def load_manifest(file: Path, console: Console, *, force: bool) -> Manifest:
    """The manifest in a file."""
    document = read(file.read_bytes(), str(file))
    assert document.manifest is not None
    return document.manifest
