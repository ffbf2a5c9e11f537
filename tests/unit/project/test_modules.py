"""Projects of several modules: how they are read, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from manifestgen.errors import InputError
from manifestgen.project import Project
from manifestgen.project.load import read
from manifestgen.project.modules import platform_name
from manifestgen.project.schema import json_schema

SCORER = """\
  scorer:
    model: {path: model.pkl}
    image: {builder: acr, name: scorer, entry_script: score.py, requirements: r.txt, registry: acme.azurecr.io}
"""
CAMERA = """\
  camera:
    image: {builder: none, reference: "acme.azurecr.io/camera:2.1"}
"""
TWO = f"version: 1\nmodules:\n{SCORER}{CAMERA}"
SAMPLES = Path(__file__).parents[3] / "samples"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def reading(text: str, name: str = "manifestgen.yaml") -> Project:
    return read(text, Path("/vision") / name, {"LEVEL": "info", "ORDER": "3"})


def test_the_short_form_is_a_project_of_one_module() -> None:
    project = reading("version: 1\nmodel: {path: model.pkl}\nimage: {builder: none, reference: 'r.io/x:1'}\n")
    assert project.modules == (project.module,) and not project.modular
    assert (project.model, project.image) == (project.module.model, project.module.image)


def test_each_module_has_what_it_says_and_paths_are_absolute() -> None:
    more = """\
    env: {LEVEL: "${env:LEVEL}", FPS: 5, ON: true, MOST: 0.5}
    create_options: {HostConfig: {Memory: 1}}
    twin: {window: 60}
    restart_policy: on-failure
    pull_policy: never
    startup_order: "${env:ORDER}"
    outputs: {frames: scorer/amlInput, "*": [$upstream]}
