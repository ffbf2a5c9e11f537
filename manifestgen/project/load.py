"""Finds and reads a project file; every mistake is reported with its place and how to fix it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from manifestgen.credentials.section import RegistrySection
from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.project import between, environments, source
from manifestgen.project.expansion import Expansion, expand
from manifestgen.project.invalid import bare, nearest, translated
from manifestgen.project.modules import check_names, modules_of
from manifestgen.project.project import FILE_NAME, Project, choice_of
from manifestgen.project.sections import (
    DEFAULT_PRIORITY,
    Check,
    HubSection,
    Image,
    ManifestSection,
    Model,
    ProjectFile,
    Target,
    Workspace,
    in_order,
)
from manifestgen.project.source import Source
from manifestgen.secret import Secret

__all__ = ["FILE_NAME", "Project", "load", "read"]

_SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "workspace": Workspace,
    "model": Model,
    "image": Image,
    "registry": RegistrySection,
    "manifest": ManifestSection,
    "hub": HubSection,
    "target": Target,
    "check": Check,
}
# The fields that are numbers: a reference always gives a string, which is parsed there.
_NUMBERS: Final = (
    ("version",),
    ("registry", "days"),
    ("registry", "warn_days"),
    ("target", "priority"),
)


def load(path: Path, environ: Mapping[str, str] | None = None, environment: str | None = None) -> Project:
    """Read a project.

    Args:
        path: of the project file, or of the folder with the project file `manifestgen.yaml`.
        environ: the variables for `${env:NAME}`; None for those of this process.
        environment: of the project; None for the one in `MANIFESTGEN_ENVIRONMENT`, if any.

    Raises:
        InputError: anything is wrong with it; with file, line and column.
    """
    file = path / FILE_NAME if path.is_dir() else path
    missing = "run 'manifestgen init', or give the folder or file of a project"
    text = read_text(file, "project file", fix=missing, limit=source.MAX_BYTES)
    variables = os.environ if environ is None else environ
    environment = environment or environments.chosen(variables)
    project = read(text, file, variables, environment)
    if environment is not None:
        environments.refuse_shared_names(file, environment)
    return project


def read(text: str, path: Path, environ: Mapping[str, str], environment: str | None = None) -> Project:
    """Read a project file's text.

    Args:
        text: the YAML.
        path: of the file, for messages; relative paths in the text start from its folder.
        environ: the variables for `${env:NAME}`.
        environment: merged over the rest; None for the rest alone.

    Raises:
        InputError: anything is wrong with it; with file, line and column.
    """
    document = source.parse(text, str(path))
    if document.data is None:
        raise InputError("the project file is empty", where=str(path), fix="start it with 'version: 1'")
    _check_required(document)
    _refuse_manifest(document)
    names = environments.names_in(document)
    _reject_unknown_keys(document, (), document.data, ProjectFile)
    try:
        project = _read(environments.effective(document, environment), path, environ)
    except InputError as error:
        if environment is not None:
            raise
        raise _with_choice(error, document, path, environ, names) from None
    return msgspec.structs.replace(project, environments=names)


def _with_choice(
    error: InputError, document: Source, path: Path, environ: Mapping[str, str], names: tuple[str, ...]
) -> InputError:
    """The error without an environment, with the environments that would fix it, if any."""
    right = []
    for name in names:
        with contextlib.suppress(InputError):
            _read(environments.effective(document, name), path, environ)
            right.append(name)
    options = (choice_of(right),) if right else ()
    return InputError(error.what, where=error.where, fix=error.fix, options=(*options, *error.options))


def _read(document: Source, path: Path, environ: Mapping[str, str]) -> Project:
    root = path.absolute().parent
    check_names(document)
    expansion = expand(document, root, environ)
    for number in _numbers(document.data):
        _read_number(expansion, number)
    try:
        sections = msgspec.convert(expansion.data, ProjectFile, dec_hook=lambda kind, value: _path(root, kind, value))
    except msgspec.ValidationError as error:
        raise translated(document, expansion, str(error)) from None
    modules = modules_of(document, sections, path)
    between.check(document, sections)
    target = sections.target
    if target is not None and target.deployment is not None and target.priority is None:
        target = msgspec.structs.replace(target, priority=DEFAULT_PRIORITY)
    return Project(
        path=path,
        root=root,
        workspace=sections.workspace,
        modules=modules,
        modular=sections.modules is not None,
        registry=sections.registry,
        manifest=sections.manifest,
        hub=sections.hub,
        target=target,
        check=sections.check,
        environment=document.environment,
        own_packages=environments.changes_packages(document),
        secret_texts=tuple(
            Secret(content)
            for place, contents in expansion.secret_texts.items()
            if _reaches_the_manifest(place)
            for content in contents
            if content
        ),
    )


def _reaches_the_manifest(place: source.Path) -> bool:
    """Whether a value of the project file becomes part of the manifest unchanged."""
    if place[:1] == ("modules",):
        return len(place) > 3 and place[2] in ("env", "twin", "create_options")
    return place[:2] in (("manifest", "values"), ("manifest", "platform_values"))


def _check_required(document: Source) -> None:
    # Before anything else: keys of a newer version would only be reported as unknown.
    wanted = document.data.get("requires") if isinstance(document.data, dict) else None
    if isinstance(wanted, str):
        from manifestgen.project.requires import check_required

        check_required(wanted, document.where(("requires",)))


def _refuse_manifest(document: Source) -> None:
    if not isinstance(document.data, dict) or not {"modulesContent", "moduleContent"} & set(document.data):
        return
    if "$schema-template" in document.data:
        what, fix = "this is a template of other tools", f"make a project of it: 'manifestgen import {document.name}'"
    else:
        what = "this is a deployment manifest"
        fix = f"give the folder or file of a project, or make one of it: 'manifestgen import {document.name}'"
    raise InputError(f"{what}, not a project file", where=document.name, fix=fix)


def _path(root: Path, kind: type, value: Any) -> Path:
    # msgspec calls this for types that it does not know; Path is the only one in the sections.
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{_kind(value)}`")
    if not value or "\0" in value:
        raise ValueError("Expected `str` of length >= 1")
    return root / value


def _reject_unknown_keys(document: Source, path: source.Path, data: Any, kind: Any) -> None:
    """Reject the first unknown key of a section, or of one inside it.

    Args:
        kind: the section's class, or the value type of a mapping with the user's own keys.
    """
    kind = bare(kind)
    if not isinstance(data, dict):
        return
    if get_origin(kind) is dict:
        for key, value in data.items():
            _reject_unknown_keys(document, (*path, key), value, get_args(kind)[1])
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        kinds = get_type_hints(kind, include_extras=True)
        for key, value in data.items():
            _reject_unknown_key(document, (*path, key), tuple(in_order(kinds)))
            _reject_unknown_keys(document, (*path, key), value, kinds[key])


def _reject_unknown_key(document: Source, path: source.Path, known: tuple[str, ...]) -> None:
    key = str(path[-1])
    if key in known:
        return
    owner = f" in '{'.'.join(map(str, path[:-1]))}'" if len(path) > 1 else ""
    near = nearest(key, known)
    if advice := environments.not_here(path):
        fix = advice
    elif near is not None:
        fix = f"did you mean '{near}'?"
    elif homes := [name for name, section in _SECTIONS.items() if key in section.__struct_fields__]:
        fix = f"move it: '{key}' belongs under {' or '.join(homes)}"
    else:
        fix = f"remove it, or use one of the known keys: {', '.join(known)}"
    raise InputError(f"unknown key '{key}'{owner}", where=document.where(path, key=True), fix=fix)


def _numbers(data: Any) -> Iterator[source.Path]:
    yield from _NUMBERS
    modules = data.get("modules") if isinstance(data, dict) else None
    for name in modules if isinstance(modules, dict) else ():
        yield ("modules", name, "startup_order")


def _read_number(expansion: Expansion, path: source.Path) -> None:
    holder = expansion.data
    for key in path[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and path in expansion.paths and re.fullmatch(r"[0-9]{1,10}", holder[path[-1]]):
        holder[path[-1]] = int(holder[path[-1]])


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
    return kinds.get(type(value), "str")
