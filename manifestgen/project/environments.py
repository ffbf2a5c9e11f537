"""Environments of a project: overrides that are merged over the rest of the project file.

The merge is that of JSON Merge Patch (RFC 7396, https://www.rfc-editor.org/rfc/rfc7396): mappings merge, other values
replace, and null removes. It works on the file's raw data, so only references in the result are expanded, and every
value keeps its place in the file.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError, ManifestgenError
from manifestgen.files import read_text
from manifestgen.project import source
from manifestgen.project.invalid import nearest
from manifestgen.project.project import FILE_NAME
from manifestgen.project.sections import ENVIRONMENT_NAME
from manifestgen.project.source import Place, Source

#: The section of the project file.
KEY: Final = "environments"
#: Chooses the environment if no option does.
VARIABLE: Final = "MANIFESTGEN_ENVIRONMENT"

_CHOSEN_HERE: Final[ContextVar[str | None]] = ContextVar("environment", default=None)

# Keys of `image` that determine the versions of packages.
_PACKAGES: Final = frozenset({"base", "builder", "conda_file", "platforms", "requirements"})
_NO_CHAIN: Final = "remove it: environments do not build on one another, only on the rest of the file"
# Keys that users might expect in an environment, but that it deliberately does not allow.
_NOT_HERE: Final = {
    **dict.fromkeys(("base", "environment", KEY, "extends", "from", "inherits", "parent"), _NO_CHAIN),
    **dict.fromkeys(("version", "requires"), "remove it: it is the same for all environments of the file"),
}


def chosen(environ: Mapping[str, str] | None = None) -> str | None:
    """The environment chosen for this process, or None."""
    return (os.environ if environ is None else environ).get(VARIABLE) or None


@contextlib.contextmanager
def choosing(name: str) -> Iterator[None]:
    """Choose an environment for this process and its children during the block."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    token = _CHOSEN_HERE.set(name)
    try:
        yield
    finally:
        _CHOSEN_HERE.reset(token)
        if before is not None:
            os.environ[VARIABLE] = before
        else:
            os.environ.pop(VARIABLE, None)


def by_option() -> bool:
    """Whether `choosing` chose the environment, not the variable."""
    return _CHOSEN_HERE.get() is not None


def refuse_without_project() -> None:
    """Raise InputError if `choosing` chose an environment: it would have no effect.

    The variable may be set for a whole pipeline, so steps that need no project ignore it.
    """
    name = _CHOSEN_HERE.get()
    if name is not None:
        raise InputError(
            f"there is no project here, so there is no environment '{name}'",
            where=str(Path.cwd()),
            fix="run the command in the project's folder, or choose no environment",
        )


def names_of(file: Path) -> tuple[str, ...]:
    """The names of a project file's environments; none if it cannot be read, which `load` will report."""
    try:
        return names_in(source.parse(read_text(file, "project file", limit=source.MAX_BYTES), str(file)))
    except (ManifestgenError, OSError):
        return ()


def names_in(document: Source) -> tuple[str, ...]:
    """The names of a project file's environments, in its order.

    Raises:
        InputError: the section or one of the environments is not a mapping, or a name is not valid or taken.
    """
    section = document.data.get(KEY) if isinstance(document.data, dict) else None
    if section is None:
        return ()
    if not isinstance(section, dict):
        what = f"{KEY} is {_kind(section)}, not a mapping"
        raise InputError(what, where=document.where((KEY,)), fix="write it as lines of 'NAME: …'")
    seen: dict[str, str] = {}
    for name, changes in section.items():
        if not re.fullmatch(ENVIRONMENT_NAME, name):
            raise InputError(
                f"'{name}' is not a valid environment name",
                where=document.where((KEY, name), key=True),
                fix="use at most 64 letters, digits, '-' and '_', a letter or digit first",
            )
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            what = f"the environments '{twin}' and '{name}' differ in case only, and so would their files"
            raise InputError(what, where=document.where((KEY, name), key=True), fix="rename one of them")
        if changes is not None and not isinstance(changes, dict):
            what = f"environment '{name}' is {_kind(changes)}, not a mapping of sections"
            fix = "write what differs in it, such as 'hub: {host: …}'"
            raise InputError(what, where=document.where((KEY, name)), fix=fix)
    return tuple(section)


def effective(document: Source, name: str | None) -> Source:
    """A project file merged with one of its environments, without the section `environments`.

    Args:
        document: the project file; `names_in` has accepted it.
        name: of the environment; None for the file without its environments.

    Raises:
        InputError: the project has no such environment.
    """
    data = document.data
    if name is not None:
        _require(document, name)
    if not isinstance(data, dict) or KEY not in data:
        return document
    merging = _Merging(document)
    base = {key: value for key, value in data.items() if key != KEY}
    merged = base if name is None else merging.merge(base, data[KEY][name] or {}, (), (KEY, name))
    return Source(
        document.name,
        merged,
        merging.keys,
        merging.values,
        merging.written,
        name,
        frozenset(merging.changed),
        frozenset(merging.removed),
    )


