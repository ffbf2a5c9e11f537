"""The project that a solution becomes: its files as texts, and what has to be said about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.credentials.hosts import comparable
from manifestgen.credentials.variables import PASSWORD, USERNAME, suffixes
from manifestgen.importing.faults import note_faults
from manifestgen.importing.images import Images, images_of
from manifestgen.importing.item import Item, Notes
from manifestgen.importing.template import Credential, ProjectTemplate, project_template
from manifestgen.importing.variants import patch, variants_of
from manifestgen.manifest.image import DOCKER_HUB, is_private
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape, unescape
from manifestgen.manifest.registries import image_hosts
from manifestgen.project.load import FILE_NAME
from manifestgen.project.sections import DEPLOYMENT_ID
from manifestgen.project.start import IGNORE
from manifestgen.project.yaml_text import block
from manifestgen.solution.dotenv import EnvFile
from manifestgen.solution.expansion import VARIABLE
from manifestgen.solution.generate import rewritten
from manifestgen.solution.solution import Solution

_HEAD: Final = """\
# A manifestgen project, imported from {source}.
# Every key: manifestgen schema
"""
#: Variables whose values go into other parts of the project.
_HUB: Final = "IOTHUB_CONNECTION_STRING"
_DEVICE: Final = "DEVICE_CONNECTION_STRING"
_MAPPED: Final = rf"CONTAINER_REGISTRY_(USERNAME|PASSWORD|SERVER|ADDRESS)\w*|{_HUB}|{_DEVICE}"


class Imported(Struct, frozen=True):
    """A project, not written yet.

    Attributes:
        project: path of the project file.
        files: texts by path.
        keys: name of the entry of `modules:` by the key of an image placeholder, such as `MODULES.f`.
        modules: names of the entries of `modules:`.
        environments: names of its environments.
        supply: what the user has to supply.
        lost: what was not carried over, or not as it was.
        wrong: mistakes of the solution itself, which `render` will stop at.
    """

    project: Path
    files: dict[Path, str]
    keys: dict[str, str]
    modules: tuple[str, ...]
    environments: tuple[str, ...]
    supply: tuple[Item, ...]
    lost: tuple[Item, ...]
    wrong: tuple[Item, ...] = ()


def imported(
    solution: Solution,
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    platform: str = "amd64",
    builder: str | None = None,
    debug: bool = False,
) -> Imported:
    """Make a project of a solution; variants of it become environments.

    Args:
        solution: the template and what is beside it.
        folder: that gets the project file.
        environ: variables of the process, for the variants.
        platform: the tool's, for images that are built elsewhere.
        builder: `acr`, `local` or `none`; None to choose for each image by its registry.
        debug: whether image placeholders without a platform mean debug images.
    """
    notes = Notes()
    making = _Making(folder, notes, platform, builder)
    base = making.part(solution, debug=debug)
    variants = variants_of(solution, environ or {}, notes)
    parts = {name: making.part(variant) for name, variant in variants.items()}
    for part in (base, *parts.values()):
        _note_the_rest(part.solution, part.template.variables, notes)
    _note_unused([base, *parts.values()], notes)
    name = solution.name
    project = folder / (FILE_NAME if name == "deployment" else f"{name.removeprefix('deployment.')}.yaml")
    templates = {folder / f"{name}.json.j2": base.template.text}
    base.data["manifest"] = {"template": f"{name}.json.j2", **base.data["manifest"]}
    if project.name == FILE_NAME and solution.path.name == "deployment.json":
        base.data["manifest"]["output"] = "deployment.rendered.json"  # the usual name is that of the file itself
    for variant, part in parts.items():
        same = part.template.text == base.template.text
        file = f"{name}.json.j2" if same else f"{name}.{variant}.json.j2"
        part.data["manifest"] = {"template": file, **part.data["manifest"]}
        templates[folder / file] = part.template.text
    files = {project: _project_text(base, parts), **templates}
    ignore = folder / ".gitignore"
    # A plain manifest is a source: only what is rendered from it is not committed.
    ignored = _IGNORE.replace("deployment.json\n", "", 1) if solution.path.name == "deployment.json" else _IGNORE
    if not ignore.exists() or (ignore.is_file() and ignore.read_bytes() == ignored.encode()):
        files[ignore] = ignored
    modules = tuple(entry.name for entry in base.images.entries)
    return Imported(project, files, base.images.names, modules, tuple(parts), notes.supplied, notes.lost, notes.wrong)


_IGNORE: Final = IGNORE.replace("deployment.*.json\n", "deployment.*.json\n!*.template.json\nconfig/\n")


class _Part(Struct, frozen=True):
    """A solution, or a variant of it, as part of a project.

    Attributes:
        data: of the project file, without the name of its template.
    """

    solution: Solution
    images: Images
    template: ProjectTemplate
    data: dict[str, Any]


class _Making(Struct, frozen=True):
    folder: Path
    notes: Notes
    platform: str
    builder: str | None

    def part(self, solution: Solution, *, debug: bool = False) -> _Part:
        platform, notes = self.platform, self.notes
        images = images_of(solution, self.folder, notes, platform=platform, builder=self.builder, debug=debug)
        references = solution.images(platform, debug=debug)
        content = rewritten(solution, references, lambda text: "".join(one.result for one in text.pieces))
        manifest = Manifest.of(content)
        note_faults(manifest, solution.template, notes)
        hosts = list(image_hosts(manifest).values())
        template = project_template(solution, images, references, hosts, notes)
        data: dict[str, Any] = {}
        if images.entries:
            data["modules"] = {entry.name: {"image": entry.image} for entry in images.entries}
        variables = {"values": {"variables": dict(template.variables)}} if template.variables else {}
        data |= {"registry": _registry(template, hosts, solution.env, notes), "manifest": variables}
        if hub := _hub(solution):
            data["hub"] = {"host": hub}
        if target := _target(solution):
            data["target"] = target
        return _Part(solution, images, template, data)


def _project_text(base: _Part, parts: Mapping[str, _Part]) -> str:
    environments = {name: patch(base.data, part.data) for name, part in parts.items()}
    data = {"version": 1, **base.data, **({"environments": environments} if environments else {})}
    note = "no value yet: write it here"
    comments = {f"manifest.values.variables.{name}": note for name in base.template.open}
    for variant, part in parts.items():
        comments |= {f"environments.{variant}.manifest.values.variables.{name}": note for name in part.template.open}
    text = _HEAD.format(source=base.solution.path.name) + block(data, comments)
    if "hub" not in base.data:
        text += "# hub: {host: contoso.azure-devices.net}\n"
    if "target" not in base.data:
        text += "# target: {device: edge-01}\n" if not base.template.layered else _FLEET
    return text


_FLEET: Final = "# target: {deployment: my-layer, condition: \"tags.site = 'lab'\", priority: 20}\n"


def _hub(solution: Solution) -> str:
    """The hub's host, from a connection string in `.env`; its key stays there."""
    for name in (_HUB, _DEVICE):
        variable = solution.env.variables.get(name)
        match = re.search(r"(?i)(?:^|;)HostName=([A-Za-z0-9][A-Za-z0-9.-]*)", variable.text) if variable else None
        if match:
            return match[1]
    return ""