"""
    project = reading(TWO + more)
    scorer, camera = project.modules
    assert (scorer.name, camera.name, project.modular) == ("scorer", "camera", True)
    assert scorer.model is not None and (scorer.model.name, scorer.model.path) == ("model", Path("/vision/model.pkl"))
    assert camera.env == {"LEVEL": "info", "FPS": 5, "ON": True, "MOST": 0.5}
    assert (camera.twin, camera.startup_order, camera.pull_policy) == ({"window": 60}, 3, "never")
    # The model's module takes the template's routes; the camera has what it names, and no others.
    assert (scorer.inputs, scorer.outputs, camera.inputs) == (None, None, {})
    assert camera.outputs == {"frames": "scorer/amlInput", "*": ("$upstream",)}


def test_the_content_of_a_file_in_a_modules_variables_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary-of-a-file\n")
    (tmp_path / "tag").write_text("2.1\n")
    text = TWO.replace("camera:2.1", "camera:${file:tag}") + '    env: {KEY: "${file:key}"}\n'
    project = read(text, tmp_path / "manifestgen.yaml", {})
    assert [secret.reveal() for secret in project.secret_texts] == ["canary-of-a-file"]


def test_a_project_of_several_has_no_image_of_its_own_and_gives_each() -> None:
    project = reading(TWO)
    with pytest.raises(ValueError, match="several modules"):
        _ = project.image
    assert [one.image.name if one.image else None for one in project.each()] == ["scorer", None]
    assert [one.of_module("m") for one in project.each()] == ["m.scorer", "m.camera"]
    assert (project.builds, project.title) == (True, "vision")


def test_modules_are_chosen_by_name_in_the_projects_order() -> None:
    project = reading(TWO)
    assert project.only(()) == project
    assert [module.name for module in project.only(("camera", "scorer")).modules] == ["scorer", "camera"]
    with pytest.raises(InputError, match="no module 'Scorrer'") as caught:
        project.only(("Scorrer",))
    assert caught.value.fix == "did you mean 'scorer'?"
    with pytest.raises(InputError) as caught:
        project.only(("zzz",))
    assert caught.value.fix == "choose one of its modules: scorer, camera"


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("image: {builder: none, reference: 'r.io/area/Cam_1:2'}", "manifestgen.yaml", "Cam_1"),
        ("image: {builder: none, reference: 'r.io/cam@sha256:" + "0" * 64 + "'}", "manifestgen.yaml", "cam"),
        ("model: {name: best model}", "manifestgen.yaml", "best-model"),
        ("image: {name: a/scorer, entry_script: s, conda_file: c}\nmodel: {name: m1}", "manifestgen.yaml", "scorer"),
        ("image: {builder: none, reference: 'r.io/edgehub:1'}", "line-7.yaml", "line-7"),
        ("", "manifestgen.yaml", "vision"),
        ("manifest: {module: own}", "manifestgen.yaml", "own"),
    ],
)
def test_a_module_without_a_name_is_called_after_the_project(text: str, file: str, name: str) -> None:
    assert reading(f"version: 1\n{text}\n", file).module.name == name


def test_fifty_modules_are_read_and_all_named() -> None:
    text = "version: 1\nmodules:\n" + "".join(
        f"  camera-{number}: {{image: {{builder: none, reference: 'r.io/cam:1'}}}}\n" for number in range(50)
    )
    assert len(reading(text).modules) == 50


def test_one_foreign_image_may_run_twice() -> None:
    text = CAMERA + CAMERA.replace("camera:\n", "second:\n")
    assert len(reading(f"version: 1\nmodules:\n{text}").modules) == 2


def test_an_image_of_a_dockerfile_needs_no_model() -> None:
    image = "{builder: local, name: x, registry: r.io, dockerfile: d/Dockerfile, context: d, build_args: {A: b}}"
    (module,) = reading(f"version: 1\nmodules: {{plain: {{image: {image}}}}}\n").modules
    assert module.image is not None and module.image.context == Path("/vision/d")


#: What is wrong, where it stands, and words of the message; each a file of its own.
BROKEN: list[tuple[str, str, str]] = [
    (TWO + "model: {name: m}\n", "8:1", "both 'model' and 'modules'"),
    (TWO + "image: {builder: none, reference: 'r.io/x:1'}\n", "8:1", "both 'image' and 'modules'"),
    (TWO + "manifest: {module: x1}\n", "8:12", "both 'manifest.module' and 'modules'"),
    (TWO + CAMERA.replace("camera:\n", "Camera:\n"), "8:3", "'camera' and 'Camera' differ only"),
    (TWO + CAMERA.replace("camera:\n", "$edgeHub:\n"), "8:3", "'$edgeHub' is a module of the runtime"),
    (TWO + CAMERA.replace("camera:\n", "edgeAgent:\n"), "8:3", "'edgeAgent' is a module of the runtime"),
    (TWO + CAMERA.replace("camera:\n", "my camera:\n"), "8:3", "'my camera' is not a valid module name"),
    (TWO + CAMERA.replace("camera:\n", "c:\n"), "8:3", "'c' is not a valid module name"),
    (TWO + CAMERA.replace("camera:\n", f"{'c' * 129}:\n"), "8:3", "is not a valid module name"),
    (TWO + SCORER.replace("scorer:\n", "second:\n"), "10:33", "built into one repository, 'acme.azurecr.io/scorer'"),
    (TWO + "  other: {env: {A: b}}\n", "8:3", "module 'other' has no image"),
    (TWO + "  other:\n", "8:9", "modules.other is empty, not a mapping"),
    (TWO + "    envv: {A: b}\n", "8:5", "unknown key 'envv' in 'modules.camera'"),
    (TWO + "    env: {A: [b]}\n", "8:14", "modules.camera.env.A is a list, not a string, a number, true or false"),
    (TWO + "    status: Running\n", "8:13", "modules.camera.status is 'Running'"),
    (TWO + "    startup_order: -1\n", "8:20", "modules.camera.startup_order is -1"),
    (TWO + "    create_options: '{}'\n", "8:21", "modules.camera.create_options is a string, not a mapping"),
    (TWO + "    inputs: {in1: {a: b}}\n", "8:19", "is a mapping, not a string or a list of strings"),
    (TWO + "    inputs: {in1: scorer}\n", "8:19", "'scorer' is not a source of messages"),
    (TWO + "    inputs: {in1: [scorer/a, FROM nowhere]}\n", "8:30", "which edgeHub rejects"),
    (TWO + "    outputs: {out: upstream}\n", "8:20", "'upstream' is not a sink of messages"),
    (TWO + "    outputs: {a/b: $upstream}\n", "8:15", "'a/b' is not a name of an output"),
    (
        TWO.replace("acr, name: scorer", "acr, name: Scorer"),
        "5:33",
        "modules.scorer.image.name 'Scorer' is not a valid",
    ),
    (TWO.replace("builder: acr", "builder: arc"), "5:22", "modules.scorer.image.builder is 'arc'"),
    (TWO.replace("path: model.pkl", "tags: {a: 1}"), "4:23", "modules.scorer.model.tags.a is a whole number"),
    (TWO.replace("{path: model.pkl}", "{}"), "4:5", "model has neither a name nor a path"),
    (TWO.replace("registry: acme", "context: d, registry: acme"), "5:86", "image.context needs image.dockerfile"),
    (TWO.replace("reference: ", "references: {arm: x}, reference: "), "7:28", "both reference and references"),
    (
        TWO.replace("{builder: none, reference: ", "{builder: none, references: {arm: x}} #"),
        "7:41",
        "'arm' is not a plat",
    ),
    ("version: 1\nmodules: {}\n", "2:1", "modules is empty"),
    ("version: 1\nmodules: [a]\n", "2:10", "modules is a list, not a mapping"),
    ("version: 1\ntarget: {device: d, platform: arm64}\n", "2:31", "'arm64' is not a platform"),
]


@pytest.mark.parametrize(("text", "place", "words"), BROKEN, ids=[words for _, _, words in BROKEN])
def test_a_broken_project_file_is_refused_at_the_right_place(text: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        reading(text)
    where = caught.value.where.rpartition("yaml:")[2]
    assert (words in caught.value.what, where, caught.value.fix != "") == (True, place, True), caught.value


#: Files that the JSON Schema refuses, and the path of what it refuses.
REFUSED: list[tuple[str, str]] = [
    (TWO.replace("version: 1\n", ""), ""),
    ("version: 2\n", "version"),
    ("version: 1\nmodels: {}\n", ""),
    ("version: 1\nmodules: [a]\n", "modules"),
    ("version: 1\nmodules: {}\n", "modules"),
    (TWO + CAMERA.replace("camera:\n", "my camera:\n"), "modules"),
    (TWO + CAMERA.replace("camera:\n", "c:\n"), "modules"),
    (TWO + "  other: {env: {A: b}}\n", "modules.other"),
    (TWO + "  other:\n", "modules.other"),
    (TWO + "    envv: {A: b}\n", "modules.camera"),
    (TWO + "    env: {A: [b]}\n", "modules.camera.env.A"),
    (TWO + "    status: Running\n", "modules.camera.status"),
    (TWO + "    restart_policy: sometimes\n", "modules.camera.restart_policy"),
    (TWO + "    pull_policy: always\n", "modules.camera.pull_policy"),
    (TWO + "    startup_order: -1\n", "modules.camera.startup_order"),
    (TWO + "    create_options: '{}'\n", "modules.camera.create_options"),
    (TWO + "    twin: [1]\n", "modules.camera.twin"),
    (TWO + "    inputs: {in1: {a: b}}\n", "modules.camera.inputs.in1"),
    (TWO.replace("acr, name: scorer", "acr, name: Scorer"), "modules.scorer.image.name"),
    (TWO.replace("builder: acr", "builder: arc"), "modules.scorer.image.builder"),
    (TWO.replace("builder: acr", "builder: acr, platforms: []"), "modules.scorer.image.platforms"),
    (TWO.replace("builder: acr", "builder: acr, build_args: {A: 1}"), "modules.scorer.image.build_args.A"),
    (TWO.replace("path: model.pkl", "path: m, tags: {a: 1}"), "modules.scorer.model.tags.a"),
    (TWO + "manifest: {platform_values: [a]}\n", "manifest.platform_values"),
    (TWO + "target: {device: d, platform: ''}\n", "target.platform"),
]


def test_the_json_schema_takes_what_is_read() -> None:
    for text in (TWO, TWO + "    inputs: {a: [b/c, devices]}\n    twin: {x: 1}\n    startup_order: 3\n"):
        reading(text)
        VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*/manifestgen.yaml")), ids=lambda path: path.parent.name)
def test_the_json_schema_takes_every_sample(sample: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(sample.read_text()))


def deepest(error: Any) -> str:
    """Where an editor underlines an error: where the branch that comes closest ends, not where the choice begins."""
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return ".".join(map(str, error.absolute_path))


@pytest.mark.parametrize(("text", "path"), REFUSED)
def test_the_json_schema_refuses_what_is_broken_at_its_place(text: str, path: str) -> None:
    data: Any = yaml.safe_load(text)
    assert {deepest(error) for error in VALIDATOR.iter_errors(data)} == {path}
    with pytest.raises(InputError):
        reading(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("arm64", "linux/arm64"), ("arm64v8", "linux/arm64"), ("linux/aarch64", "linux/arm64"), ("arm/v7", "linux/arm/v7"),
     ("arm32v7", "linux/arm/v7"), ("amd64", "linux/amd64"), ("windows/amd64", "windows/amd64")],
)  # fmt: skip
def test_a_platform_has_one_name(text: str, name: str) -> None:
    assert platform_name(text) == name


@pytest.mark.parametrize("text", ["a/b/c/d", "sparc", "linux/arm46", "", "amd64/linux"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a platform"):
        platform_name(text)
