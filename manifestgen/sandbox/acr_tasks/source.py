"""The source of a build, a tar archive that a client has uploaded: it is indexed, and never unpacked.

No file is created under a name from the archive. Forbidden entries are rejected: paths that lead out of it,
devices, sparse files, and more content than the limits below.
"""

from __future__ import annotations

import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_CHUNK: Final = 1 << 18
#: Limits of an archive once it is decompressed: bytes, and number of entries.
MOST_BYTES: Final = 4 << 30
MOST_ENTRIES: Final = 200_000


class SourceError(Exception):
    """A source that cannot be used, and why."""


@dataclass(frozen=True)
class Content:
    """Bytes of a file: a range of a file on this machine."""

    path: Path
    offset: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, piece by piece."""
        left = self.size
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while left:
                piece = file.read(min(_CHUNK, left))
                if not piece:
                    raise SourceError("the content ends too early")
                left -= len(piece)
                yield piece


@dataclass(frozen=True)
class Entry:
    """A file, folder or symbolic link.

    Attributes:
        kind: `file`, `folder` or `link`.
        mode: permission bits.
        time: of its last change, in seconds since the epoch.
        target: of a link.
        content: of a file.
    """

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    time: int = 0
    target: str = ""
    content: Content | None = None


def decompress(source: Path, target: Path, limit: int = MOST_BYTES) -> None:
    """Write a tar archive without its gzip compression. Raises SourceError."""
    with source.open("rb") as file, target.open("wb") as out:
        if file.read(2) != b"\x1f\x8b":
            raise SourceError("the source is not a tar archive compressed with gzip")
        file.seek(0)
        size = 0
        for piece in _inflated(file):
            size += out.write(piece)
            if size > limit:
                raise SourceError(f"the source is larger than {limit >> 20} MiB when decompressed")


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        while chunk := file.read(_CHUNK):
            waiting = chunk
            while waiting:
                yield inflate.decompress(waiting, _CHUNK)
                waiting = inflate.unconsumed_tail
                if inflate.eof:
                    waiting = inflate.unused_data
                    if waiting.strip(b"\0"):
                        inflate = zlib.decompressobj(wbits=31)
                    else:
                        break
        yield inflate.flush()
    except zlib.error as error:
        raise SourceError(f"the source is damaged: {error}") from error
    if not inflate.eof:
        raise SourceError("the source is damaged: it ends too early")


def index(archive: Path) -> dict[str, Entry]:
    """The entries of an uncompressed tar archive by their path, without `./`. Raises SourceError."""
    found: dict[str, Entry] = {}
    total = 0
    try:
        with tarfile.open(archive, "r:") as tar:
            for number, member in enumerate(tar, 1):
                if number > MOST_ENTRIES:
                    raise SourceError(f"the source has more than {MOST_ENTRIES} entries")
                path = clean(member.name)
                entry = _entry(member, archive, found)
                total += entry.content.size if entry.content else 0
                if total > MOST_BYTES:
                    raise SourceError(f"the source has more than {MOST_BYTES >> 20} MiB of files")
                if path:
                    found[path] = entry
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise SourceError(f"the source is damaged: {error}") from error
    _check_folders(found)
    return found


def clean(name: str) -> str:
    """A member's path below the archive's root. Raises SourceError if it leads out."""
    if name.startswith("/") or "\0" in name or ".." in name.split("/"):
        raise SourceError(f"the source has an entry outside its root: {name!r}")
    path = posixpath.normpath(name)
    return "" if path == "." else path


def _entry(member: tarfile.TarInfo, archive: Path, known: Mapping[str, Entry]) -> Entry:
    mode, time = member.mode & 0o7777, max(0, int(member.mtime))
    uid, gid = max(0, member.uid), max(0, member.gid)
    if member.isdir():
        return Entry("folder", mode, uid, gid, time)
    if member.issym():
        return Entry("link", 0o777, uid, gid, time, target=member.linkname)
    if member.islnk():
        target = known.get(clean(member.linkname))
        if target is None or target.kind != "file":
            raise SourceError(f"the source has a hard link to a file that it does not have: {member.name!r}")
        return target
    if not member.isfile() or member.issparse():
        raise SourceError(f"the source has an entry that is neither a file, a folder nor a link: {member.name!r}")
    return Entry("file", mode, uid, gid, time, content=Content(archive, member.offset_data, member.size))


def _check_folders(found: Mapping[str, Entry]) -> None:
    """Reject an entry below a file or a link: unpacking it would write elsewhere."""
    for path in found:
        parent = posixpath.dirname(path)
        while parent:
            above = found.get(parent)
            if above is not None and above.kind != "folder":
                raise SourceError(f"the source has an entry below {parent!r}, which is not a folder: {path!r}")
            parent = posixpath.dirname(parent)
