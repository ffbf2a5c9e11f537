"""Writes the files of a new project, around an existing model and entry script."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from manifestgen.errors import InputError, os_reason
from manifestgen.files import write_atomic
from manifestgen.project.builders import BUILDERS
from manifestgen.project.load import FILE_NAME
from manifestgen.project.pickled import PICKLES
from manifestgen.project.sections import MODULE_NAME, REGISTRY_HOST
from manifestgen.project.starters import ONNX, name_of, packages_of, sample_text, starter
from manifestgen.project.vscode_template import NAME, converted
from manifestgen.project.yaml_text import scalar

_PROJECT: Final = """\
# A manifestgen project: from a trained model to a running Azure IoT Edge module.
# Every key: manifestgen schema
version: 1
{workspace}model:
  name: {model_name}
  path: {model_path}
image:
  builder: {builder}
  name: {image_name}
  entry_script: score.py
{image}registry:
  credentials: admin                    # admin | token | env | file | keyvault
manifest:
  template: {template}
  module: {module}
  runtime: "1.6"                        # tag of edgeAgent and edgeHub
  values: {{ttl: 7200}}
# hub: {{host: contoso.azure-devices.net}}
{target}"""

_WORKSPACE: Final = "workspace: {config: config.json}        # or subscription_id, resource_group and name\n"
_IN_THE_WORKSPACE: Final = """\
  conda_file: {packages}
"""
_FROM_A_CONTEXT: Final = """\
  {key}: {packages}
  registry: {registry}# yours, which gets the image
  platforms: [linux/amd64, linux/arm64]
"""

_ONE_DEVICE: Final = """\
target:
  device: edge-01
"""

# A layer is for a fleet, never for a device by itself.
_FLEET: Final = """\
target:
  deployment: my-layer
  condition: "tags.site = 'lab'"
  priority: 20                          # above that of the base deployment
"""

_CONDA: Final = """\
# What score.py needs. Keep the versions equal to those that the model was trained with.
name: {name}
dependencies:
  - python=3.11
  - pip:
      - azureml-defaults
