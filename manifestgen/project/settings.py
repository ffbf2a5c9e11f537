"""The effective settings of a project, each with its origin; possible secrets are hidden."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from manifestgen.files import read_text
from manifestgen.manifest.secret_text import is_secret
from manifestgen.project import environments, source
from manifestgen.project.expansion import Expansion, expand, references
from manifestgen.project.invalid import bare
from manifestgen.project.load import FILE_NAME, read
from manifestgen.project.sections import DEFAULT_PRIORITY, ProjectFile, in_order
from manifestgen.project.source import Source
from manifestgen.secret import redact

# Sections whose defaults apply even if the file does not have them.
_ALWAYS: Final = ("registry", "manifest")
# Wider than what `check` calls a secret in clear text: here, hiding a value needlessly does no harm.
_WARY: Final = r"(?i)auth|cert|conn|credential|key|pass|pwd|sas\b|secret|signature|token"


class Setting(Struct, frozen=True):
    """A setting.

    Attributes:
        path: of its keys.
        value: plain data; None if it is hidden.
        hidden: whether its value may be a secret.
        place: line and column in the project file; None for a default.
        environment: the environment that it comes from; None for the rest of the file, and for a default.
        variables, files: the references in it.
    """

    path: source.Path
    value: Any
    hidden: bool = False
    place: tuple[int, int] | None = None
    environment: str | None = None
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its keys, joined by dots."""
        return ".".join(map(str, self.path))


def settings(path: Path, environ: Mapping[str, str] | None = None) -> list[Setting]:
    """The settings of a project in the chosen environment, in the order of its sections.

    Args:
        path: of the project file, or of the folder with the project file `manifestgen.yaml`.
        environ: the environment variables; None for those of this process.

    Raises:
        InputError: anything is wrong with the project; see `load`.
    """
    variables = os.environ if environ is None else environ
    file = path / FILE_NAME if path.is_dir() else path
    text = read_text(file, "project file", limit=source.MAX_BYTES)
    chosen = environments.chosen(variables)
    read(text, file, variables, chosen)
    document = environments.effective(source.parse(text, str(file)), chosen)
    expansion = expand(document, file.absolute().parent, variables)
    return list(_Walk(document, expansion).section((), ProjectFile, expansion.data))


class _Walk:
    def __init__(self, document: Source, expansion: Expansion) -> None:
        self._document = document
        self._expansion = expansion

    def section(self, path: source.Path, kind: Any, data: dict[str, Any]) -> Iterator[Setting]:
        """The settings of a section: those that are given, and the defaults of the others."""
        kinds = get_type_hints(kind, include_extras=True)
        defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
        for name in in_order(kinds):
            if name == environments.KEY:
                continue
            here = (*path, name)
            if data.get(name) is not None:
                yield from self._given(here, bare(kinds[name]), data[name])
            elif not path and name in _ALWAYS:
                yield from self.section(here, bare(kinds[name]), {})
            elif path and (default := self._default(here, defaults[name], data)) not in (None, "", msgspec.NODEFAULT):
                yield Setting(here, default)

    def _default(self, path: source.Path, default: Any, section: Mapping[str, Any]) -> Any:
        # Two defaults that depend on other keys: see `load`.
        if path[-2:] == ("model", "name") and section.get("path"):
            return Path(section["path"]).stem
        if path[-2:] == ("target", "priority") and section.get("deployment"):
            return DEFAULT_PRIORITY
        return list(default) if isinstance(default, tuple) else default

    def _given(self, path: source.Path, kind: Any, value: Any, own: int | None = None) -> Iterator[Setting]:
        """The settings of a given value; keys from `own` on, if any, are the user's own names."""
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
            yield from self.section(path, kind, value)
        elif isinstance(value, dict) and value:
            inner = bare(get_args(kind)[1]) if get_origin(kind) is dict else kind
            for key, item in value.items():
                yield from self._given((*path, key), inner, item, len(path) if own is None else own)
        else:
            yield self._setting(path, value, own)

    def _setting(self, path: source.Path, value: Any, own: int | None) -> Setting:
        document = self._document
        place = document.values.get(path) or document.keys.get(path)
        variables: list[str] = []
        files: list[str] = []
        for kind, name in references(" ".join(_texts(_at(document.data, path)))):
            (variables if kind == "env" else files).append(name)
        hidden = own is not None and (bool(files) or _may_be_secret(path[own:], value, variables))
        changed = any(path[: len(one)] == one or one[: len(path)] == path for one in document.changed)
        return Setting(
            path,
            None if hidden else value,
            hidden,
            (place.line, place.column) if place is not None else None,
            document.environment if changed else None,
            tuple(dict.fromkeys(variables)),
            tuple(dict.fromkeys(files)),
        )


def _may_be_secret(path: source.Path, value: Any, variables: Sequence[str]) -> bool:
    """Whether a value may be a secret, by the user's own names for it, its variables or its form."""
    if isinstance(value, dict):
        return any(_may_be_secret((*path, key), item, variables) for key, item in value.items())
    if isinstance(value, list):
        return any(_may_be_secret(path, item, variables) for item in value)
    if value is None or isinstance(value, bool):
        return False
    text, names = str(value), [*filter(lambda key: isinstance(key, str), path), *variables]
    return redact(text) != text or any(re.search(_WARY, str(name)) or is_secret(str(name), text) for name in names)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _at(data: Any, path: source.Path) -> Any:
    for key in path:
        data = data[key]
    return data
