"""What a project runs on this machine: its manifest, and for each module the code that it is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from manifestgen.cloud import Services
from manifestgen.context.dockerfile import ENVIRONMENT
from manifestgen.edge.device import SENSOR, Code, DeviceModule
from manifestgen.edge.files.image import ImageConfig, can_run_here
from manifestgen.edge.files.places import OWN_ROOT
from manifestgen.errors import InputError
from manifestgen.images.existing import NOWHERE
from manifestgen.images.ingredients import model_files
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.route import ModuleInput, RouteSyntaxError, parse, source_modules
from manifestgen.manifest.section import DESIRED
from manifestgen.project.load import Project
from manifestgen.project.score import check_inputs
from manifestgen.render import render_project
from manifestgen.trial.layout import lay_out
from manifestgen.trial.setting import setting, this_python

#: Repository of the module that manifestgen brings itself.
SENSOR_IMAGE: Final = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"


@dataclass(frozen=True)
class Origin:
    """Which module and output messages from a file are taken for."""

    module: str
    output: str


@dataclass(frozen=True)
class Layout:
    """What runs.

    Attributes:
        modules: those that can run here.
        left_out: image of each module that cannot, by its name.
        own: name of the module with the project's model; empty if no module has it.
        hub: desired properties of `$edgeHub`.
        twins: desired properties of each module.
        files: whose change is a change of what runs.
    """

    modules: tuple[DeviceModule, ...]
    left_out: Mapping[str, str]
    own: str
    hub: Mapping[str, Any]
    twins: Mapping[str, Mapping[str, Any]]
    files: tuple[Path, ...] = field(default=())

    def origin(self, given: str) -> Origin:
        """What messages from a file are taken for: `MODULE/OUTPUT` as given, else what a route into the model names.

        Raises:
            InputError: no route leads into the model's module.
        """
        if given:
            module, _, output = given.partition("/")
            return Origin(module, output or "output1")
        for text in _route_texts(self.hub):
            try:
                route = parse(text)
            except RouteSyntaxError:
                continue
            if isinstance(route.sink, ModuleInput) and route.sink.module == self.own:
                source = source_modules(route)
                output = (source.output if source is not None else "") or "output1"
                return Origin(source.module if source is not None else "input", output)
        raise InputError(
            f"no route of the manifest leads into module {self.own!r}" if self.own else "no module has the model",
            where="--input",
            fix="add a route with BrokeredEndpoint to the template, or name the sender: see 'manifestgen run --help'",
        )


def lay_out_project(
    project: Project,
    services: Services,
    folder: Path,
    *,
    here: bool = False,
    values: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Layout:
    """Render the project's manifest, and make the files and packages of its modules ready.

    Args:
        folder: for the files.
        here: use this process's own Python and its packages, not an environment of the image's.
        values: win over the project file's.
        report: is called with what takes a while.

    Raises:
        InputError: an input is missing or invalid, or modules cannot run on this machine.
        CloudError: the package index, or the registry of models, could not be reached.
    """
    if why := can_run_here():
        raise InputError("modules cannot run on this machine", fix=f"use another one: {why}")
    section = project.image
    image = section.reference if section is not None and not section.builds else NOWHERE
    manifest = render_project(project, lambda draft: {}, values=values, image=image).manifest
    code = own_code(project, services, folder, here=here, report=report)
    modules: list[DeviceModule] = []
    left_out: dict[str, str] = {}
    own = ""
    for module in manifest.modules():
        if module.system or module.image is None:
            continue
        text = module.image_text or ""
        if code is not None and text == NOWHERE:
            own = own or module.name
            modules.append(_module(module, code))
        elif text.partition(":")[0] == SENSOR_IMAGE:
            modules.append(_module(module, SENSOR))
        else:
            left_out[module.name] = text
    names = [module.name for module in modules]
    hub = manifest.hub_desired or {}
    return Layout(tuple(modules), left_out, own, hub, _twins(manifest, names), watched(project))


def own_code(
    project: Project,
    services: Services,
    folder: Path,
    *,
    here: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> Code | None:
    """The code of the project's image, laid out as in the image; None if the image is built elsewhere."""
    image, spec = project.image, project.model
    if image is None or not image.builds or image.entry_script is None:
        return None
    check_inputs(project)
    model = spec.path if spec is not None else None
    version = "local"
    if model is None and spec is not None:
        found = services.models.find(spec.name, spec.wanted)
        report(f"getting model {found.id}")
        model, version = model_files(project, found, services.models), found.version
    place = this_python() if here else setting(project, image.entry_script, model, services, report)
    root = Path(tempfile.mkdtemp(dir=folder))
    own = root / OWN_ROOT
    own.mkdir(parents=True)
    lay_out(own, project, image.entry_script, model)
    environ = {**ENVIRONMENT, "AZUREML_ENTRY_SCRIPT": image.entry_script.name}
    if spec is not None:
        environ |= {"RUNNER_MODEL_NAME": spec.name, "RUNNER_MODEL_VERSION": version}
    return Code(root, ImageConfig(environ, ("python", "-m", "manifestgen_runner")), place.python)


def _module(module: Module, code: Code) -> DeviceModule:
    order = module.get("startupOrder")
    return DeviceModule(
        module.name,
        code,
        {name: module.env_value(name) or "" for name in module.env},
        policy=str(module.get("restartPolicy") or "on-unhealthy").lower(),
        order=order if isinstance(order, int) else 2**32 - 1,
        runs=str(module.get("status") or "running").lower() == "running",
    )


def _twins(manifest: Manifest, names: list[str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        entry = manifest.entries.get(name)
        desired = entry.get(DESIRED) if isinstance(entry, dict) else None
        found[name] = desired if isinstance(desired, dict) else {}
    return found


def _route_texts(hub: Mapping[str, Any]) -> list[str]:
    routes = hub.get("routes")
    entries = routes.values() if isinstance(routes, dict) else ()
    return [str(entry.get("route") if isinstance(entry, dict) else entry) for entry in entries]


def watched(project: Project) -> tuple[Path, ...]:
    """The project file, the template, the entry script's folder and the model."""
    image, model, manifest = project.image, project.model, project.manifest
    found = [project.path]
    if image is not None:
        found += [path for path in (image.entry_script, image.conda_file, image.requirements) if path is not None]
        if image.entry_script is not None:
            found += sorted(image.entry_script.parent.glob("*.py"))
    if model is not None and model.path is not None:
        found += [model.path] if model.path.is_file() else sorted(model.path.rglob("*"))
    template = project.root / manifest.template if manifest is not None else None
    return tuple(dict.fromkeys([*found, *([template] if template is not None and template.is_file() else [])]))
