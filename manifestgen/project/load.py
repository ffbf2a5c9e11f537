"""Finds and reads a project file; every mistake is reported with its place and how to fix it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from manifestgen.credentials import section as registry_section
from manifestgen.credentials.section import RegistrySection
from manifestgen.credentials.source import Registry, Settings
from manifestgen.credentials.sources import SOURCES
from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.hub_name import hub_identity, is_device_name
from manifestgen.project import builders, source
from manifestgen.project.expansion import Expansion, expand
from manifestgen.project.sections import (
    Check,
    HubSection,
    Image,
    ManifestSection,
    Model,
    ProjectFile,
    Target,
    Workspace,
)
from manifestgen.project.source import Source
from manifestgen.secret import Secret

FILE_NAME: Final = "manifestgen.yaml"

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
# The fields that take a number: a reference always gives text, so there it is read as one.
_NUMBERS: Final = (
    ("version",),
    ("registry", "days"),
    ("registry", "warn_days"),
    ("target", "priority"),
)
_DEFAULT_PRIORITY: Final = 10
_WORDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "empty",
    "int | str": "a whole number or a string",
}
# What a value should be, and how to write it; by section and key, however deep in the section the key is.
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


class Project(msgspec.Struct, frozen=True):
    """A project file: its sections, None for those it does not have. Paths in them are absolute.

    Attributes:
        path: of the project file.
        root: its folder, absolute.
        file_texts: contents of files that `manifest.values` reads with `${file:…}`; usually secrets.
        engine: that the builder `local` uses; empty for the first that is there.
    """

    path: Path
    root: Path
    workspace: Workspace | None = None
    model: Model | None = None
    image: Image | None = None
    registry: Registry | None = None
    manifest: ManifestSection | None = None
    hub: HubSection | None = None
    target: Target | None = None
    check: Check | None = None
    file_texts: tuple[Secret, ...] = ()
    engine: str = ""

    @property
    def name(self) -> str:
        """The project file's name without its suffix; the lock file and the manifest are named after it."""
        return self.path.stem

    @property
    def placeholder_pattern(self) -> str:
        """The regular expression for placeholders of the project's own; empty if there is none."""
        return self.check.placeholder or "" if self.check is not None else ""

    @property
    def builds(self) -> bool:
        """Whether manifestgen builds the project's image."""
        return self.image is not None and self.image.builds

    def built_by(self, builder: str | None, engine: str | None = None) -> Project:
        """The project with another builder in place of the one that its file names; None keeps that one.

        Args:
            builder: its name.
            engine: for the builder `local`.

        Raises:
            InputError: it builds no image, or its file lacks what that builder needs.
        """
        if self.image is None or not self.image.builds:
            raise InputError(
                "the project builds no image",
                where=str(self.path),
                fix=f"give its 'image' section a builder ({', '.join(builders.BUILDERS)}) and the keys that it needs",
            )
        image = msgspec.structs.replace(self.image, builder=builder or self.image.builder)
        try:
            builders.check_image(image, self.model)
        except InputError as error:
            raise InputError(error.what, where=str(self.path), fix=error.fix) from None
        return msgspec.structs.replace(self, image=image, engine=engine or self.engine)

    @property
    def registry_settings(self) -> Settings:
        """The project's settings for registry credentials, with defaults."""
        return Settings(
            registry=self.registry or RegistrySection(),
            file=str(self.path),
            module=(self.manifest or ManifestSection()).module,
            builds=self.builds,
        )


def load(path: Path, environ: Mapping[str, str] | None = None) -> Project:
    """Read a project.

    Args:
        path: of the project file, or of the folder with the project file `manifestgen.yaml`.
        environ: the variables for `${env:NAME}`; None for those of this process.

    Raises:
        InputError: anything is wrong with it; with file, line and column.
    """
    file = path / FILE_NAME if path.is_dir() else path
    missing = "run 'manifestgen init', or give the folder or file of a project"
    text = read_text(file, "project file", fix=missing, limit=source.MAX_BYTES)
    return read(text, file, os.environ if environ is None else environ)


