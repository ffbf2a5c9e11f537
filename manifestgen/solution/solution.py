"""Reads a solution: the named template, and the files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.manifest import locate
from manifestgen.manifest.pointer import escape
from manifestgen.secret import Secret
from manifestgen.solution.dotenv import EnvFile, read_env
from manifestgen.solution.expansion import FOLDER, IMAGE, Lookup, Profile, as_json_reads
from manifestgen.solution.json_file import JsonFile, read_json
from manifestgen.solution.module_json import FILE_NAME, ModuleFolder, read_module

#: The tool's platforms, and what images are for on them; None for what no builder here builds.
PLATFORMS: Final[Mapping[str, str | None]] = {
    "amd64": "linux/amd64",
    "arm32v7": "linux/arm/v7",
    "arm64v8": "linux/arm64",
    "windows-amd64": None,
}
DEBUG: Final = ".debug"
_VERSION_KEY: Final = "$schema-template"
_NEWEST: Final = 4
_MODULES: Final = "modules"


class Solution(Struct, frozen=True):
    """A solution.

    Attributes:
        path: of the template.
        template: the file.
        version: its `$schema-template`; empty if it has none.
        env: the `.env` beside it.
        environ: variables of the process.
        modules: folders with a `module.json` that the template uses, by the prefix of their placeholders: `MODULES.f`
            or `MODULEDIR<../f>`.
        profile: the tool.
    """

    path: Path
    template: JsonFile
    version: str
    env: EnvFile
    environ: Mapping[str, str]
    modules: Mapping[str, ModuleFolder]
    profile: Profile = "vscode"

    @property
    def folder(self) -> Path:
        """The folder of the template."""
        return self.path.parent

    @property
    def name(self) -> str:
        """The template's name without its suffixes: `deployment` for `deployment.template.json`."""
        return re.sub(r"(\.template)?\.[^.]*$", "", self.path.name) or "deployment"

    def lookup(self, name: str) -> str | None:
        """The value of a variable; None if it has none. The VS Code extension takes an empty value for none."""
        return _lookup(self.profile, self.environ, self.env)(name)

    def module_of(self, key: str) -> tuple[str, ModuleFolder] | None:
        """Prefix and folder of the module whose image a key such as `MODULES.f.amd64` names; None if there is none."""
        prefixes = [prefix for prefix in self.modules if key == prefix or key.startswith(f"{prefix}.")]
        prefix = max(prefixes, key=len, default=None)
        return None if prefix is None else (prefix, self.modules[prefix])

    def images(self, platform: str, *, debug: bool = False) -> dict[str, str]:
        """The image references that placeholders stand for, by key.

        Args:
            platform: for placeholders that name none, such as `amd64`.
            debug: whether those mean its debug image.
        """
        usual = platform + DEBUG if debug else platform
        lower = self.profile == "iotedgedev"
        found: dict[str, str] = {}
        for prefix, module in self.modules.items():
            for name in module.dockerfiles:
                reference = module.reference(name, lower=lower)
                found[f"{prefix}.{name}"] = reference
                if name == usual:
                    found[prefix] = reference
                if name == platform + DEBUG:
                    found[prefix + DEBUG] = reference
        return found


def read_solution(
    path: Path, environ: Mapping[str, str], profile: Profile = "vscode", env_file: Path | None = None
) -> Solution:
    """Read a template with its `.env` and its modules' `module.json`.

    Args:
        path: of the template, or of a plain manifest.
        environ: variables of the process; the VS Code extension prefers those of `.env`, iotedgedev these.
        profile: the tool.
        env_file: in place of the `.env` beside the template.

    Raises:
        InputError: one of the files is missing or wrong; with line and column.
    """
    fix = "give the path of a deployment.template.json, or of a deployment manifest"
    template = read_json(path, "template", fix=fix)
    found = locate(template.data)
    if found is None or not isinstance(found.value, dict):
        what = "this is not a deployment template: it has no 'modulesContent' object"
        raise InputError(what, where=f"{template.name}:1:1", fix=fix)
    if env_file is not None and not env_file.is_file():
        raise InputError(".env file not found", where=str(env_file), fix="create the file or correct its path")
    env = read_env(env_file or path.parent / ".env", comments=profile == "iotedgedev")
    modules = dict(_modules(path.parent, template, env, environ, profile))
    solution = Solution(path, template, _version(template), env, environ, modules, profile)
    _check_modules(solution)
    return solution


def template_of(path: Path, *, debug: bool = False) -> Path:
    """The template that a command line names.

    Args:
        path: of a template, or of the folder that has `deployment.template.json`.
        debug: the debug template beside it, `NAME.debug.template.json`, if there is one.
    """
    file = path / "deployment.template.json" if path.is_dir() else path
    variant = file.with_name(file.name.removesuffix(".template.json") + f"{DEBUG}.template.json")
    return variant if debug and file.name.endswith(".template.json") and variant.is_file() else file


