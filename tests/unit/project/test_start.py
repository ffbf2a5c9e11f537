from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import pytest

from manifestgen.credentials.logins import placeholders
from manifestgen.errors import InputError
from manifestgen.project import load
from manifestgen.project.builders import BUILDERS
from manifestgen.project.score import check_conda_file, check_inputs
from manifestgen.project.start import start
from manifestgen.render import builtin_names, render_project

SAMPLES = Path(__file__).parents[3] / "samples"
IMAGE = "acme.azurecr.io/new:1"


def names(paths: tuple[Path, ...]) -> set[str]:
    return {path.name for path in paths}


@pytest.mark.parametrize("template", builtin_names())
def test_a_new_project_renders_once_it_has_an_image(tmp_path: Path, template: str) -> None:
    started = start(tmp_path / "new", template)
    assert names(started.files) == {
        *("manifestgen.yaml", "score.py", "model.json", "requirements.txt", "sample.json", ".gitignore"),
    }
    project = load(tmp_path / "new")
    check_inputs(project)
    rendered = render_project(project, placeholders(), image=IMAGE)
    system = {module.name for module in rendered.manifest.modules() if module.system}
    assert system == (set() if template == "layered" else {"edgeAgent", "edgeHub"})
    target = project.target
    assert target is not None and (target.deployment is not None) == (template == "layered")


def test_no_image_of_others_stands_in_for_the_models(tmp_path: Path) -> None:
    start(tmp_path / "new", "single-module")
    image = load(tmp_path / "new").image
    assert image is not None and image.builds and image.reference is None
    assert (image.builder, image.name) == ("acr", "new")


@pytest.mark.parametrize("builder", list(BUILDERS))
def test_a_builder_can_be_chosen(tmp_path: Path, builder: str) -> None:
    started = start(tmp_path, "single-module", builder)
    project = load(tmp_path)
    assert project.image is not None and project.image.builder == builder
    from_context = BUILDERS[builder].context
    assert ("requirements.txt" in names(started.files)) == from_context
    assert ("myenv.yml" in names(started.files)) != from_context
    assert (project.workspace is None) == from_context
    if not from_context:
        check_conda_file(tmp_path / "myenv.yml")


def test_a_workspace_that_is_there_builds_the_image(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    start(tmp_path, "single-module")
    assert "builder: package" in (tmp_path / "manifestgen.yaml").read_text()


def test_a_pickle_that_is_there_becomes_the_model_with_its_version_of_scikit_learn(tmp_path: Path) -> None:
    content = (SAMPLES / "anomaly-detection" / "model.pkl").read_bytes()
    (tmp_path / "best.pkl").write_bytes(content)
    started = start(tmp_path, "anomaly-detection")
    assert names(started.kept) == {"best.pkl"}
    assert "scikit-learn==1.7.2" in (tmp_path / "requirements.txt").read_text()
    assert '"best.pkl"' in (tmp_path / "score.py").read_text()
    assert "machine" in json.loads((tmp_path / "sample.json").read_text())
    model = load(tmp_path).model
    assert model is not None and (model.name, model.path) == ("best", tmp_path / "best.pkl")


@pytest.mark.parametrize(("features", "protocol"), [(3, 4), (3, 2), (300, 4)])
def test_a_sample_has_as_many_features_as_the_pickle_says(tmp_path: Path, features: int, protocol: int) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"n_features_in_": features}, protocol=protocol))
    start(tmp_path, "single-module")
    assert len(json.loads((tmp_path / "sample.json").read_text())["data"][0]) == features


def test_joblib_is_loaded_with_joblib(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"\x80\x04.")
    start(tmp_path, "single-module")
    text = (tmp_path / "score.py").read_text()
    assert "joblib.load(path)" in text


def test_an_onnx_model_that_is_there_becomes_the_model_with_its_shape(tmp_path: Path) -> None:
    (tmp_path / "digits.onnx").write_bytes((SAMPLES / "onnx-vision" / "digits.onnx").read_bytes())
    start(tmp_path, "single-module")
    data = json.loads((tmp_path / "sample.json").read_text())["data"]
    assert (len(data), len(data[0]), len(data[0][0])) == (1, 8, 8)
    assert "onnxruntime" in (tmp_path / "requirements.txt").read_text()