def read(text: str, path: Path, environ: Mapping[str, str]) -> Project:
    """Read a project file's text.

    Args:
        text: the YAML.
        path: of the file, for messages; relative paths in the text start from its folder.
        environ: the variables for `${env:NAME}`.

    Raises:
        InputError: anything is wrong with it; with file, line and column.
    """
    root = path.absolute().parent
    document = source.parse(text, str(path))
    if document.data is None:
        raise InputError("the project file is empty", where=str(path), fix="start it with 'version: 1'")
    _reject_unknown_keys(document, (), document.data, ProjectFile)
    expansion = expand(document, root, environ)
    for number in _NUMBERS:
        _read_number(expansion, number)
    try:
        sections = msgspec.convert(expansion.data, ProjectFile, dec_hook=lambda kind, value: _path(root, kind, value))
    except msgspec.ValidationError as error:
        raise _translated(document, expansion, str(error)) from None
    _check_image(document, sections)
    _check_others(document, sections)
    model, target = sections.model, sections.target
    if model is not None and not model.name and model.path is not None:
        model = msgspec.structs.replace(model, name=model.path.stem)
    if target is not None and target.deployment is not None and target.priority is None:
        target = msgspec.structs.replace(target, priority=_DEFAULT_PRIORITY)
    return Project(
        path=path,
        root=root,
        workspace=sections.workspace,
        model=model,
        image=sections.image,
        registry=sections.registry,
        manifest=sections.manifest,
        hub=sections.hub,
        target=target,
        check=sections.check,
        file_texts=tuple(
            Secret(content)
            for place, contents in expansion.file_texts.items()
            if place[:2] == ("manifest", "values")
            for content in contents
            if content
        ),
    )


def _path(root: Path, kind: type, value: Any) -> Path:
    # msgspec calls this for types that it does not know, and Path is the only one in the sections.
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{_kind(value)}`")
    if not value or "\0" in value:
        raise ValueError("Expected `str` of length >= 1")
    return root / value


def _reject_unknown_keys(document: Source, path: source.Path, data: Any, kind: Any) -> None:
    """Reject the first unknown key of a section, or of one inside it.

    Args:
        kind: the section's class, or what a mapping of the user's own keys has as its values.
    """
    kind = _bare(kind)
    if not isinstance(data, dict):
        return
    if get_origin(kind) is dict:
        for key, value in data.items():
            _reject_unknown_keys(document, (*path, key), value, get_args(kind)[1])
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        kinds = get_type_hints(kind, include_extras=True)
        for key, value in data.items():
            _reject_unknown_key(document, (*path, key), tuple(kinds))
            _reject_unknown_keys(document, (*path, key), value, kinds[key])


def _reject_unknown_key(document: Source, path: source.Path, known: tuple[str, ...]) -> None:
    key = str(path[-1])
    if key in known:
        return
    owner = f" in '{'.'.join(map(str, path[:-1]))}'" if len(path) > 1 else ""
    near = _nearest(key, known)
    if near is not None:
        fix = f"did you mean '{near}'?"
    elif homes := [name for name, section in _SECTIONS.items() if key in section.__struct_fields__]:
        fix = f"'{key}' belongs under {' or '.join(homes)}"
    else:
        fix = f"known keys: {', '.join(known)}"
    raise InputError(f"unknown key '{key}'{owner}", where=document.where(path, key=True), fix=fix)


def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1, cutoff=0.7)), None)


def _read_number(expansion: Expansion, path: source.Path) -> None:
    holder = expansion.data
    for key in path[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and path in expansion.paths and re.fullmatch(r"[0-9]{1,10}", holder[path[-1]]):
        holder[path[-1]] = int(holder[path[-1]])


def _translated(document: Source, expansion: Expansion, message: str) -> InputError:
    """Translate an error of msgspec, and find its place in the file.

    msgspec says what is wrong and where only in its message: ``Expected `str`, got `int` - at `$.a.b` ``. A test has an
    example of each kind.
    """
    what, _, pointer = message.partition(" - at `$")
    begin, ellipsis, rest = pointer.partition("[...]")
    path: source.Path = _keys(begin)
    if ellipsis:
        path = (*path, _first_wrong(_at(expansion.data, path), _kind_at(path)), *_keys(rest))
    name = ".".join(map(str, path)) or "the file"
    where = document.where(path)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        field = missing.group(1)
        full = ".".join((*map(str, path), field))
        fix = "start the file with 'version: 1'" if full == "version" else f"add '{field}: …' under '{name}'"
        return InputError(f"'{full}' is missing", where=document.where(path, key=True), fix=fix)
    if "matching regex" in what or "length" in what:
        return _wrong_text(document, expansion, path, name, where)
    if what.startswith("Invalid enum value"):
        return _wrong_choice(document, path, name, where, _choices(path))
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
    noun, fix = _PATTERNS.get((path[0], path[-1]), ("value", "shorten it"))
    return InputError(f"{name}{quoted} is not a valid {noun}", where=where, fix=fix)


