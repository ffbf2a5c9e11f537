"""Expands `${env:NAME}` and `${file:PATH}` in the strings of a project file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.manifest.secrecy import holds_secret
from manifestgen.project import source
from manifestgen.project.source import Source

# `$${env:X}` is an escaped `${env:X}`. Other `${…}` are left alone: a manifest's own placeholders look like that.
_REFERENCE: Final = r"(\$?)\$\{(env|file):([^}]*)\}"
_MAX_FILE: Final = 1024 * 1024


class Expansion(Struct):
    """The result of an expansion.

    Attributes:
        data: the data with every reference replaced.
        paths: strings that come, in part or whole, from a reference.
        secret_texts: path of a string to the file contents, and the values of variables that look like a secret, in it.
            A file that a pipeline mounts is most often a secret.
    """

    data: Any
    paths: set[source.Path] = field(default_factory=set)
    secret_texts: dict[source.Path, list[str]] = field(default_factory=dict)


def expand(read: Source, root: Path, environ: Mapping[str, str]) -> Expansion:
    """Replace the references in all strings, but not in keys.

    A file's content is used without a trailing line end.

    Args:
        read: the project file.
        root: folder that relative file paths start from.
        environ: the environment variables.

    Raises:
        InputError: a variable is not set, a file is missing or not text, or a reference is empty.
    """
    found = Expansion(None)
    found.data = _expand(read, read.data, (), root, environ, found)
    return found


def references(text: str) -> list[tuple[str, str]]:
    """The references in a text: `env` or `file`, and the name or path."""
    return [(kind, name) for escaped, kind, name in re.findall(_REFERENCE, text) if not escaped]


def _expand(
    read: Source, value: Any, path: source.Path, root: Path, environ: Mapping[str, str], found: Expansion
) -> Any:
    if isinstance(value, dict):
        return {key: _expand(read, item, (*path, key), root, environ, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(read, item, (*path, index), root, environ, found) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    return "".join(_pieces(read, value, path, root, environ, found))


def _pieces(
    read: Source, text: str, path: source.Path, root: Path, environ: Mapping[str, str], found: Expansion
) -> Iterator[str]:
    end = 0
    for match in re.finditer(_REFERENCE, text):
        yield text[end : match.start()]
        end = match.end()
        escaped, kind, name = match.groups()
        if escaped:
            yield match.group()[1:]
            continue
        found.paths.add(path)
        if kind == "env":
            value = _variable(read, name, path, environ)
            if holds_secret(name, value):
                found.secret_texts.setdefault(path, []).append(value)
            yield value
        else:
            content = _content(read, name, path, root)
            found.secret_texts.setdefault(path, []).append(content)
            yield content
    yield text[end:]


def _variable(read: Source, name: str, path: source.Path, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        what = f"environment variable '{name}' is not set" if name else "'${env:}' has no variable name"
        fix = f"set {name}, or write the value here" if name else "write ${env:NAME}"
        raise InputError(what, where=read.where(path), fix=fix)
    return value


def _content(read: Source, name: str, path: source.Path, root: Path) -> str:
    where = read.where(path)
    if not name:
        raise InputError("'${file:}' has no path", where=where, fix="write ${file:PATH}")
    try:
        text = read_text(root / name, "file", limit=_MAX_FILE)
    except InputError as error:
        raise InputError(f"${{file:{name}}}: {error.what}", where=where, fix=error.fix) from error
    return text.removesuffix("\n").removesuffix("\r")