def _version(template: JsonFile) -> str:
    """The template's version. Raises InputError for one that no tool wrote."""
    version = template.data.get(_VERSION_KEY)
    if version is None:
        return ""
    match = re.fullmatch(r"(\d+)\.\d+\.\d+", version) if isinstance(version, str) else None
    if match is None or int(match[1]) > _NEWEST:
        what = f"unknown template version {version!r}"
        fix = f"write a version up to {_NEWEST}.0.0, or remove {_VERSION_KEY}"
        raise InputError(what, where=template.where(f"/{_VERSION_KEY}"), fix=fix)
    return str(version)


def _check_modules(solution: Solution) -> None:
    """Raise InputError if two modules have one name in different case, or two folders build one image."""
    names: dict[str, str] = {}
    base, modules = _modules_of(solution.template.data)
    for name in modules:
        first = names.setdefault(name.lower(), name)
        if first != name:
            what = f"two modules have one name in different case: {first!r} and {name!r}"
            where = solution.template.where(f"{base}/{escape(name)}", key=True)
            raise InputError(what, where=where, fix="rename one of them, in its routes too")
    folders: dict[str, ModuleFolder] = {}
    for key in sorted(_image_keys(solution.template.data)):
        if (found := solution.module_of(key)) is None:
            continue
        module = found[1]
        for platform in module.dockerfiles:
            reference = module.reference(platform).lower()
            other = folders.setdefault(reference, module)
            if other.folder.resolve() != module.folder.resolve():
                raise InputError(
                    f"modules {other.name!r} and {module.name!r} have one repository, {module.repository}, and one "
                    "version: each image replaces the other",
                    where=module.file.where("/image/repository"),
                    fix="give each module a repository of its own",
                )


def _modules(
    folder: Path, template: JsonFile, env: EnvFile, environ: Mapping[str, str], profile: Profile
) -> Mapping[str, ModuleFolder]:
    places: dict[str, Path] = {}
    inside = folder / _MODULES
    if inside.is_dir():
        places = {f"MODULES.{path.name}": path for path in sorted(inside.iterdir()) if (path / FILE_NAME).is_file()}
    for name in sorted(set(_folders(template.data))):
        # `< ../m >` is another key than the one that the tool makes, without blanks: it is never replaced
        places.setdefault(f"MODULEDIR<{name.strip()}>", folder / name.strip())
    used = _image_keys(template.data)
    read: dict[str, ModuleFolder] = {}
    for prefix, path in places.items():
        if not (path / FILE_NAME).is_file() or not any(f"{key}.".startswith(f"{prefix}.") for key in used):
            continue
        own = read_env(path / ".env") if profile == "vscode" else EnvFile()
        both = {**env.variables, **own.variables}
        secrets = [variable.value for variable in both.values() if isinstance(variable.value, Secret)]
        read[prefix] = read_module(path, _lookup(profile, environ, EnvFile(env.name, both)), secrets)
    return read


def _folders(data: Any) -> list[str]:
    """The folders of all `${MODULEDIR<…>}` in a template."""
    return [match[1] for text in _strings(data) if "MODULEDIR<" in text for match in FOLDER.finditer(text)]


def _image_keys(data: Any) -> set[str]:
    """The keys of all placeholders for images in a template, such as `MODULES.f.amd64`."""
    return {key for text in _strings(data) for key in IMAGE.findall(text)}


def _strings(value: Any) -> Iterator[str]:
    """Every key and text of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _modules_of(data: Any) -> tuple[str, Mapping[str, Any]]:
    """JSON Pointer to a template's modules, and the modules by name; none but in a whole manifest."""
    found = locate(data)
    agent = found.value.get("$edgeAgent") if found is not None else None
    desired = agent.get("properties.desired") if isinstance(agent, dict) else None
    modules = desired.get("modules") if isinstance(desired, dict) else None
    if found is None or not isinstance(modules, dict):
        return "", {}
    return f"{found.pointer}/$edgeAgent/properties.desired/modules", modules


def _lookup(profile: Profile, environ: Mapping[str, str], env: EnvFile) -> Lookup:
    def vscode(name: str) -> str | None:
        variable = env.variables.get(name)
        value = (variable.text if variable is not None else "") or environ.get(name, "")
        return as_json_reads(value) if value else None

    def iotedgedev(name: str) -> str | None:
        variable = env.variables.get(name)
        value = environ.get(name, variable.text if variable is not None else None)
        return as_json_reads(value) if value is not None else None

    return vscode if profile == "vscode" else iotedgedev
