"""Unpacks the application's part of an image's layers.

Only files below given folders are written, and only regular files, folders and links that stay inside: a layer comes
from elsewhere, and nothing in it may lead out of the folder that it is unpacked to.
"""

from __future__ import annotations

import gzip
import os
import posixpath
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

#: Limits of what is unpacked: bytes, and number of entries.
MOST_BYTES: Final = 8 << 30
MOST_ENTRIES: Final = 200_000

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class UnpackError(Exception):
    """A layer that cannot be unpacked, and why."""


@dataclass(frozen=True)
class LayerFile:
    """A layer: a tar archive, compressed with gzip or not."""

    path: Path
    compressed: bool


@dataclass
class _Unpacking:
    target: Path
    below: tuple[str, ...]
    most_bytes: int
    links: set[str] = field(default_factory=set)
    bytes: int = 0
    entries: int = 0


def unpack(layers: Iterable[LayerFile], below: Sequence[str], target: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Unpack layers, lowest first, to a folder that becomes `/`.

    Args:
        layers: of an image.
        below: folders without the first `/`; everything outside them is left out.
        target: does not exist yet; if unpacking fails, it does not exist afterwards either.
        most_bytes: limit of what is written.

    Raises:
        UnpackError: a layer is damaged, too large, or has an entry that would lead out of the folder.
        OSError: it cannot be written.
    """
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    state = _Unpacking(partial, tuple(f"{folder.strip('/')}/" for folder in below), most_bytes)
    try:
        for layer in layers:
            _unpack_layer(layer, state)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack_layer(layer: LayerFile, state: _Unpacking) -> None:
    try:
        with (
            (gzip.open if layer.compressed else open)(layer.path, "rb") as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                _take(tar, member, state)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError) as error:
        raise UnpackError(f"the layer {layer.path.name[:12]} is damaged: {error}") from error


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, state: _Unpacking) -> None:
    state.entries += 1
    if state.entries > MOST_ENTRIES:
        raise UnpackError(f"the image has more than {MOST_ENTRIES} entries")
    name = _clean(member.name)
    if not f"{name}/".startswith(state.below):
        return
    parent, base = posixpath.split(name)
    _refuse_links_above(name, state)
    path = state.target / name
    if base == _OPAQUE:
        for inside in list((state.target / parent).glob("*")):
            _remove(inside, state)
    elif base.startswith(_WHITEOUT):
        _remove(state.target / parent / base[len(_WHITEOUT) :], state)
    elif member.isdir():
        if path.is_symlink() or path.is_file():
            _remove(path, state)
        path.mkdir(parents=True, exist_ok=True)
    else:
        _remove(path, state)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(tar, member, path, name, state)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, name: str, state: _Unpacking) -> None:
    if member.issym():
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(name), member.linkname))
        if not f"{target.lstrip('/')}/".startswith(state.below):
            raise UnpackError(f"the link {name!r} leads to {member.linkname!r}, outside the application")
        path.symlink_to(os.path.relpath(state.target / target.lstrip("/"), path.parent))
        state.links.add(name)
    elif member.islnk():
        source = _clean(member.linkname)
        _refuse_links_above(source, state)
        if not (state.target / source).is_file() or (state.target / source).is_symlink():
            raise UnpackError(f"{name!r} is a hard link to {member.linkname!r}, which is not there")
        shutil.copyfile(state.target / source, path)
    elif member.isfile():
        state.bytes += member.size
        if state.bytes > state.most_bytes:
            raise UnpackError(f"the application has more than {state.most_bytes >> 20} MiB")
        content = tar.extractfile(member)
        assert content is not None  # noqa: S101 - a regular file has content
        with content, path.open("xb") as out:
            _copy(content, out)
        path.chmod(0o755 if member.mode & 0o100 else 0o644)
    else:
        raise UnpackError(f"{name!r} is neither a file, a folder nor a link")


def _copy(content: IO[bytes], out: IO[bytes]) -> None:
    shutil.copyfileobj(content, out, 1 << 18)


def _clean(name: str) -> str:
    if "\0" in name or ".." in name.split("/"):
        raise UnpackError(f"the entry {name!r} leads out of the image")
    return posixpath.normpath(name).lstrip("/")


def _refuse_links_above(name: str, state: _Unpacking) -> None:
    parent = posixpath.dirname(name)
    while parent:
        if parent in state.links:
            raise UnpackError(f"the entry {name!r} lies below the link {parent!r}")
        parent = posixpath.dirname(parent)


def _remove(path: Path, state: _Unpacking) -> None:
    relative = path.relative_to(state.target).as_posix()
    if path.is_symlink() or path.is_file():
        path.unlink()
        state.links.discard(relative)
    elif path.is_dir():
        shutil.rmtree(path)
        state.links = {link for link in state.links if not link.startswith(f"{relative}/")}
