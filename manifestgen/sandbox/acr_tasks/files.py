"""Paths in the files of a source or an image, which are mappings from paths below `/` to entries."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from manifestgen.sandbox.acr_tasks.dockerfile import DockerfileError
from manifestgen.sandbox.acr_tasks.source import Entry

_WHITEOUT: Final = ".wh."
_MOST_LINKS: Final = 40


def matching(files: Mapping[str, Entry], pattern: str, name: str) -> list[str]:
    """The files that a source of COPY names. Raises DockerfileError."""
    path = posixpath.normpath(posixpath.join("/", pattern)).strip("/")
    if posixpath.normpath(pattern.lstrip("/")).startswith(".."):
        raise DockerfileError(f"{name} failed: forbidden path outside the build context: {pattern} ()")
    if re.search(r"[*?\[]", path):
        wanted = path.replace("[^", "[!").split("/")
        candidates = {"/".join(known.split("/")[: len(wanted)]) for known in files}
        return sorted(
            one
            for one in candidates
            if len(parts := one.split("/")) == len(wanted)
            and all(fnmatchcase(part, mask) for part, mask in zip(parts, wanted, strict=True))
        )
    real = resolve(files, path)
    if real and real not in files and not is_folder(files, real):
        raise DockerfileError(
            f"{name} failed: file not found in build context or excluded by .dockerignore: stat {path}: file does not "
            "exist"
        )
    return [real]


def is_folder(files: Mapping[str, Entry], path: str) -> bool:
    """Whether a path is a folder, even without its own entry."""
    if path == "":
        return True
    entry = files.get(path)
    if entry is not None:
        return entry.kind == "folder"
    return any(name.startswith(f"{path}/") for name in files)


def resolve(files: Mapping[str, Entry], path: str) -> str:
    """The path below `/` once symbolic links on it are followed, never beyond the root."""
    left = [part for part in path.split("/") if part and part != "."]
    done: list[str] = []
    for _ in range(_MOST_LINKS * max(1, len(left))):
        if not left:
            return "/".join(done)
        part = left.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        entry = files.get("/".join((*done, part)))
        if entry is None or entry.kind != "link":
            done.append(part)
            continue
        if entry.target.startswith("/"):
            done = []
        left = [piece for piece in entry.target.split("/") if piece and piece != "."] + left
    raise DockerfileError(f"too many symbolic links in {path!r}")


def apply(files: dict[str, Entry], new: Mapping[str, Entry]) -> None:
    """Add a layer to files; a whiteout removes what it names."""
    for path in new:
        folder, name = posixpath.split(path)
        if not name.startswith(_WHITEOUT):
            continue
        opaque = name == f"{_WHITEOUT}{_WHITEOUT}.opq"
        gone = folder if opaque else posixpath.join(folder, name.removeprefix(_WHITEOUT))
        for known in [
            one for one in files if one.startswith(f"{gone}/" if gone else "") or (one == gone and not opaque)
        ]:
            del files[known]
    for path, entry in new.items():
        if not posixpath.basename(path).startswith(_WHITEOUT):
            files[path] = entry
