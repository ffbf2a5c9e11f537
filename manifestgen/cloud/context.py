"""A build context: the files that an image is built from, as a value.

The same files give the same bytes on every machine and day: names are sorted, times are 0, owners are root, and modes
are 0644 or 0755. Files are read when they are needed, piece by piece, so that a model of gigabytes needs no memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from manifestgen.errors import InputError

DOCKERFILE: Final = "Dockerfile"
_PIECE: Final = 1 << 20
_LEVEL: Final = 6


@dataclass(frozen=True)
class ContextFile:
    """A file of a context.

    Attributes:
        name: its path in the context, with `/`.
        content: its bytes, or the file on this machine that has them.
        executable: whether its mode is 0755, not 0644.
        platform: the only one that needs it, such as `linux/arm64`; empty for all.
    """

    name: str
    content: bytes | Path
    executable: bool = False
    platform: str = ""

    @property
    def mode(self) -> int:
        """Its permissions."""
        return 0o755 if self.executable else 0o644

    @property
    def size(self) -> int:
        """Bytes of its content. Raises InputError if it cannot be read."""
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return self.content.stat().st_size
        except OSError as error:
            raise _unreadable(self.content, error) from error

    def pieces(self) -> Iterator[bytes]:
        """Its content. Raises InputError if it cannot be read."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        try:
            with self.content.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    yield piece
        except OSError as error:
            raise _unreadable(self.content, error) from error


@dataclass(frozen=True)
class Context:
    """A build context.

    Attributes:
        files: sorted by name.
        dockerfile: name of the Dockerfile among them. The one that we generate copies the packages of
            `linux-${TARGETARCH}`, which buildx and buildah set for each platform; see `target_arch`.
        dockerfiles: by platform, if each has its own; empty otherwise.
        arguments: build arguments; never a secret.
    """

    files: tuple[ContextFile, ...]
    dockerfile: str = DOCKERFILE
    dockerfiles: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        files: Sequence[ContextFile],
        *,
        dockerfile: str = DOCKERFILE,
        dockerfiles: Mapping[str, str] | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> Context:
        """A context of files in any order. Raises ValueError if two have one name."""
        ordered = tuple(sorted(files, key=lambda file: file.name))
        for one, other in pairwise(ordered):
            if one.name == other.name:
                raise ValueError(f"the context has two files {one.name!r}")
        return cls(ordered, dockerfile, dockerfiles or {}, arguments or {})

    def for_platforms(self, platforms: Sequence[str]) -> Context:
        """Without the files that only other platforms need."""
        kept = tuple(file for file in self.files if not file.platform or file.platform in platforms)
        own = [self.dockerfiles[platform] for platform in platforms if platform in self.dockerfiles]
        return replace(self, files=kept, dockerfile=own[0] if own else self.dockerfile)

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of all names, modes and contents. Not of the archive: what gzip makes depends on its version.

        Raises:
            InputError: a file cannot be read.
        """
        listed = [[file.name, file.mode, _sha256(file)] for file in self.files]
        more = [dict(self.dockerfiles), dict(self.arguments)] if self.dockerfiles or self.arguments else []
        text = json.dumps([listed, self.dockerfile, *more], separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all contents, uncompressed."""
        return sum(file.size for file in self.files)

    def archive(self) -> Iterator[bytes]:
        """The tar.gz, in pieces of at most a few megabytes.

        Raises:
            InputError: a file cannot be read, or changed while it was read.
        """
        sink = _Sink()
        with gzip.GzipFile(filename="", mode="wb", fileobj=sink, compresslevel=_LEVEL, mtime=0) as packed:
            for piece in self.tar():
                packed.write(piece)
                if sink.size >= _PIECE:
                    yield sink.take()
        yield sink.take()

    def tar(self) -> Iterator[bytes]:
        """The same without compression."""
        for folder in self._folders():
            yield _header(f"{folder}/", 0, 0o755, tarfile.DIRTYPE)
        for file in self.files:
            size = file.size
            yield _header(file.name, size, file.mode, tarfile.REGTYPE)
            left = size
            for piece in file.pieces():
                left -= len(piece)
                if left < 0:
                    break
                yield piece
            if left != 0:
                fix = "run the same command again once nothing writes to it"
                raise InputError("the file changed while it was read", where=str(file.content), fix=fix)
            yield b"\0" * (-size % tarfile.BLOCKSIZE)
        yield b"\0" * (2 * tarfile.BLOCKSIZE)

    def write(self, folder: Path) -> None:
        """Write the files into an empty folder.

        Raises:
            InputError: a file cannot be read or written.
        """
        try:
            for name in self._folders():
                (folder / name).mkdir()
                (folder / name).chmod(0o755)  # whatever the umask
            for file in self.files:
                target = folder / file.name
                if isinstance(file.content, bytes):
                    target.write_bytes(file.content)
                else:
                    _copy(file.content, target)
                target.chmod(file.mode)
        except OSError as error:
            what = f"could not write the build context: {error.strerror or error}"
            raise InputError(
                what, where=str(error.filename or folder), fix="free disk space, or check the path"
            ) from error

    def _folders(self) -> list[str]:
        """Every folder, each after the one that it is in."""
        found: set[str] = set()
        for file in self.files:
            parent = file.name.rpartition("/")[0]
            while parent and parent not in found:
                found.add(parent)
                parent = parent.rpartition("/")[0]
        return sorted(found)


def target_arch(platform: str) -> str:
    """The value of TARGETARCH for a platform: `arm` for `linux/arm/v7`."""
    return platform.split("/")[1]


class _Sink(io.RawIOBase):
    """Collects what gzip writes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(memoryview(data))  # type: ignore[arg-type]
        self._pieces.append(piece)
        self.size += len(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return taken


def _header(name: str, size: int, mode: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, 0
    return info.tobuf(tarfile.PAX_FORMAT)


def _sha256(file: ContextFile) -> str:
    digest = hashlib.sha256()
    for piece in file.pieces():
        digest.update(piece)
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except (FileNotFoundError, PermissionError) as error:
        raise _unreadable(source, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("not found", where=str(path), fix="create it or correct its path")
    return InputError(f"could not read it: {error.strerror}", where=str(path), fix="check its permissions")