def changes_packages(document: Source) -> bool:
    """Whether the merged environment changes a key that determines an image's packages."""
    paths = document.changed | document.removed
    return any("image" in path and not _PACKAGES.isdisjoint(map(str, path)) for path in paths)


def not_here(path: source.Path) -> str | None:
    """The fix for a key that an environment deliberately does not allow; None for other keys."""
    return _NOT_HERE.get(str(path[-1])) if len(path) == 3 and path[0] == KEY else None


def _require(document: Source, name: str) -> None:
    names = names_in(document)
    if name in names:
        return
    if not names:
        raise InputError(
            f"there is no environment '{name}': the project has no section 'environments'",
            where=document.name,
            fix=f"add 'environments: {{NAME: …}}', or choose none; the variable {VARIABLE} chooses one, too",
        )
    near = nearest(name, names)
    raise InputError(
        f"there is no environment '{name}'",
        where=document.where((KEY,), key=True),
        fix=f"did you mean '{near}'?" if near else f"choose one of: {', '.join(names)}",
    )


def refuse_shared_names(file: Path, name: str) -> None:
    """Raise InputError if another project file beside this one writes the files of this one's environment."""
    others = [f"{file.stem}.{name}.yaml", *([f"{name}.yaml"] if file.name == FILE_NAME else [])]
    for other in others:
        if _is_project(file.with_name(other)):
            raise InputError(
                f"environment '{name}' and the project file {other} would write the same files",
                where=str(file),
                fix=f"rename one of them, or remove {other} if the environment replaces it",
            )


def _is_project(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        data = source.parse(read_text(file, "project file", limit=source.MAX_BYTES), str(file)).data
    except ManifestgenError:
        return False
    return isinstance(data, dict) and data.get("version") == 1


class _Merging:
    """One merge: the places of the resulting values, and the environment's changes."""

    def __init__(self, document: Source) -> None:
        self._document = document
        self.keys = {path: place for path, place in document.keys.items() if path[0] != KEY}
        self.values = {path: place for path, place in document.values.items() if path[:1] != (KEY,)}
        self.written = {path: text for path, text in document.written.items() if path[0] != KEY}
        self.changed: set[source.Path] = set()
        self.removed: set[source.Path] = set()

    def merge(self, base: dict[str, Any], over: dict[str, Any], to: source.Path, of: source.Path) -> dict[str, Any]:
        """Merge two mappings.

        Args:
            base, over: the mappings.
            to: path of the merged one.
            of: path of `over` in the file.
        """
        merged = dict(base)
        for key, value in over.items():
            here, there = (*to, key), (*of, key)
            before = merged.pop(key, None) if value is None else merged.get(key)
            both = isinstance(before, dict) and isinstance(value, dict)
            if not both:
                self._forget(before, here)
            self._take_place(here, there)
            if value is None:
                self.removed.add(here)
            elif isinstance(value, dict):
                merged[key] = self.merge(before if isinstance(before, dict) else {}, value, here, there)
                if not merged[key]:
                    self.changed.add(here)
            else:
                merged[key] = value
                self.changed.add(here)
                self._take_places(value, here, there)
        return merged

    def _take_place(self, here: source.Path, there: source.Path) -> None:
        # The value of an alias has no place; the nearest place around it is the alias.
        self.keys[here] = self._document.keys.get(there) or self._nearest(there)
        self.values[here] = self._nearest(there)
        if there in self._document.written:
            self.written[here] = self._document.written[there]

    def _nearest(self, path: source.Path) -> Place:
        while path not in self._document.values:
            path = path[:-1]
        return self._document.values[path]

    def _take_places(self, value: Any, here: source.Path, there: source.Path) -> None:
        """Take the places of everything in a value; `where` finds the nearest for values without one."""
        for key, item in _items(value):
            inner, of = (*here, key), (*there, key)
            for mine, theirs in (
                (self.keys, self._document.keys),
                (self.values, self._document.values),
            ):
                if of in theirs:
                    mine[inner] = theirs[of]
            if of in self._document.written:
                self.written[inner] = self._document.written[of]
            self._take_places(item, inner, of)

    def _forget(self, value: Any, path: source.Path) -> None:
        """Remove the places of a value that is replaced."""
        self.keys.pop(path, None)
        self.values.pop(path, None)
        self.written.pop(path, None)
        for key, item in _items(value):
            self._forget(item, (*path, key))


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "a string")
