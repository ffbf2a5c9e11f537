"""A deployment.template.json of the VS Code extension or iotedgedev, as a template of manifestgen."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.manifest.reading import as_mapping

NAME: Final = "deployment.template.json"
_MODULE_IMAGE: Final = re.compile(r"\$\{MODULES\.[^}]+\}")
_IMAGE, _CREDENTIALS = "manifestgen-image", "manifestgen-credentials"


@dataclass(frozen=True)
class Converted:
    """A template.

    Attributes:
        text: in Jinja.
        module: name of the module that runs the model.
    """

    text: str
    module: str


def converted(path: Path) -> Converted:
    """The template with the model's image and the registries' credentials filled in by manifestgen.

    Other variables, such as `$EDGEAGENT_SCHEMA_VERSION`, stay: `check` and `apply` name them.

    Raises:
        InputError: it is not such a file, not exactly one of its modules is built, or Jinja would read its text.
    """
    text = read_text(path, NAME)
    try:
        data = json.loads(text)
        desired = data["modulesContent"]["$edgeAgent"]["properties.desired"]
        modules = desired["modules"]
        built = [name for name, module in modules.items() if _MODULE_IMAGE.fullmatch(str(_image(module)))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fix = "name a template with --template, or correct the file"
        raise InputError("this is not a deployment template", where=str(path), fix=fix) from error
    if len(built) != 1:
        what = f"{len(built)} modules have an image of ${{MODULES.…}}, and the model can be one of them only"
        raise InputError(what, where=str(path), fix="leave ${MODULES.…} in the module of the model, or name a template")
    modules[built[0]]["settings"]["image"] = _IMAGE
    settings = as_mapping(desired.get("runtime")).get("settings")
    if isinstance(settings, dict):
        settings["registryCredentials"] = _CREDENTIALS
    data.pop("$schema-template", None)
    made = json.dumps(data, indent=2, ensure_ascii=False)
    if found := re.search(r"\{\{|\{%|\{#", made):
        what = f"it contains {found[0]!r}, which a Jinja template would read"
        raise InputError(what, where=str(path), fix="remove it, or name a template with --template")
    for mark, name in ((_IMAGE, "image"), (_CREDENTIALS, "registry_credentials")):
        made = made.replace(json.dumps(mark), f"{{{{ {name} | tojson }}}}")
    return Converted(made + "\n", built[0])


def _image(module: Any) -> Any:
    return module.get("settings", {}).get("image")
