"""What a rendering has of several modules, and of a platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifestgen.credentials.logins import placeholders
from manifestgen.errors import InputError
from manifestgen.project import Project, load
from manifestgen.render import NoImageError, base_of, complete, context_of, render, render_project
from manifestgen.rows.source import names_in, source_of

TWO = """\
version: 1
modules:
  camera:
    image: {builder: none, references: {linux/amd64: "r.io/cam:1-amd64", linux/arm64: "r.io/cam:1-arm64v8"}}
    env: {FPS: 5}
    startup_order: 3
  scorer:
    model: {name: best, version: 4}
    image: {builder: package, name: scorer, entry_script: s.py, conda_file: c.yml}
    inputs: {amlInput: [camera/frames, devices]}
    twin: {interval: 5}
    create_options: {HostConfig: {Memory: 1}}
    status: stopped
    restart_policy: never
    pull_policy: never
    version: "2.1"
registry: {credentials: env}
manifest:
  values: {env: {SITE: lab, FPS: 1}}
  platform_values: {linux/arm64: {env: {THREADS: 2}}}
"""


def project(folder: Path, text: str = TWO, template: str = "") -> Project:
    (folder / "own.json.j2").write_text(template)
    more = "manifest:\n  template: own.json.j2\n" if template else "manifest:\n"
    (folder / "manifestgen.yaml").write_text(text.replace("manifest:\n", more))
    return load(folder)


def rendered(made: Project, image: dict[str, str] | None = None, **values: Any) -> Any:
    given = {"scorer": "r.io/scorer:9"} if image is None else image
    found = render_project(made, placeholders(made.registry_settings), values=values, image=given).manifest
    return found.content["modulesContent"]


def variables(content: Any, module: str) -> dict[str, Any]:
    env = content["$edgeAgent"]["properties.desired"]["modules"][module]["env"]
    return {name: entry["value"] for name, entry in env.items()}


def test_the_built_in_template_writes_everything_that_a_module_says(tmp_path: Path) -> None:
    content = rendered(project(tmp_path), platform="linux/arm64")
    modules = content["$edgeAgent"]["properties.desired"]["modules"]
    assert list(modules) == ["camera", "scorer"]
    assert modules["scorer"] == {
        "version": "2.1",
        "type": "docker",
        "status": "stopped",
        "restartPolicy": "never",
        "imagePullPolicy": "never",
        "env": {"SITE": {"value": "lab"}, "FPS": {"value": 1}, "THREADS": {"value": 2}},
        "settings": {"image": "r.io/scorer:9", "createOptions": '{"HostConfig":{"Memory":1}}'},
    }
    assert (modules["camera"]["startupOrder"], "startupOrder" in modules["scorer"]) == (3, False)
    assert content["scorer"] == {"properties.desired": {"interval": 5}} and "camera" not in content
    assert content["$edgeHub"]["properties.desired"]["routes"] == {
        "scorerToUpstream": "FROM /messages/modules/scorer/outputs/* INTO $upstream",
        "camera_frames_to_scorer_amlInput": "FROM /messages/modules/camera/outputs/frames INTO "
        'BrokeredEndpoint("/modules/scorer/inputs/amlInput")',
        "devices_to_scorer_amlInput": "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO "
        'BrokeredEndpoint("/modules/scorer/inputs/amlInput")',
    }


def test_a_modules_own_variables_win_over_those_of_all_and_options_over_both(tmp_path: Path) -> None:
    made = project(tmp_path)
    assert variables(rendered(made, platform="amd64"), "camera") == {"SITE": "lab", "FPS": 5}
    given: dict[str, Any] = {"modules": {"camera": {"env": {"FPS": 30}}}, "env": {"SITE": "plant"}}
    assert variables(rendered(made, platform="amd64", **given), "camera") == {"SITE": "plant", "FPS": 30}


@pytest.mark.parametrize(
    ("platform", "image"),
    [("linux/amd64", "r.io/cam:1-amd64"), ("arm64", "r.io/cam:1-arm64v8"), ("arm64v8", "r.io/cam:1-arm64v8")],
)
def test_the_platform_chooses_the_image(tmp_path: Path, platform: str, image: str) -> None:
    modules = rendered(project(tmp_path), platform=platform)["$edgeAgent"]["properties.desired"]["modules"]
    assert modules["camera"]["settings"]["image"] == image


def test_without_a_platform_an_image_that_differs_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image of module 'camera' differs by platform, and none is given") as caught:
        rendered(project(tmp_path))
    assert "platform" in caught.value.fix and "linux/arm64" in caught.value.fix
    with pytest.raises(InputError, match="image of module 'camera' is not there for linux/arm/v7"):
        rendered(project(tmp_path), platform="arm32v7")


def test_an_image_that_is_not_built_yet_is_named_by_its_module(tmp_path: Path) -> None:
    with pytest.raises(NoImageError, match="the image of module 'scorer' has not been built yet"):
        rendered(project(tmp_path), {}, platform="amd64")


def test_a_template_of_ones_own_names_modules_and_has_the_platform(tmp_path: Path) -> None:
    twin = '{"on": {{ platform }}, "model": "{{ modules["scorer"].model.name }}:{{ modules.scorer.model.version }}"}'
    template = (
        '{% from "_modules.json.j2" import module_entry %}{"modulesContent": {"$edgeAgent": {"properties.desired": '
        '{"modules": {"cam": {{ module_entry(modules.camera) }}}}}, "cam": {"properties.desired": ' + twin + "}}}"
    )
    content = rendered(project(tmp_path, template=template), platform="amd64")
    assert content["$edgeAgent"]["properties.desired"]["modules"]["cam"]["settings"]["image"] == "r.io/cam:1-amd64"
    assert content["cam"]["properties.desired"] == {"on": "linux/amd64", "model": "best:4"}


def test_a_template_for_one_module_says_what_to_write_instead(tmp_path: Path) -> None:
    made = project(tmp_path, template='{"modulesContent": {"m": {"properties.desired": {"i": {{ image }}}}}}')
    with pytest.raises(InputError, match="uses 'image', and the project has several modules") as caught:
        rendered(made)
    assert "modules.camera.image" in caught.value.fix


def test_some_modules_alone_are_rendered(tmp_path: Path) -> None:
    content = rendered(project(tmp_path).only(("scorer",)))
    assert list(content["$edgeAgent"]["properties.desired"]["modules"]) == ["scorer"]


@pytest.mark.parametrize("template", ["anomaly-detection", "layered"])
def test_every_built_in_template_has_all_modules(tmp_path: Path, template: str) -> None:
    made = project(tmp_path, TWO.replace("manifest:\n", f"manifest:\n  template: {template}\n"))
    agent = str(rendered(made, platform="amd64")["$edgeAgent"])
    assert all(f"{name}'" in agent for name in ("camera", "scorer"))


def test_a_row_of_a_device_chooses_the_platform(tmp_path: Path) -> None:
    project(tmp_path)
    source = source_of(tmp_path)
    names = names_in(source.template)
    assert names is not None and "platform" in names
    found = complete(source.base, {"platform": "arm64", "image": "x"})
    assert (found["platform"], found["modules"]["camera"]["image"]) == ("linux/arm64", "r.io/cam:1-arm64v8")
    with pytest.raises(InputError, match="'arm46' is not a platform"):
        complete(source.base, {"platform": "arm46"})


def test_the_platform_of_the_target_counts_without_another(tmp_path: Path) -> None:
    text = TWO + "target: {device: d, platform: linux/arm64}\n"
    made = project(tmp_path, text)
    assert context_of(made)["platform"] == "linux/arm64"
    assert context_of(made, values={"platform": "amd64"})["platform"] == "linux/amd64"
    assert "platform" not in context_of(project(tmp_path))


def test_values_of_ones_own_called_modules_stay_as_they_are() -> None:
    assert complete(base_of(), {"modules": [1, 2]})["modules"] == [1, 2]


def test_one_module_takes_image_module_and_model_from_the_top() -> None:
    values = {"module": "mine", "env": {"A": 1}, "model": {"version": 7}}
    found = context_of(image="r.io/x:1", values=values)
    (entry,) = found["modules"].values()
    assert (entry["name"], entry["image"], entry["env"], entry["model"]) == (
        "mine",
        "r.io/x:1",
        {"A": 1},
        {"version": 7},
    )
    content = render("single-module", found).content["modulesContent"]
    assert list(content["$edgeAgent"]["properties.desired"]["modules"]) == ["mine"]
