"""The names that a template can use, as documented in docs/templates.md.

`base_of` has the values that all renderings of a project share; `complete` adds those of one: a platform, a device's
row, `--set`. Both are plain JSON data, so that another process can render.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from manifestgen.project import Project
from manifestgen.project.lock import Lock
from manifestgen.project.modules import platform_name
from manifestgen.project.routes import routes_of
from manifestgen.project.sections import ManifestSection, Module
from manifestgen.project.values import merge

#: Default values of every template.
DEFAULTS: Final[Mapping[str, Any]] = {"ttl": 7200}
# Values for all modules that are merged into each module's own.
_COMMON: Final = ("env", "create_options")
#: Top-level values that become part of `modules`: a template that uses `modules` uses these.
OF_MODULES: Final = frozenset({"module", "image", "model", "env", "create_options", "platform"})
# Values of a project's only module that are also at the top level.
_OF_ONE: Final = ("image", "model")


def context_of(
    project: Project | None = None,
    locks: Mapping[str, Lock] | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    image: str | Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The values of a rendering; later ones override earlier ones: defaults, project file, `values`, `image`.

    Args:
        project: whose names and values are used; None for the defaults alone.
        locks: the last build of each module, for its image and model.
        values: of this rendering, `--values` and `--set` merged.
        image: of this rendering, for the only module, or by module; without it, the project's reference with builder
            none, else the lock's image.

    Returns:
        The names listed in docs/templates.md.

    Raises:
        InputError: the platform is not valid.
    """
    if isinstance(image, Mapping) and (project is None or not project.modular):
        image = next(iter(image.values()), None)
    given = merge(values or {}, {"image": image} if isinstance(image, str) else {})
    for name, reference in image.items() if isinstance(image, Mapping) else ():
        given = merge(given, {"modules": {name: {"image": reference}}})
    return complete(base_of(project, locks), given)


def base_of(project: Project | None = None, locks: Mapping[str, Lock] | None = None) -> dict[str, Any]:
    """The values that all renderings of a project share; see `context_of`."""
    manifest = (project.manifest if project is not None else None) or ManifestSection()
    modules = project.modules if project is not None else (Module(),)
    context: dict[str, Any] = {**DEFAULTS, "runtime": manifest.runtime}
    if project is not None and project.target is not None:
        found = {"device": project.target.device, "platform": project.target.platform}
        context |= {key: value for key, value in found.items() if value is not None}
    context["modules"] = {one.name: _entry(one, (locks or {}).get(one.name)) for one in modules}
    context["routes"] = routes_of(modules)
    if project is None or not project.modular:
        context["module"] = modules[0].name
    return {**merge(context, manifest.values), "platform_values": manifest.platform_values}


def complete(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one rendering.

    Args:
        base: from `base_of`; bare values if there is no project.
        given: values of this rendering; they override the base.

    Raises:
        InputError: the platform is not valid.
    """
    context = dict(base) if "modules" in base else {**base_of(), **base}
    by_platform = context.pop("platform_values", {})
    platform = given.get("platform", context.get("platform"))
    if platform is not None:
        given = {**given, "platform": platform_name(platform)}
        context = merge(context, by_platform.get(given["platform"], {}))
    context = merge(context, given)
    modules = context.get("modules")
    if not isinstance(modules, dict) or not all(isinstance(entry, dict) for entry in modules.values()):
        return context  # the user set a value of the same name
    if "module" not in context or len(modules) != 1:
        return {**context, "modules": {name: _completed(entry, context) for name, entry in modules.items()}}
    (entry,) = modules.values()
    only = _completed({**merge(entry, _given_for_one(context)), "name": context["module"]}, context)
    return {**context, "modules": {str(only["name"]): only}, **{key: only[key] for key in _OF_ONE if key in only}}


def _given_for_one(context: Mapping[str, Any]) -> dict[str, Any]:
    """The values that override those of a project's only module."""
    return {key: context[key] for key in _OF_ONE if key in context}


def with_modules(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add `modules` and `routes` to values: bare ones, without a project, are those of one module."""
    if "modules" in values:
        return values
    return {"modules": complete(values, {})["modules"], "routes": {}, **values}


def _completed(entry: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """A module with the values for all modules, and its image for the platform."""
    found = dict(entry)
    references = found.pop("references", None)
    if isinstance(references, dict) and "image" not in found and context.get("platform") in references:
        found["image"] = references[context["platform"]]
    for key in _COMMON:
        common, own = context.get(key), found.get(key)
        if isinstance(common, dict) and isinstance(own, dict):
            found[key] = merge(common, own)
    return found


def _entry(module: Module, lock: Lock | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: getattr(module, key)
        for key in ("name", "version", "status", "restart_policy", "pull_policy", "startup_order", "twin")
    }
    found |= {"env": dict(module.env), "create_options": module.create_options}
    found |= {key: _plain(getattr(module, key)) for key in ("inputs", "outputs")}
    image = module.image
    if image is not None and not image.builds:
        if image.references is not None:
            found["references"] = dict(image.references)
        else:
            found["image"] = image.reference
    elif lock is not None:
        found["image"] = lock.image
    if module.model is not None:
        model: dict[str, Any] = {"name": module.model.name}
        version = lock.model.version if lock is not None and lock.model is not None else module.model.wanted
        if version:
            model["version"] = int(version) if version.isdecimal() else version
        found["model"] = {**model, "tags": dict(module.model.tags), "description": module.model.description}
    return found


def _plain(ends: Mapping[str, str | tuple[str, ...]] | None) -> dict[str, Any] | None:
    if ends is None:
        return None
    return {name: end if isinstance(end, str) else list(end) for name, end in ends.items()}
