"""Layers of an image: tar archives, compressed with gzip, whose bytes follow from their files alone."""

from __future__ import annotations

import hashlib
import tarfile
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifestgen.sandbox.acr_tasks.source import Content, Entry, decompress, index


@dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
        path: the compressed archive.
        digest: of the compressed archive.
        diff_id: digest of the archive itself.
        size: of the compressed archive in bytes.
    """

    path: Path
    digest: str
    diff_id: str
    size: int


def write(files: Mapping[str, Entry], folder: Path) -> Layer:
    """Write a layer with these files, by their path below `/`."""
    path = folder / uuid.uuid4().hex
    with path.open("wb") as out:
        gzip = _Gzip(out)
        stream: Any = gzip  # tarfile needs only write and tell
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(files):
                entry = files[name]
                content: Any = _Reader(entry.content) if entry.content else None
                tar.addfile(_member(name, entry), content)
        gzip.finish()
    return Layer(path, gzip.digest, gzip.diff_id, gzip.size)


def read(path: Path, folder: Path, *, compressed: bool) -> dict[str, Entry]:
    """The files of a layer; whiteouts are still among them. Raises SourceError."""
    if not compressed:
        return index(path)
    archive = folder / uuid.uuid4().hex
    decompress(path, archive)
    return index(archive)


def _member(name: str, entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name + ("/" if entry.kind == "folder" else ""))
    member.type = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}[entry.kind]
    member.mode, member.uid, member.gid, member.mtime = entry.mode, entry.uid, entry.gid, entry.time
    member.linkname = entry.target
    member.size = entry.content.size if entry.content else 0
    return member


class _Reader:
    """Bytes of a file, as `tarfile` reads them."""

    def __init__(self, content: Content) -> None:
        self._chunks: Iterator[bytes] = content.chunks()
        self._waiting = b""

    def read(self, size: int) -> bytes:
        while len(self._waiting) < size:
            piece = next(self._chunks, b"")
            if not piece:
                break
            self._waiting += piece
        found, self._waiting = self._waiting[:size], self._waiting[size:]
        return found


class _Gzip:
    """Compresses what is written to it, and computes both digests. The standard library's would write the time."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, wbits=31)
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._position = 0
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._packed.hexdigest()}"

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._plain.hexdigest()}"

    def write(self, data: bytes) -> int:
        self._plain.update(data)
        self._position += len(data)
        self._emit(self._deflate.compress(data))
        return len(data)

    def tell(self) -> int:
        return self._position

    def finish(self) -> None:
        self._emit(self._deflate.flush())

    def _emit(self, data: bytes) -> None:
        self._packed.update(data)
        self.size += self._out.write(data)