"""

_REQUIREMENTS: Final = """\
# What score.py needs. Keep the versions equal to those that the model was trained with.
"""

IGNORE: Final = """\
# a rendered manifest holds the registry's password
deployment.json
deployment.*.json
*.plan
# what a run leaves beside the project
.manifestgen/
# secrets
.env
*.key
*.pem
"""


#: Files that may list the packages of an entry script; the first one found is used.
_LISTS: Final = ("requirements.txt", "myenv.yml", "environment.yml", "pyproject.toml")
_TEMPLATE: Final = "single-module"
#: Builder of a project without a builder and a workspace: it needs nothing on this machine.
_USUAL: Final = "acr"
#: Stands in for the user's own.
_REGISTRY: Final = "acme.azurecr.io"


class Started(Struct, frozen=True):
    """A new project.

    Attributes:
        files: the written files.
        kept: existing files that are part of it now.
        sample: whether it has a sample message.
    """

    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    sample: bool


def start(
    folder: Path,
    template: str | None = None,
    builder: str | None = None,
    model: Path | None = None,
    registry: str | None = None,
) -> Started:
    """Write the files of a new project; existing files are kept, and become part of it.

    Args:
        folder: created if it is missing.
        template: name of a built-in template; None for the `deployment.template.json` in the folder, which becomes
            `deployment.json.j2`, or `single-module` if there is none.
        builder: of `builders.BUILDERS`; None for Azure ML if `config.json` names a workspace, else ACR.
        model: the model's file or folder; None for the one in the folder, or an example if there is none.
        registry: host of the registry for the image; None for an example that the user has to replace.

    Raises:
        InputError: the folder has a project already, or several models; the model is missing, or of a kind for which no
            entry script can be written; the registry is not a host, or the builder does not choose one; or the folder
            is not writable.
    """
    _refuse_overwriting(folder, (FILE_NAME,))
    model = _model(folder, model)
    builder = builder or ("package" if (folder / "config.json").is_file() else _USUAL)
    from_context = BUILDERS[builder].context
    if registry is not None:
        _check_registry(registry, builder)
    script, listed = folder / "score.py", _listed(folder, from_context)
    kept = [path for path in (model, listed) if path is not None and path.parent == folder]
    files: dict[str, str] = {}
    name = name_of(folder.resolve().name)
    module = name if re.fullmatch(MODULE_NAME, name) else f"{name[:100]}-model"
    if template is None and (folder / NAME).is_file():
        found = converted(folder / NAME)
        template, module = "deployment.json.j2", found.module
        files[template] = found.text
        kept.append(folder / NAME)
    template = template or _TEMPLATE
    if script.exists():
        packages = packages_of(script)
        kept.append(script)
    else:
        begun = starter(model, template)
        packages = begun.packages
        files |= {"score.py": begun.script, **begun.files}
        if not (folder / "sample.json").exists():
            files["sample.json"] = sample_text(begun.message)
    list_name = listed.name if listed is not None else "requirements.txt" if from_context else "myenv.yml"
    if listed is None:
        files[list_name] = _packages(packages, name, from_context)
    path = _relative(model, folder) if model is not None else "model.json"
    files[FILE_NAME] = _project(path, name, builder, template, module, list_name, registry or _REGISTRY)
    if not (folder / ".gitignore").exists():
        files[".gitignore"] = IGNORE
    _refuse_overwriting(folder, files)
    written = _write(folder, files)
    return Started(written, tuple(kept), "sample.json" in files or (folder / "sample.json").exists())


def _model(folder: Path, named: Path | None) -> Path | None:
    if named is not None:
        if not named.exists():
            raise InputError("model not found", where=str(named), fix="give the path of the model's file or folder")
        return folder / named.name if named.resolve().parent == folder.resolve() else named
    suffixes = (*PICKLES, ONNX)
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in suffixes and path.is_file())
    usual = [path for path in found if path.stem == "model"]
    if len(usual or found) > 1:
        names = ", ".join(path.name for path in usual or found)
        raise InputError(f"there are several models: {names}", where=str(folder), fix="choose one with --model FILE")
    return next(iter(usual or found), None)


def _listed(folder: Path, from_context: bool) -> Path | None:
    """The file that lists packages already, if the builder takes it."""
    able = [name for name in _LISTS if from_context or name.endswith(".yml")]
    return next((folder / name for name in able if (folder / name).is_file()), None)


def _relative(model: Path, folder: Path) -> str:
    """A model's path for the project file."""
    try:
        return Path(os.path.relpath(model.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return str(model.resolve())  # on another drive


def _packages(packages: tuple[str, ...], name: str, from_context: bool) -> str:
    if from_context:
        return _REQUIREMENTS + "".join(f"{package}\n" for package in packages)
    return _CONDA.format(name=name) + "".join(f"      - {package}\n" for package in packages)


def _check_registry(registry: str, builder: str) -> None:
    if not BUILDERS[builder].context:
        fix = "leave out --registry, or choose another builder with --builder"
        raise InputError(f"builder {builder!r} uses the registry of the Azure ML workspace", fix=fix)
    if not re.match(REGISTRY_HOST, registry):
        fix = "give the registry's host alone, such as --registry acme.azurecr.io"
        raise InputError(f"{registry!r} is not the host of a registry", fix=fix)


def _project(model: str, name: str, builder: str, template: str, module: str, packages: str, registry: str) -> str:
    image = _IN_THE_WORKSPACE.format(packages=packages)
    if BUILDERS[builder].context:
        key = "conda_file" if packages.endswith(".yml") else "requirements"
        image = _FROM_A_CONTEXT.format(
            key=key, packages=packages, registry=f"{registry:<28}" if len(registry) < 28 else f"{registry}  "
        )
    return _PROJECT.format(
        workspace="" if BUILDERS[builder].context else _WORKSPACE,
        model_name=scalar(Path(model).stem),
        model_path=scalar(model),
        builder=builder,
        image_name=scalar(name),
        image=image,
        template=template,
        module=scalar(module),
        target=_FLEET if template == "layered" else _ONE_DEVICE,
    )


def _refuse_overwriting(folder: Path, names: Iterable[str]) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there:
        fix = "choose an empty folder, or remove the file" + ("s" if len(there) > 1 else "")
        raise InputError(f"{', '.join(there)} would be overwritten", where=str(folder), fix=fix)


def _write(folder: Path, files: dict[str, str]) -> tuple[Path, ...]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"could not create the folder: {os_reason(error)}"
        raise InputError(what, where=str(folder), fix="choose another folder") from error
    for name, text in files.items():
        write_atomic(folder / name, text)
    return tuple(folder / name for name in files)