def _wrong_choice(document: Source, path: source.Path, name: str, where: str, choices: tuple[str, ...]) -> InputError:
    seen = _at(document.data, path)
    if path == ("version",):
        return InputError(f"unknown version {seen} of the project file", where=where, fix="write 'version: 1'")
    near = _nearest(str(seen).replace("_", "-"), choices)
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


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
    return kinds.get(type(value), "str")


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
        kind = _bare(of_key)
    return kind


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    return kind


def _choices(path: source.Path) -> tuple[str, ...]:
    """The values allowed at a place of the file, if they are listed; else none."""
    return tuple(choice for choice in get_args(_kind_at(path)) if isinstance(choice, str))


def _first_wrong(mapping: Mapping[str, Any], kind: Any) -> str:
    """The key of the first invalid item of a mapping, which msgspec does not report."""
    for key, value in mapping.items():
        try:
            msgspec.convert({key: value}, kind)
        except msgspec.ValidationError:
            return key
    raise AssertionError("msgspec rejected one of them")


def _check_image(document: Source, sections: ProjectFile) -> None:
    image = sections.image
    if image is None:
        return
    if image.builder not in builders.choices():
        path = ("image", "builder")
        raise _wrong_choice(document, path, "image.builder", document.where(path), builders.choices())
    try:
        builders.check_image(image, sections.model)
    except InputError as error:
        raise InputError(
            error.what, where=document.where(tuple(error.where.split(".")), key=True), fix=error.fix
        ) from None


def _check_others(document: Source, sections: ProjectFile) -> None:
    workspace, registry, target = sections.workspace, sections.registry, sections.target
    if sections.model is not None and not sections.model.name and sections.model.path is None:
        fix = "add 'name: …' of a registered model, or 'path: …' of a file"
        raise InputError("model has neither a name nor a path", where=document.where(("model",), key=True), fix=fix)
    if sections.check is not None and sections.check.placeholder is not None:
        _check_pattern(document.where(("check", "placeholder")), sections.check.placeholder)
    if workspace is not None:
        ids = (workspace.subscription_id, workspace.resource_group, workspace.name)
        if any(ids) and (workspace.config is not None or not all(ids)):
            fix = "write either config, or subscription_id, resource_group and name"
            where = document.where(("workspace",), key=True)
            raise InputError("the workspace is only partly given, or given twice", where=where, fix=fix)
    if registry is not None:
        registry_section.check(registry, lambda *keys: document.where(("registry", *keys), key=True))
    if sections.hub is not None and is_device_name(sections.hub.host):
        raise InputError(
            f"{sections.hub.host} is a host name for devices only",
            where=document.where(("hub", "host")),
            fix=f"write {hub_identity(sections.hub.host)}, or the hub's name with '.service.' in it",
        )
    if target is not None:
        _check_target(document.where(("target",), key=True), target)


def _check_pattern(where: str, pattern: str) -> None:
    try:
        empty = re.compile(pattern).search("") is not None
    except re.error as error:
        what, fix = f"check.placeholder is not a regular expression: {error.msg}", "correct it"
        raise InputError(what, where=where, fix=fix) from None
    if empty:
        fix = "write an expression that matches at least one character"
        raise InputError("check.placeholder matches an empty text", where=where, fix=fix)


def _check_target(where: str, target: Target) -> None:
    if (target.device is None) == (target.deployment is None):
        what = (
            "target has neither a device nor a deployment"
            if target.device is None
            else "target has both a device and a deployment"
        )
        raise InputError(what, where=where, fix="write 'device: ID', or 'deployment: NAME' with 'condition: …'")
    if target.deployment is not None and target.condition is None:
        fix = "add 'condition: …', such as \"tags.site = 'lab'\""
        raise InputError("target.condition is missing; a deployment needs it", where=where, fix=fix)
    if target.device is not None and (target.condition is not None or target.priority is not None):
        what = "condition and priority are for a deployment, but the target is a device"
        raise InputError(what, where=where, fix="remove them, or replace the device by a deployment")
