"""Writes the files of a new project."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from manifestgen.errors import InputError
from manifestgen.files import write_atomic
from manifestgen.project.builders import BUILDERS
from manifestgen.project.load import FILE_NAME

_PROJECT: Final = """\
# A manifestgen project: from a trained model to a running Azure IoT Edge module.
# Every key: manifestgen schema
version: 1
workspace: {config: config.json}        # or subscription_id, resource_group and name
model:
  name: my_model
  path: model.pkl                       # file to register; without it: the registered model
  tags: {area: demo}
  description: What the model does
image:
  builder: none                         # a placeholder image; to build your own, write package
  reference: mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5    # and remove this line
  name: my-model
  entry_script: score.py
  conda_file: myenv.yml
  tags: {area: iot}
  description: The model on the edge
registry:
  credentials: admin                    # admin | token | env | file | keyvault
manifest:
  template: TEMPLATE
  module: machinelearningmodule
  runtime: "1.6"                        # tag of edgeAgent and edgeHub
  values: {ttl: 7200}
# hub: {host: contoso.azure-devices.net}
target:
  device: edge-01
"""

# What another builder has in place of the lines up to `tags`.
_PLACEHOLDER: Final = """\
  builder: none                         # a placeholder image; to build your own, write package
  reference: mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5    # and remove this line
  name: my-model
  entry_script: score.py
  conda_file: myenv.yml
"""
_IN_THE_WORKSPACE: Final = """\
  builder: BUILDER
  name: my-model
  entry_script: score.py
  conda_file: myenv.yml
"""
_FROM_A_CONTEXT: Final = """\
  builder: BUILDER
  name: my-model
  entry_script: score.py
  requirements: requirements.txt
  registry: acme.azurecr.io             # that gets the image
  platforms: [linux/amd64, linux/arm64]
"""
_WORKSPACE: Final = "workspace: {config: config.json}        # or subscription_id, resource_group and name\n"

_ONE_DEVICE: Final = """\
target:
  device: edge-01
"""

# A layer goes to a fleet, never to a device by itself.
_FLEET: Final = """\
target:
  deployment: my-layer
  condition: "tags.site = 'lab'"
  priority: 20                          # above that of the base deployment
"""

_SCORE: Final = '''\
"""Entry script of the model image: the scoring server calls init() once and run() for every message."""

import json
import os
import pickle
from pathlib import Path

model = None


def init():
    """Load the model from where Azure ML puts it."""
    global model
    path = Path(os.environ.get("AZUREML_MODEL_DIR", ".")) / "model.pkl"
    with path.open("rb") as stream:
        model = pickle.load(stream)


def run(input_data):
    """Score one message: {"data": [[…], …]} in, the predictions out."""
    rows = json.loads(input_data)["data"]
    return {"predictions": [float(value) for value in model.predict(rows)]}
'''

_CONDA: Final = """\
# What score.py needs. Keep the versions equal to those that the model was trained with.
name: my-model
dependencies:
  - python=3.11
  - pip:
      - azureml-defaults
      - numpy
      - scikit-learn
"""

_REQUIREMENTS: Final = """\
# What score.py needs. Keep the versions equal to those that the model was trained with.
numpy
scikit-learn
"""

_IGNORE: Final = """\
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


def start(folder: Path, template: str, builder: str | None = None) -> tuple[Path, ...]:
    """Write the files of a new project; an existing `.gitignore` is kept.

    Args:
        folder: created if it is missing.
        template: name of a built-in template.
        builder: of `builders.BUILDERS`; None for a project that starts with a placeholder image.

    Returns:
        The files that were written.

    Raises:
        InputError: one of the other files exists (then none is written), or the folder is not writable.
    """
    project = _PROJECT.replace("TEMPLATE", template)
    if template == "layered":
        project = project.replace(_ONE_DEVICE, _FLEET)
    packages = {"myenv.yml": _CONDA}
    if builder is not None and BUILDERS[builder].context:
        packages = {"requirements.txt": _REQUIREMENTS}
        project = project.replace(_WORKSPACE, "").replace(_PLACEHOLDER, _FROM_A_CONTEXT.replace("BUILDER", builder))
    elif builder is not None:
        project = project.replace(_PLACEHOLDER, _IN_THE_WORKSPACE.replace("BUILDER", builder))
    files = {FILE_NAME: project, "score.py": _SCORE, **packages}
    there = [name for name in files if (folder / name).exists()]
    if there:
        fix = "choose an empty folder, or remove the file" + ("s" if len(there) > 1 else "")
        raise InputError(f"{', '.join(there)} would be overwritten", where=str(folder), fix=fix)
    if not (folder / ".gitignore").exists():
        files[".gitignore"] = _IGNORE
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"could not create the folder: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(folder), fix="choose another folder") from error
    for name, text in files.items():
        write_atomic(folder / name, text)
    return tuple(folder / name for name in files)
