"""Finds and reads a project file; every mistake is reported with its place and how to fix it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from manifestgen.credentials import section as registry_section
from manifestgen.credentials.section import RegistrySection
from manifestgen.credentials.source import Registry, Settings
from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.hub_name import hub_identity, is_device_name
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.project import builders, source
from manifestgen.project.expansion import Expansion, expand
from manifestgen.project.invalid import bare, nearest, translated, wrong_choice
from manifestgen.project.requires import check_required
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
    def placeholder_styles(self) -> Styles:
        """What it says about placeholders."""
        if self.check is None:
            return USUAL
        return Styles(self.check.placeholder or "", self.check.literal or "")

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
    _check_required(document)
    _reject_unknown_keys(document, (), document.data, ProjectFile)
    expansion = expand(document, root, environ)
    for number in _NUMBERS:
        _read_number(expansion, number)
    try:
        sections = msgspec.convert(expansion.data, ProjectFile, dec_hook=lambda kind, value: _path(root, kind, value))
    except msgspec.ValidationError as error:
        raise translated(document, expansion, str(error)) from None
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


def _check_required(document: Source) -> None:
    # Before anything else: what a newer version knows would only be said to be unknown.
    wanted = document.data.get("requires") if isinstance(document.data, dict) else None
    if isinstance(wanted, str):
        check_required(wanted, document.where(("requires",)))


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
    kind = bare(kind)
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
    near = nearest(key, known)
    if near is not None:
        fix = f"did you mean '{near}'?"
    elif homes := [name for name, section in _SECTIONS.items() if key in section.__struct_fields__]:
        fix = f"'{key}' belongs under {' or '.join(homes)}"
    else:
        fix = f"known keys: {', '.join(known)}"
    raise InputError(f"unknown key '{key}'{owner}", where=document.where(path, key=True), fix=fix)


def _read_number(expansion: Expansion, path: source.Path) -> None:
    holder = expansion.data
    for key in path[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and path in expansion.paths and re.fullmatch(r"[0-9]{1,10}", holder[path[-1]]):
        holder[path[-1]] = int(holder[path[-1]])


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
    return kinds.get(type(value), "str")


def _check_image(document: Source, sections: ProjectFile) -> None:
    image = sections.image
    if image is None:
        return
    if image.builder not in builders.choices():
        path = ("image", "builder")
        raise wrong_choice(document, path, "image.builder", document.where(path), builders.choices())
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
    if sections.check is not None:
        _check_pattern(document, "placeholder", sections.check.placeholder)
        _check_pattern(document, "literal", sections.check.literal)
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


def _check_pattern(document: Source, key: str, pattern: str | None) -> None:
    if pattern is None:
        return
    where = document.where(("check", key))
    try:
        empty = re.compile(pattern).search("") is not None
    except re.error as error:
        what, fix = f"check.{key} is not a regular expression: {error.msg}", "correct it"
        raise InputError(what, where=where, fix=fix) from None
    if empty:
        fix = "write an expression that matches at least one character"
        raise InputError(f"check.{key} matches an empty text", where=where, fix=fix)


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