def _target(solution: Solution) -> dict[str, Any]:
    data = solution.template.data
    name, condition = data.get("id"), data.get("targetCondition")
    if isinstance(name, str) and isinstance(condition, str) and re.fullmatch(DEPLOYMENT_ID, name):
        priority = data.get("priority")
        rest = {"priority": priority} if isinstance(priority, int) and 0 <= priority < 2**31 else {}
        return {"deployment": name, "condition": condition, **rest} if condition else {}
    variable = solution.env.variables.get(_DEVICE)
    match = re.search(r"(?i)(?:^|;)DeviceId=([^;]+)", variable.text) if variable else None
    return {"device": match[1]} if match else {}


def _registry(template: ProjectTemplate, hosts: list[str], env: EnvFile, notes: Notes) -> dict[str, Any]:
    """The section `registry`: every login comes from variables; what they are called is noted."""
    names = suffixes(hosts)
    by_host = {comparable(host): host for host in hosts}
    sources: dict[str, str] = {}
    seen: dict[str, Credential] = {}
    for credential in template.credentials:
        host = by_host.get(comparable(credential.address))
        if host is None:
            _note_login(credential.address, suffixes([credential.address])[credential.address], credential, notes)
            continue
        if (first := seen.setdefault(host, credential)) is not credential:
            why = f"{first.key!r} is for the same registry"
            notes.lose(f"registry credential {credential.key!r}", why, where=credential.where)
            continue
        if not is_private(host):
            sources["docker.io" if host == DOCKER_HUB else host] = "env"
        _note_login(host, names[host], credential, notes)
    for host in hosts:
        if is_private(host) and host not in seen:
            what = f"login for {host}"
            why = "the template has none, and a device cannot pull a private image without"
            notes.supply(
                what, why, f"set {USERNAME}{names[host]} and {PASSWORD}{names[host]}{_values(host, hosts, env)}"
            )
    return {"credentials": "env", **({"sources": sources} if sources else {})}


