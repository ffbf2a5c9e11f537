"""Errors for invalid values in a project file: what is wrong, where, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from manifestgen.credentials.sources import SOURCES
from manifestgen.errors import InputError
from manifestgen.project import source
from manifestgen.project.expansion import Expansion
from manifestgen.project.sections import ProjectFile
from manifestgen.project.source import Source

_WORDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "int | str": "a whole number or a string",
    "float": "a number",
    "bool | int | float | str": "a string, a number, true or false",
    "str | array": "a string or a list of strings",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "empty",
}
# The expected value, and how to write it, by section and key, at any depth in the section.
_PATTERNS: Final[Mapping[source.Path, tuple[str, str]]] = {
    ("image", "name"): ("image name", "use lower-case letters and digits, with '.', '_', '-' or '/' between them"),
    ("manifest", "module"): ("module name", "use 2 to 128 letters, digits, '-' and '_', a letter or digit first"),
    **{("registry", key): pattern for of in SOURCES.values() for key, pattern in of.patterns.items()},
    ("manifest", "runtime"): ("image tag", 'write an image tag, such as "1.6"'),
    ("target", "deployment"): (
        "deployment name",
        "use at most 128 lower-case letters, digits and - : + % _ # * ? ! ( ) , = @ ; '",
    ),
    ("hub", "host"): (
        "host name",
        "write only the host name, such as contoso.azure-devices.net; a connection string belongs in the variable "
        "IOTHUB_CONNECTION_STRING",
    ),
}
# May hold a connection string by mistake, so messages do not quote it.
_NEVER_QUOTED: Final = (("hub", "host"),)


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that is most similar to a mistyped one, if any."""
    import difflib

    word = word.lower().replace("-", "_")
    # Swapped letters are the most likely typo: 'modle' is 'model', not the longer 'modules'.
    swapped = [one for one in known if sorted(one) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, known, n=1, cutoff=0.7)), None)


def translated(document: Source, expansion: Expansion, message: str) -> InputError:
    """Translate an error of msgspec, and find its place in the file.

    msgspec has the problem and its place only in the message: ``Expected `str`, got `int` - at `$.a.b` ``. A test has
    an example of each kind.
    """
    what, _, pointer = message.partition(" - at `$")
    begin, *rest = pointer.split("[...]")
    path: source.Path = _keys(begin)
    for part in rest:
        path = (*path, _first_wrong(_at(expansion.data, path), _kind_at(path)), *_keys(part))
    name = ".".join(map(str, path)) or "the file"
    where = document.where(path)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        field = missing.group(1)
        full = ".".join((*map(str, path), field))
        fix = "start the file with 'version: 1'" if full == "version" else f"add '{field}: …' under '{name}'"
        if (*path, field) in document.removed:
            what = f"environment '{document.environment}' removes '{full}', which is required"
            where = document.where((*path, field), key=True)
            return InputError(what, where=where, fix="give it a value there, or remove the key that has it")
        return InputError(f"'{full}' is missing", where=document.where(path, key=True), fix=fix)
    if "matching regex" in what or "length" in what:
        return _wrong_text(document, expansion, path, name, where)
    if what.startswith("Invalid enum value"):
        return wrong_choice(document, path, name, where, _choices(path))
    bound = re.fullmatch(r"Expected `int[^`]*` ([<>]=) (-?\d+)", what)
    if bound:
        least = "at least" if bound.group(1) == ">=" else "at most"
        return InputError(f"{name} is {_at(document.data, path)}", where=where, fix=f"write {least} {bound.group(2)}")
    expected, got = re.findall(r"`([^`]+)`", what)[:2]
    return _wrong_type(document, path, name, where, expected.removesuffix(" | null"), got)


def _wrong_text(document: Source, expansion: Expansion, path: source.Path, name: str, where: str) -> InputError:
    seen = _at(document.data, path)
    if seen and path in expansion.paths and not _at(expansion.data, path):
        return InputError(
            f"{name} is empty: {seen} has no value", where=where, fix="give it a value, or remove the key"
        )
    if not seen:
        fix = "write a reason" if path[0] == "check" else "give it a value or remove the key"
        return InputError(f"{name} is empty", where=where, fix=fix)
    quoted = "" if path in _NEVER_QUOTED else f" '{seen}'"
    section = path[2:] if path[0] == "modules" and len(path) > 3 else path
    noun, fix = _PATTERNS.get((section[0], section[-1]), ("value", "shorten it"))
    return InputError(f"{name}{quoted} is not a valid {noun}", where=where, fix=fix)


def wrong_choice(document: Source, path: source.Path, name: str, where: str, choices: tuple[str, ...]) -> InputError:
    """The error for a value that is none of the choices.

    Args:
        path, name: of the value: its keys, and the same joined by dots.
        where: file, line and column.
    """
    seen = _at(document.data, path)
    if path == ("version",):
        return InputError(f"unknown version {seen} of the project file", where=where, fix="write 'version: 1'")
    near = nearest(str(seen).replace("_", "-"), choices)
    fix = f"did you mean '{near}'?" if near else f"write one of: {', '.join(choices)}"
    return InputError(f"{name} is '{seen}'", where=where, fix=fix)


def _wrong_type(document: Source, path: source.Path, name: str, where: str, expected: str, got: str) -> InputError:
    meant = _WORDS.get(expected, expected)
    written = document.written.get(path)
    seen = f"{_WORDS.get(got, got)} ({written})" if written else _WORDS.get(got, got)
    fix = f"write {meant}"
    if expected == "str" and got == "null":
        fix = "give it a value"
        if "tags" in path:
            fix = f"tags is a mapping: write tags: {{{path[-1]}: VALUE}}"
    elif expected in ("str", "int | str") and written:
        fix = f'write it in quotes: "{written}"'
    elif "tags" in path and expected == "object":
        fix = "tags is a mapping: write tags: {KEY: VALUE}"
    elif expected == "object":
        fix = "write it as lines of 'key: value'"
    return InputError(f"{name} is {seen}, not {meant}", where=where, fix=fix)


def _at(data: Any, path: source.Path) -> Any:
    for key in path:
        data = data[key]
    return data


def _keys(pointer: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^.\[\]`]+", pointer))


def _kind_at(path: source.Path) -> Any:
    """The type of the value at a place of the file, without bounds and None."""
    kind: Any = ProjectFile
    for key in path:
        of_key = get_args(kind)[1] if get_origin(kind) is dict else get_type_hints(kind, include_extras=True)[str(key)]
        kind = bare(of_key)
    return kind


def bare(kind: Any) -> Any:
    """A field's type without its bounds and without None."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    return kind


def _choices(path: source.Path) -> tuple[str, ...]:
    """The values allowed at a place of the file, if they are listed; else none."""
    return tuple(choice for choice in get_args(_kind_at(path)) if isinstance(choice, str))


def _any_path(kind: type, value: Any) -> Any:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a path")
    return Path(value)


def _first_wrong(mapping: Mapping[str, Any], kind: Any) -> str:
    """The key of the first invalid item of a mapping, which msgspec does not report."""
    for key, value in mapping.items():
        try:
            msgspec.convert({key: value}, kind, dec_hook=_any_path)
        except msgspec.ValidationError:
            return key
    raise AssertionError("msgspec rejected one of them")
