"""The modules of a project: those of the section `modules`, or the one of `model`, `image` and `manifest.module`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from manifestgen.errors import InputError
from manifestgen.project import builders, source
from manifestgen.project.invalid import wrong_choice
from manifestgen.project.project import FILE_NAME
from manifestgen.project.routes import into, out_of
from manifestgen.project.sections import MODULE_NAME, Image, Model, Module, ModuleSection, ProjectFile
from manifestgen.project.source import Source

#: Forbidden names of modules, in lower case: the runtime's own.
RESERVED: Final = ("edgeagent", "edgehub")
_NAME_FIX: Final = "use 2 to 128 letters, digits, '-' and '_', a letter or digit first"
# Of devices that IoT Edge runs on, or did.
_SYSTEMS: Final = ("linux", "windows")
_ARCHITECTURES: Final = ("amd64", "arm64", "arm", "386")
#: Of a module that nothing in the project gives a name.
_UNNAMED: Final = Module().name


def check_names(document: Source) -> None:
    """Check what the file says of modules as a whole, before any of them is read.

    Raises:
        InputError: a name is not valid or there twice, or the file has the short form too; with its place.
    """
    data = document.data
    modules = data.get("modules") if isinstance(data, dict) else None
    if not isinstance(modules, dict):
        return
    _refuse_both_forms(document, data)
    if not modules:
        fix = "add 'NAME: {image: …}' for each module, or remove the key"
        raise InputError("modules is empty", where=document.where(("modules",), key=True), fix=fix)
    seen: dict[str, str] = {}
    for name in modules:
        where = document.where(("modules", name), key=True)
        if name.lstrip("$").lower() in RESERVED:
            fix = "rename it: the template has the runtime's own modules"
            raise InputError(f"'{name}' is a module of the runtime itself", where=where, fix=fix)
        if re.fullmatch(MODULE_NAME, name) is None:
            raise InputError(f"'{name}' is not a valid module name", where=where, fix=_NAME_FIX)
        if name.lower() in seen:
            what = f"modules '{seen[name.lower()]}' and '{name}' differ only in upper and lower case"
            raise InputError(what, where=where, fix="rename one of them")
        seen[name.lower()] = name


def _refuse_both_forms(document: Source, data: dict[str, Any]) -> None:
    manifest = data.get("manifest")
    short: list[tuple[source.Path, str]] = [
        ((key,), f"modules.NAME.{key}") for key in ("model", "image") if key in data
    ]
    if isinstance(manifest, dict) and "module" in manifest:
        short.append((("manifest", "module"), "modules"))
    for path, home in short:
        key = ".".join(map(str, path))
        raise InputError(
            f"the project has both '{key}' and 'modules'",
            where=document.where(path, key=True),
            fix=f"move it to {home}, or remove 'modules'"
            if key != "manifest.module"
            else "remove it: the keys of 'modules' are the names",
        )


def modules_of(document: Source, sections: ProjectFile, path: Path) -> tuple[Module, ...]:
    """The modules of a project file, checked.

    Args:
        path: of the file; names the module of a project that names nothing.

    Raises:
        InputError: a module is not complete, or what it says does not fit together; with its place.
    """
    if sections.modules is None:
        short = ModuleSection(model=sections.model, image=sections.image)
        _check(document, (), short)
        name = (sections.manifest.module if sections.manifest is not None else None) or _default_name(short, path)
        if name.lower() in RESERVED:
            where = document.where(("manifest", "module"))
            raise InputError(f"'{name}' is a module of the runtime itself", where=where, fix="rename it")
        return (_module(name, short),)
    found = []
    for name, section in sections.modules.items():
        place: source.Path = ("modules", name)
        if section.image is None:
            fix = "add 'image: {builder: none, reference: …}', or a builder and what it needs"
            raise InputError(f"module '{name}' has no image", where=document.where(place, key=True), fix=fix)
        _check(document, place, section)
        if section.model is None:  # without manifestgen's runner: what it takes and sends is its own
            section = msgspec.structs.replace(section, inputs=section.inputs or {}, outputs=section.outputs or {})
        found.append(_module(name, section))
    _refuse_shared_repository(document, found)
    return tuple(found)


def _module(name: str, section: ModuleSection) -> Module:
    fields = {key: getattr(section, key) for key in ModuleSection.__struct_fields__}
    model = section.model
    if model is not None and not model.name and model.path is not None:
        fields["model"] = msgspec.structs.replace(model, name=model.path.stem)
    return Module(name=name, **fields)


def _default_name(section: ModuleSection, path: Path) -> str:
    """The name of a module that the file does not name, so that two projects on one device do not share one."""
    image, model = section.image, section.model
    reference = (image.reference or "").rpartition("/")[2].partition("@")[0].partition(":")[0] if image else ""
    own = path.stem if path.name != FILE_NAME else path.absolute().parent.name
    candidates = ((image.name or "").rpartition("/")[2] if image else "", reference, model.name if model else "", own)
    for candidate in candidates:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", candidate).strip("-_")
        if re.fullmatch(MODULE_NAME, name) and name.lower() not in RESERVED:
            return name
    return _UNNAMED


def _check(document: Source, place: source.Path, section: ModuleSection) -> None:
    model, image = section.model, section.image
    if model is not None and not model.name and model.path is None:
        where = document.where((*place, "model"), key=True)
        fix = "add 'name: …' of a registered model, or 'path: …' of a file"
        raise InputError("model has neither a name nor a path", where=where, fix=fix)
    if image is not None:
        _check_image(document, place, image, model)
    for key in ("inputs", "outputs"):
        for name, found in (getattr(section, key) or {}).items():
            _check_routes(document, (*place, key, name), found)


def _check_routes(document: Source, place: source.Path, found: str | tuple[str, ...]) -> None:
    """Check the routes of one input or output."""
    *_, module, key, name = map(str, ("", *place))
    if re.fullmatch(r"[^/\s\"\\]+", name) is None:
        what = f"'{name}' is not a name of an {key[:-1]}"
        raise InputError(what, where=document.where(place, key=True), fix="write a name without '/', quotes and blanks")
    for index, end in enumerate((found,) if isinstance(found, str) else found):
        try:
            (into if key == "inputs" else out_of)(module, name, end)
        except InputError as error:
            where = document.where(place if isinstance(found, str) else (*place, index))
            raise InputError(error.what, where=where, fix=error.fix) from None


def _check_image(document: Source, place: source.Path, image: Image, model: Model | None) -> None:
    if image.builder not in builders.choices():
        path = (*place, "image", "builder")
        raise wrong_choice(document, path, ".".join(map(str, path)), document.where(path), builders.choices())
    try:
        builders.check_image(image, model)
    except InputError as error:
        path = (*place, *error.where.split("."))
        raise InputError(error.what, where=document.where(path, key=True), fix=error.fix) from None
    for key in ("dockerfiles", "references"):
        for name in getattr(image, key) or {}:
            where = document.where((*place, "image", key, name), key=True)
            require_platform(name, where)
            if key == "dockerfiles" and name not in builders.entry_of(image).platforms:
                fix = f"write one of: {', '.join(builders.entry_of(image).platforms)}"
                raise InputError(f"builder {image.builder} cannot build for '{name}'", where=where, fix=fix)


def require_platform(text: str, where: str) -> None:
    """Raise InputError unless a text is a platform as the project file writes it: `linux/arm64`, not `linux/aarch64`.

    Args:
        where: the text's place.
    """
    try:
        known = platform_name(text) == text
    except InputError:
        known = False
    if not known:
        raise InputError(f"'{text}' is not a platform", where=where, fix="write one such as linux/arm64")


def _refuse_shared_repository(document: Source, modules: list[Module]) -> None:
    """Raise InputError if two images would be pushed to one repository, where only tags could tell them apart."""
    seen: dict[str, str] = {}
    for module in modules:
        if not module.builds or module.image is None:
            continue
        repository = f"{(module.image.registry or '').lower()}/{module.image.name}"
        if repository in seen:
            raise InputError(
                f"modules '{seen[repository]}' and '{module.name}' are built into one repository, "
                f"'{repository.strip('/')}'",
                where=document.where(("modules", module.name, "image", "name")),
                fix="give each image its own name",
            )
        seen[repository] = module.name


def platform_name(text: object) -> str:
    """A platform as the project file writes it, from that or from a shorter form: `arm64`, `arm64v8`, `linux/aarch64`.

    Raises:
        InputError: it is not a platform.
    """
    # Few projects name one, and every command that reads a project would import the cloud's Protocols.
    from manifestgen.cloud.distribution import Platform

    found = str(text)
    parts = found.split("/")
    if parts[0] not in _SYSTEMS and len(parts) < 3:
        found = f"linux/{found}"
    try:
        platform = Platform.parse(found)
    except InputError:
        platform = Platform("", "")
    known = platform.os in _SYSTEMS and platform.architecture in _ARCHITECTURES
    if not known or re.fullmatch(r"(v\d)?", platform.variant) is None:
        fix = "write one such as linux/amd64, linux/arm64 or linux/arm/v7"
        raise InputError(f"'{text}' is not a platform of IoT Edge", where="platform", fix=fix)
    return str(platform)
