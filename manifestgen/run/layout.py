"""A project's modules on this machine: its manifest, and the code of each module."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifestgen.cloud import Services
from manifestgen.context.dockerfile import ENVIRONMENT
from manifestgen.edge.device import SENSOR, SENSOR_IMAGE, Code, DeviceModule
from manifestgen.edge.files.image import ImageConfig, can_run_here
from manifestgen.edge.files.places import OWN_ROOT
from manifestgen.errors import InputError
from manifestgen.images.existing import NOWHERE
from manifestgen.images.ingredients import model_files
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import as_mapping
from manifestgen.manifest.route import ModuleInput, RouteSyntaxError, parse, source_modules
from manifestgen.project.app import app_files
from manifestgen.project.load import Project
from manifestgen.project.score import check_inputs
from manifestgen.project.sections import Module as ProjectModule
from manifestgen.render import render_project
from manifestgen.trial.layout import put_files
from manifestgen.trial.setting import setting, this_python


@dataclass(frozen=True)
class Origin:
    """Which module and output messages from a file are taken for."""

    module: str
    output: str


@dataclass(frozen=True)
class Layout:
    """The modules to run.

    Attributes:
        modules: those that can run here.
        left_out: image of each module that cannot, by its name.
        own: names of the modules with the project's models.
        hub: desired properties of `$edgeHub`.
        twins: desired properties of each module.
        files: whose change is a change of what runs.
    """

    modules: tuple[DeviceModule, ...]
    left_out: Mapping[str, str]
    own: tuple[str, ...]
    hub: Mapping[str, Any]
    twins: Mapping[str, Mapping[str, Any]]
    files: tuple[Path, ...] = field(default=())

    def origin(self, given: str) -> Origin:
        """The sender of messages from a file: `MODULE/OUTPUT` as given, else the source of a route into the model.

        Raises:
            InputError: no route leads into the model's module.
        """
        if given:
            module, _, output = given.partition("/")
            return Origin(module, output or "output1")
        for entry in Manifest.of_twins({"$edgeHub": self.hub}).routes():
            try:
                route = parse(entry.text or "")
            except RouteSyntaxError:
                continue
            if isinstance(route.sink, ModuleInput) and route.sink.module in self.own:
                source = source_modules(route)
                output = (source.output if source is not None else "") or "output1"
                return Origin(source.module if source is not None else "input", output)
        raise InputError(
            f"no route of the manifest leads into {_named(self.own)}" if self.own else "no module has the model",
            where="--input",
            fix="add a route with BrokeredEndpoint to the template, or run 'manifestgen run --as MODULE/OUTPUT'",
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
    own_images = [one for one in project.each() if one.builds or one.image is None]
    images = {one.module.name: _stand_in(one.module.name) for one in own_images}
    manifest = render_project(project, lambda draft: {}, values=values, image=images).manifest
    codes = {
        _stand_in(one.module.name): own_code(one, services.of(one.module.name), folder, here=here, report=report)
        for one in project.each()
        if one.builds
    }
    named = {_stand_in(one.module.name): one.image.name or "" for one in own_images if one.image is not None}
    modules: list[DeviceModule] = []
    left_out: dict[str, str] = {}
    own: list[str] = []
    for module in manifest.modules():
        if module.system or module.image is None:
            continue
        code = codes.get(module.image.text)
        if code is not None:
            own.append(module.name)
            modules.append(_module(module, code))
        elif module.image.repository == SENSOR_IMAGE:
            modules.append(_module(module, SENSOR))
        else:
            left_out[module.name] = named.get(module.image.text, module.image.text)
    names = [module.name for module in modules]
    hub = manifest.hub_desired or {}
    twins = {name: _desired(manifest, name) for name in names}
    return Layout(tuple(modules), left_out, tuple(own), hub, twins, watched(project))


def _stand_in(module: str) -> str:
    """A reference that stands in for the image of a module, and is unique."""
    return f"{NOWHERE.rpartition(':')[0]}:{module}"


def own_code(
    project: Project,
    services: Services,
    folder: Path,
    *,
    here: bool,
    report: Callable[[str], None],
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
    put_files(own, image.entry_script, model)
    environ = {**ENVIRONMENT, "AZUREML_ENTRY_SCRIPT": image.entry_script.name}
    if spec is not None:
        environ |= {"RUNNER_MODEL_NAME": spec.name, "RUNNER_MODEL_VERSION": version}
    return Code(root, ImageConfig(environ, ("python", "-m", "manifestgen_runner")), place.python)


def _module(module: Module, code: Code) -> DeviceModule:
    return DeviceModule(
        module.name,
        code,
        module.variables,
        policy=module.restart_policy,
        order=module.startup_order,
        runs=str(module.get("status") or "running").lower() == "running",
    )


def _desired(manifest: Manifest, name: str) -> Mapping[str, Any]:
    whole = manifest.section(name).whole
    return as_mapping(whole.value) if whole is not None else {}


def _named(modules: tuple[str, ...]) -> str:
    return f"module {modules[0]!r}" if len(modules) == 1 else f"any of the modules {', '.join(map(repr, modules))}"


def watched(project: Project) -> tuple[Path, ...]:
    """The project file, the template, and each module's entry script with the modules beside it, packages and model.

    Raises:
        InputError: an entry script, or a module that it imports, is missing or not Python.
    """
    found = [project.path]
    for module in project.modules:
        found += _watched(module)
    manifest = project.manifest
    template = project.root / manifest.template if manifest is not None else None
    return tuple(dict.fromkeys([*found, *([template] if template is not None and template.is_file() else [])]))


def _watched(module: ProjectModule) -> list[Path]:
    image, model = module.image, module.model
    found: list[Path] = []
    if image is not None:
        found += [path for path in (image.entry_script, image.conda_file, image.requirements) if path is not None]
        if image.entry_script is not None:
            beside = image.entry_script.parent.glob("*.py")
            found += sorted({*beside, *app_files(image.entry_script).values()})
    if model is not None and model.path is not None:
        found += [model.path] if model.path.is_file() else sorted(model.path.rglob("*"))
    return found