def _values(host: str, hosts: Sequence[str], env: EnvFile) -> str:
    """Where a registry's login is in `.env`, by the names that VS Code gives; empty if it is not there."""
    keys: dict[str, str] = {}
    for one in hosts:
        stem = one.lower().partition("." if "." in one else ":")[0]
        taken = [key for key in keys.values() if key == stem or key.startswith(f"{stem}_")]
        keys[one] = f"{stem}_{len(taken)}" if taken else stem
    names = [f"CONTAINER_REGISTRY_{what}_{keys[host]}" for what in ("USERNAME", "PASSWORD")]
    return f" to the values of {names[0]} and {names[1]}" if all(name in env.variables for name in names) else ""


def _note_login(host: str, suffix: str, credential: Credential, notes: Notes) -> None:
    shown = [text for text in (credential.username, credential.password) if re.fullmatch(r"\$\{?\w+\}?", text)]
    names = [re.sub(r"[${}]", "", text) for text in shown]
    if len(names) == 2:
        why, values = "passwords are not copied", f"the values of {names[0]} and {names[1]}"
    else:
        why, values = "the template has it in clear text, and passwords are not copied", "its user name and password"
    shown_host = "docker.io" if host == DOCKER_HUB else host
    notes.supply(
        f"login for {shown_host}", why, f"set {USERNAME}{suffix} and {PASSWORD}{suffix} to {values}", credential.where
    )


def _note_the_rest(solution: Solution, variables: Mapping[str, str], notes: Notes) -> None:
    file, env = solution.template, solution.env
    if file.comments:
        notes.lose("comments", "JSON has none, and the template is written anew", where=file.name)
    for pointer in file.duplicates:
        key = unescape(pointer.rpartition("/")[2])
        why = "it is there twice, and the tool takes the last one"
        notes.lose(f"key {key!r}", why, where=file.where(pointer, key=True))
    known = {"modulesContent", "moduleContent", "content", "$schema-template", "$schema"}
    target = {"id", "targetCondition", "priority"} if "targetCondition" in file.data else set()
    for key in file.data:
        if key not in known | target:
            why = "a manifest is 'modulesContent' alone; IoT Hub takes nothing beside it"
            notes.lose(f"key {key!r}", why, where=file.where(f"/{escape(key)}", key=True))
    for where in env.ignored:
        notes.lose("a line of .env", "it is not NAME=VALUE, so the tool passes over it too", where=where)
    for variable in env.variables.values():
        if variable.replaces:
            why = "it is given twice, and the last value counts"
            notes.lose(f"variable {variable.name} of .env", why, where=variable.replaces)
    for name in (_HUB, _DEVICE):
        if name in env.variables and name not in variables:
            fix = f"set {_HUB}, or log in with 'az login'" if name == _HUB else "manifestgen needs no device's key"
            why = "it is a secret; only the names in it are carried over"
            notes.supply(f"secret {name}", why, fix, env.variables[name].where)


def _note_unused(parts: Sequence[_Part], notes: Notes) -> None:
    """Note variables of each `.env` that nothing uses."""
    used = {name for part in parts for name in (*part.template.variables, *_used_by_modules(part.solution))}
    for env in {part.solution.env.name: part.solution.env for part in parts}.values():
        unused = [name for name in env.variables if name not in used and not re.fullmatch(_MAPPED, name)]
        if unused:
            why = "neither a template nor a module.json uses them"
            notes.lose(f"variables {', '.join(unused)} of {Path(env.name).name}", why, where=env.name)


def _used_by_modules(solution: Solution) -> set[str]:
    """Names of variables in the texts of `module.json` files."""
    return {one or other for module in solution.modules.values() for one, other in VARIABLE.findall(module.file.text)}