def test_what_is_not_an_onnx_model_is_taken_as_it_is(tmp_path: Path) -> None:
    for content in (b"", b"text", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"):
        folder = tmp_path / content.hex()[:8].ljust(1, "e")
        folder.mkdir()
        (folder / "model.onnx").write_bytes(content)
        start(folder, "single-module")
        assert json.loads((folder / "sample.json").read_text()) == {"data": [[0.5, 0.5]]}


def test_a_script_that_is_there_stays_and_names_its_packages(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("import json, cv2, helper\nfrom sklearn import tree\n")
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    started = start(tmp_path, "single-module")
    assert names(started.kept) == {"score.py", "model.pkl"}
    assert not started.sample
    lines = (tmp_path / "requirements.txt").read_text().splitlines()[1:]
    assert lines == ["opencv-python-headless", "scikit-learn"]


def test_a_list_of_packages_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "myenv.yml").write_text("dependencies: [numpy]\n")
    started = start(tmp_path, "single-module")
    image = load(tmp_path).image
    assert image is not None and image.conda_file == tmp_path / "myenv.yml"
    assert "requirements.txt" not in names(started.files)


def test_a_model_elsewhere_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    start(tmp_path / "new", "single-module", model=tmp_path / "model.pkl")
    model = load(tmp_path / "new").model
    assert model is not None and model.path is not None and model.path.resolve() == (tmp_path / "model.pkl").resolve()
    with pytest.raises(InputError, match="model not found"):
        start(tmp_path / "newer", "single-module", model=tmp_path / "missing.pkl")


def test_several_models_and_those_of_another_kind_need_a_word(tmp_path: Path) -> None:
    for name in ("a.pkl", "b.onnx"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"several models: a\.pkl, b\.onnx"):
        start(tmp_path, "single-module")
    (tmp_path / "net.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"no entry script can be written for a model such as net\.pt"):
        start(tmp_path, "single-module", model=tmp_path / "net.pt")
    assert not (tmp_path / "manifestgen.yaml").exists()


@pytest.mark.parametrize("name", ["manifestgen.yaml", "model.json"])
def test_nothing_is_overwritten_and_nothing_written_then(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"{name} would be overwritten"):
        start(tmp_path, "single-module")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_gitignore_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    assert ".gitignore" not in names(start(tmp_path, "single-module").files)
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not create the folder"):
        start(tmp_path / "file" / "sub", "single-module")


def vscode(image: str = "${MODULES.Scorer}", text: str = "x") -> str:
    module = {"type": "docker", "settings": {"image": image, "createOptions": {}}, "env": {"A": {"value": text}}}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {"registryCredentials": {"acme": {"username": "$USER"}}}},
        "modules": {"Scorer": module, "sensor": {"settings": {"image": "mcr.microsoft.com/sensor:1"}}},
    }
    return json.dumps({"$schema-template": "4.0.0", "modulesContent": {"$edgeAgent": {"properties.desired": agent}}})


def test_a_deployment_template_of_vs_code_that_is_there_becomes_the_template(tmp_path: Path) -> None:
    (tmp_path / "deployment.template.json").write_text(vscode())
    started = start(tmp_path)
    assert names(started.kept) == {"deployment.template.json"}
    content = render_project(load(tmp_path), placeholders(), image=IMAGE).manifest.content
    desired = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    assert desired["modules"]["Scorer"]["settings"]["image"] == IMAGE
    assert desired["modules"]["sensor"]["settings"]["image"] == "mcr.microsoft.com/sensor:1"
    login = desired["runtime"]["settings"]["registryCredentials"]["acme"]
    assert login["username"] == "${ACR_USERNAME_ACME}"
    section = load(tmp_path).manifest
    assert section is not None and section.module == "Scorer"
    assert "deployment.json.j2" not in names(start(tmp_path / "other").files)


@pytest.mark.parametrize("name", ["2024.pkl", "yes: no.pkl", "a #b.pkl", 'the "best".onnx', "null.joblib", "~.pkl"])
def test_a_model_with_a_name_that_yaml_or_python_would_misread_is_the_model(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "2024"
    folder.mkdir()
    (folder / name).write_bytes(b"\x80\x04.")
    start(folder)
    project = load(folder)
    assert project.model is not None and (project.model.name, project.model.path) == (Path(name).stem, folder / name)
    assert project.image is not None and project.image.name == "2024"
    script = ast.parse((folder / "score.py").read_text())
    assert name in [node.value for node in ast.walk(script) if isinstance(node, ast.Constant)]


def test_braces_in_a_deployment_template_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "deployment.template.json").write_text(vscode(text="{{ x }} {% y %}"))
    start(tmp_path)
    content = render_project(load(tmp_path), placeholders(), image=IMAGE).manifest.content
    module = content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["Scorer"]
    assert module["env"] == {"A": {"value": "{{ x }} {% y %}"}}


def test_a_deployment_template_without_a_runtime_is_taken_as_it_is(tmp_path: Path) -> None:
    data = json.loads(vscode())
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"] = None
    (tmp_path / "deployment.template.json").write_text(json.dumps(data))
    start(tmp_path)
    assert '"runtime": null' in (tmp_path / "deployment.json.j2").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "objects or lists are nested too deeply"),
        ("{", "not JSON: the text ends before the object"),
        (
            '{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"a": 1}}}}}',
            "not a deployment template",
        ),
        (vscode(image="acme.azurecr.io/x:1"), "0 modules have an image of"),
    ],
)
def test_a_deployment_template_that_cannot_be_used_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "deployment.template.json").write_text(text)
    with pytest.raises(InputError) as caught:
        start(tmp_path)
    assert words in caught.value.what
    assert not (tmp_path / "manifestgen.yaml").exists()
    start(tmp_path, "single-module")


def test_the_registry_can_be_given(tmp_path: Path) -> None:
    start(tmp_path, registry="contoso.azurecr.io")
    image = load(tmp_path).image
    assert image is not None and image.registry == "contoso.azurecr.io"


@pytest.mark.parametrize(
    ("registry", "builder", "words"),
    [
        ("https://acme.azurecr.io", "acr", "is not the host of a registry"),
        ("acme.azurecr.io/team", "local", "is not the host of a registry"),
        ("acme.azurecr.io", "package", "builder 'package' uses the registry of the Azure ML workspace"),
    ],
)
def test_a_registry_that_cannot_be_used_is_said_and_nothing_written(
    tmp_path: Path, registry: str, builder: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        start(tmp_path, builder=builder, registry=registry)
    assert not list(tmp_path.iterdir())
