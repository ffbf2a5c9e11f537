"""Several modules whose images Azure ML builds, from the models to a device, and once more with one changed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from integration.command_line import in_this_process
from integration.conftest import Asked, ProjectFolder

pytestmark = [
    pytest.mark.azureml,
    pytest.mark.skipif(importlib.util.find_spec("azureml") is None, reason="azureml-core is not installed"),
]

_MODULES = """\
modules:
  left:
    model: {name: left-DEVICE, path: left.pkl}
    image: {builder: package, name: left-of-DEVICE, entry_script: score.py, conda_file: myenv.yml}
  right:
    model: {name: right-DEVICE, path: right.pkl}
    image: {builder: container-image, name: right-of-DEVICE, entry_script: score.py, conda_file: myenv.yml}
    inputs: {amlInput: left/amlOutput}
  sensor: {image: {builder: none, reference: "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"}}
manifest: {template: single-module}
"""


def test_each_is_built_by_its_builder_once_and_all_come_to_the_device(
    project: ProjectFolder, asked: Asked, desired: Callable[[str], Mapping[str, Any]]
) -> None:
    text = project.file.read_text()
    head, rest = text[: text.index("model:")], text[text.index("hub:") :]
    project.file.write_text(head + _MODULES.replace("DEVICE", project.device) + rest)
    for name in ("left", "right"):
        (project.root / f"{name}.pkl").write_text(f"model {name} of {project.device}")
    before = (asked.registered, asked.built)

    first = in_this_process("deploy", project.root, "--yes", "--output", "json")
    assert first.code == 0, first
    images = first.json["images"]
    assert list(images) == ["left", "right", "sensor"]
    modules = desired(project.device)["modules"]
    assert {name: module["settings"]["image"] for name, module in modules.items()} == images
    assert (asked.registered, asked.built) == (before[0] + 2, before[1] + 2)
    locked = json.loads((project.root / "manifestgen.lock.json").read_text())["modules"]
    assert {name: one["image"] for name, one in locked.items()} == {name: images[name] for name in ("left", "right")}

    (project.root / "right.pkl").write_text(f"another model right of {project.device}")
    second = in_this_process("deploy", project.root, "--yes", "--output", "json")
    assert second.code == 0, second
    changed = [name for name, image in second.json["images"].items() if image != images[name]]
    assert changed == ["right"]
    assert (asked.registered, asked.built) == (before[0] + 3, before[1] + 3)
