"""The files beside a user's own Dockerfile that belong into its build context.

Chosen as by Docker and `az acr build`: `<Dockerfile>.dockerignore` or `.dockerignore`, the last matching rule wins,
and `!` includes a file again, even in an ignored folder.
https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.files import read_text

# az leaves these out, too: the history may contain data that was removed from the sources.
_NEVER: Final = frozenset({".git", ".gitignore", ".hg", ".svn", ".bzr", ".bzrignore", ".manifestgen"})


class _Rule(Struct, frozen=True):
    pattern: re.Pattern[str]
    ignores: bool


#: Folder in the context for a Dockerfile from outside of it.
_ELSEWHERE: Final = "manifestgen/dockerfiles"


def name_of(dockerfile: Path, folder: Path | None = None) -> str:
    """The name of a Dockerfile in its context, with `/`.

    A Dockerfile outside of the context's folder keeps its folders and how far up they begin, since each platform may
    have a `Dockerfile` in its own folder.
    """
    root = (folder or dockerfile.parent).resolve()
    found = dockerfile.resolve()
    for up, parent in enumerate((root, *root.parents)):
        if found.is_relative_to(parent):
            name = found.relative_to(parent).as_posix()
            return f"{_ELSEWHERE}/{up}/{name}" if up else name
    return f"{_ELSEWHERE}/{found.name}"  # on another drive


def own_files(dockerfile: Path, folder: Path | None = None, leave_out: Collection[Path] = ()) -> list[tuple[str, Path]]:
    """The files of a Dockerfile's context that are not ignored, sorted by their names relative to it, with `/`.

    Args:
        dockerfile: its path.
        folder: of the context; None for the Dockerfile's own.
        leave_out: files that are not part of it, with links followed; see `written.written_files`.

    Raises:
        InputError: the Dockerfile or its ignore file cannot be read.
    """
    if not dockerfile.is_file():
        fix = "create it, or correct what the project file names as the image's Dockerfile"
        raise InputError("Dockerfile not found", where=str(dockerfile), fix=fix)
    root = folder or dockerfile.parent
    if not root.is_dir():
        raise InputError("folder not found", where=str(root), fix="create it, or correct image.context")
    rules = _rules(dockerfile, root)
    found = {name_of(dockerfile, root): dockerfile}
    # An engine that finds it in the context would apply it again, to our files too.
    names_left_out = {path.name for path in leave_out}
    never = _NEVER | {".dockerignore", f"{dockerfile.name}.dockerignore"}
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NEVER]
        for name in names:
            path = Path(parent, name)
            relative = path.relative_to(root).as_posix()
            if name in never or not path.is_file() or _is_ignored(relative, rules):
                continue
            if name not in names_left_out or path.resolve() not in leave_out:
                found[relative] = path
    return sorted(found.items())


def _rules(dockerfile: Path, root: Path) -> list[_Rule]:
    for path in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), root / ".dockerignore"):
        if path.is_file():
            return _parsed(path)
    return []


def _parsed(path: Path) -> list[_Rule]:
    rules = []
    for number, line in enumerate(read_text(path, "ignore file").splitlines(), 1):
        text = line.strip()
        if not text or line.startswith("#"):
            continue
        ignores = not text.startswith("!")
        text = text.removeprefix("!").strip().strip("/")
        if not text or text == ".":
            continue
        try:
            rules.append(_Rule(re.compile(_expression(text)), ignores))
        except re.error as error:
            fix = "correct the pattern"
            raise InputError(f"{line!r} is not a pattern: {error.msg}", where=f"{path}:{number}", fix=fix) from None
    return rules


def _is_ignored(name: str, rules: Sequence[_Rule]) -> bool:
    """Whether the last rule that matches the file, or a folder that it is in, ignores it."""
    parts = name.split("/")
    paths = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for rule in rules:
        if any(rule.pattern.fullmatch(path) for path in paths):
            ignored = rule.ignores
    return ignored


def _expression(pattern: str) -> str:
    """A pattern of Go's filepath.Match, with `**` for any number of folders, as a regular expression."""
    parts = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            parts.append("(?:.*/)?")
            position += 3
        elif pattern.startswith("**", position):
            parts.append(".*")
            position += 2
        elif pattern[position] == "*":
            parts.append("[^/]*")
            position += 1
        elif pattern[position] == "?":
            parts.append("[^/]")
            position += 1
        elif pattern[position] == "[" and (end := pattern.find("]", position + 2)) > 0:
            parts.append(pattern[position : end + 1].replace("\\", "\\\\"))
            position = end + 1
        elif pattern[position] == "\\" and position + 1 < len(pattern):
            parts.append(re.escape(pattern[position + 1]))
            position += 2
        else:
            parts.append(re.escape(pattern[position]))
            position += 1
    return "".join(parts)
