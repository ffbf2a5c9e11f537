"""The model's metadata: its name, version, and the hash of its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PIECE = 1 << 20


@dataclass(frozen=True)
class Model:
    """A model; the texts are empty where nothing is known.

    Attributes:
        sha256: of the one file in the model's folder, or of the names and contents of all files in it.
    """

    name: str
    version: str
    sha256: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """As labels of a metric, and as reported."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


def sha256_of(folder: Path) -> str:
    """Hex SHA-256 as manifestgen's lock file has it: of a single file its content's, else of all names and contents.

    Raises:
        OSError: a file cannot be read.
    """
    inside = list(folder.iterdir()) if folder.is_dir() else []
    if len(inside) == 1 and inside[0].is_dir():
        folder = inside[0]  # a model folder is in there under its own name
    files = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if not file.is_dir())
    if not files:
        return ""
    content = [[name, _of_file(file)] for name, file in files]
    if len(content) == 1:
        return content[0][1]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def hash_in_background(folder: Path, done: Callable[[str], None]) -> None:
    """Hash a folder in a thread that ends then: a model of gigabytes must not delay the first message."""

    def work() -> None:
        try:
            done(sha256_of(folder))
        except OSError:
            done("")

    threading.Thread(target=work, name="model-hash", daemon=True).start()


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
