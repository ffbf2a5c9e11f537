"""The project that a solution becomes: its files as texts, and what has to be said about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.credentials.hosts import comparable
from manifestgen.credentials.variables import PASSWORD, USERNAME, suffixes
from manifestgen.importing.images import Images, images_of
from manifestgen.importing.item import Item, Notes
from manifestgen.importing.template import Credential, ProjectTemplate, project_template
from manifestgen.manifest.image import DOCKER_HUB, is_private
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import image_hosts
from manifestgen.project.load import FILE_NAME
from manifestgen.project.start import IGNORE
from manifestgen.project.yaml_text import block
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
        supply: what the user has to supply.
        lost: what was not carried over, or not as it was.
    """

    project: Path
    files: dict[Path, str]
    keys: dict[str, str]
    modules: tuple[str, ...]
    supply: tuple[Item, ...]
    lost: tuple[Item, ...]


def imported(
    solution: Solution, folder: Path, *, platform: str = "amd64", builder: str | None = None, debug: bool = False
) -> Imported:
    """Make a project of a solution.

    Args:
        solution: the template and what is beside it.
        folder: that gets the project file.
        platform: the tool's, for images that are built elsewhere.
        builder: `acr`, `local` or `none`; None to choose for each image by its registry.
        debug: whether image placeholders without a platform mean debug images.
    """
    notes = Notes()
    images = images_of(solution, folder, notes, platform=platform, builder=builder, debug=debug)
    content = _with_images(solution, solution.images(platform, debug=debug))
    hosts = list(image_hosts(Manifest.of(content)).values())
    template = project_template(solution, images.names, hosts, notes)
    registry = _registry(template, hosts, notes)
    _note_the_rest(solution, template, notes)
    name = solution.name
    project = folder / (FILE_NAME if name == "deployment" else f"{name.removeprefix('deployment.')}.yaml")
    template_file = folder / f"{name}.json.j2"
    text = _project_text(solution, project, template_file, images, template, registry, notes)
    files = {project: text, template_file: template.text}
    ignore = folder / ".gitignore"
    if not ignore.exists() or ignore.read_bytes() == _IGNORE.encode():
        files[ignore] = _IGNORE
    modules = tuple(entry.name for entry in images.entries)
    return Imported(project, files, images.names, modules, notes.supplied, notes.lost)


_IGNORE: Final = IGNORE.replace("deployment.*.json\n", "deployment.*.json\n!*.template.json\nconfig/\n")


def _project_text(
    solution: Solution,
    project: Path,
    template_file: Path,
    images: Images,
    template: ProjectTemplate,
    registry: dict[str, Any],
    notes: Notes,
) -> str:
    manifest: dict[str, Any] = {"template": template_file.name}
    if template.variables:
        manifest["values"] = {"variables": dict(template.variables)}
    if project.name == FILE_NAME and solution.path.name == "deployment.json":
        manifest["output"] = "deployment.rendered.json"  # the usual name is that of the file itself
    data: dict[str, Any] = {"version": 1}
    if images.entries:
        data["modules"] = {entry.name: {"image": entry.image} for entry in images.entries}
    data |= {"registry": registry, "manifest": manifest}
    hub, target = _hub(solution), _target(solution, notes)
    if hub:
        data["hub"] = {"host": hub}
    if target:
        data["target"] = target
    comments = {f"manifest.values.variables.{name}": "no value yet: write it here" for name in template.open}
    text = _HEAD.format(source=solution.path.name) + block(data, comments)
    if not hub:
        text += "# hub: {host: contoso.azure-devices.net}\n"
    if not target:
        text += "# target: {device: edge-01}\n" if not template.layered else _FLEET
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


def _target(solution: Solution, notes: Notes) -> dict[str, Any]:
    data = solution.template.data
    name, condition = data.get("id"), data.get("targetCondition")
    if isinstance(name, str) and isinstance(condition, str) and re.fullmatch(r"[a-z0-9\-:+%_#*?!(),=@;']{1,128}", name):
        priority = data.get("priority")
        rest = {"priority": priority} if isinstance(priority, int) and 0 <= priority < 2**31 else {}
        return {"deployment": name, "condition": condition, **rest} if condition else {}
    variable = solution.env.variables.get(_DEVICE)
    match = re.search(r"(?i)(?:^|;)DeviceId=([^;]+)", variable.text) if variable else None
    return {"device": match[1]} if match else {}


def _registry(template: ProjectTemplate, hosts: list[str], notes: Notes) -> dict[str, Any]:
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
            notes.supply(what, why, f"set {USERNAME}{names[host]} and {PASSWORD}{names[host]}")
    return {"credentials": "env", **({"sources": sources} if sources else {})}


def _with_images(solution: Solution, images: dict[str, str]) -> dict[str, Any]:
    """The template's content with its images filled in, to see from which registries they come."""
    return rewritten(solution, images, lambda text: "".join(piece.result for piece in text.pieces))


def _note_login(host: str, suffix: str, credential: Credential, notes: Notes) -> None:
    shown = [text for text in (credential.username, credential.password) if re.fullmatch(r"\$\{?\w+\}?", text)]
    names = [re.sub(r"[${}]", "", text) for text in shown]
    if len(names) == 2:
        why, values = "passwords are not copied", f"the values of {names[0]} and {names[1]}"
    else:
        why, values = "the template has it in clear text, and passwords are not copied", "its user name and password"
    notes.supply(
        f"login for {host}", why, f"set {USERNAME}{suffix} and {PASSWORD}{suffix} to {values}", credential.where
    )


def _note_the_rest(solution: Solution, template: ProjectTemplate, notes: Notes) -> None:
    file, env = solution.template, solution.env
    if file.comments:
        notes.lose("comments", "JSON has none, and the template is written anew", where=file.name)
    for pointer in file.duplicates:
        key = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
        why = "it is there twice, and the tool takes the last one"
        notes.lose(f"key {key!r}", why, where=file.where(pointer, key=True))
    known = {"modulesContent", "moduleContent", "content", "$schema-template", "$schema"}
    target = {"id", "targetCondition", "priority"} if "targetCondition" in file.data else set()
    for key in file.data:
        if key not in known | target:
            why = "a manifest is 'modulesContent' alone; IoT Hub takes nothing beside it"
            notes.lose(f"key {key!r}", why, where=file.where(f"/{key.replace('~', '~0').replace('/', '~1')}", key=True))
    for where in env.ignored:
        notes.lose("a line of .env", "it is not NAME=VALUE, so the tool passes over it too", where=where)
    for variable in env.variables.values():
        if variable.replaces:
            why = "it is given twice, and the last value counts"
            notes.lose(f"variable {variable.name} of .env", why, where=variable.replaces)
    for name in (_HUB, _DEVICE):
        if name in env.variables and name not in template.variables:
            fix = f"set {_HUB}, or log in with 'az login'" if name == _HUB else "manifestgen needs no device's key"
            why = "it is a secret; only the names in it are carried over"
            notes.supply(f"secret {name}", why, fix, env.variables[name].where)
    used = {*template.variables, *_used_by_modules(solution)}
    unused = [name for name in env.variables if name not in used and not re.fullmatch(_MAPPED, name)]
    if unused:
        why = "neither the template nor a module.json uses them"
        notes.lose(f"variables {', '.join(unused)} of .env", why, where=env.name)


def _used_by_modules(solution: Solution) -> set[str]:
    """Names of variables in the texts of `module.json` files."""
    return {
        one or other
        for module in solution.modules.values()
        for one, other in re.findall(r"(?a)\$(?:(\w+)|\{(\w+)\})", module.file.text)
    }
