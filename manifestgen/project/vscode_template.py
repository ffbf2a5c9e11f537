"""Converts a deployment.template.json of the VS Code extension or iotedgedev to the template of a model's project.

`manifestgen import` converts a whole solution, see `manifestgen.importing`. Here, one module is the model's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.reading import as_mapping
from manifestgen.solution.jinja import Marks
from manifestgen.solution.json_file import read_json

NAME: Final = "deployment.template.json"
_MODULE_IMAGE: Final = re.compile(r"\$\{MODULES\.[^}]+\}")


class Converted(Struct, frozen=True):
    """A template.

    Attributes:
        text: in Jinja.
        module: name of the module that runs the model.
    """

    text: str
    module: str


def converted(path: Path) -> Converted:
    """The template with the model's image and the registries' credentials filled in by manifestgen.

    Other variables, such as `$EDGEAGENT_SCHEMA_VERSION`, are kept: `check` and `apply` report them.

    Raises:
        InputError: it is not such a file, or not exactly one of its modules is built.
    """
    file = read_json(path, NAME, fix="create it")
    try:
        desired = file.data["modulesContent"]["$edgeAgent"]["properties.desired"]
        modules = desired["modules"]
        built = [name for name, module in modules.items() if _MODULE_IMAGE.fullmatch(str(_image(module)))]
    except (KeyError, TypeError, AttributeError) as error:
        fix = "name a template with --template, or correct the file"
        raise InputError("this is not a deployment template", where=str(path), fix=fix) from error
    if len(built) != 1:
        what = f"{len(built)} modules have an image of ${{MODULES.…}}, and the model can be one of them only"
        fix = "leave ${MODULES.…} in the module of the model, name a template, or run 'manifestgen import'"
        raise InputError(what, where=str(path), fix=fix)
    marks = Marks()
    modules[built[0]]["settings"]["image"] = marks.add("image | tojson")
    settings = as_mapping(desired.get("runtime")).get("settings")
    if isinstance(settings, dict):
        settings["registryCredentials"] = marks.add("registry_credentials | tojson")
    file.data.pop("$schema-template", None)
    return Converted(marks.template(file.data), built[0])


def _image(module: Any) -> Any:
    return module.get("settings", {}).get("image")
