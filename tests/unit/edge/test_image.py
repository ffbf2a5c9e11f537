"""From an image's configuration to a process on this machine."""

from __future__ import annotations

from pathlib import Path

from manifestgen.context.dockerfile import ENVIRONMENT
from manifestgen.edge.files.image import ImageConfig, program

OWN = ImageConfig.of(
    {
        "Env": [*(f"{name}={value}" for name, value in ENVIRONMENT.items()), "PATH=/usr/bin", "LEVEL=from image"],
        "Entrypoint": ["python", "-m", "manifestgen_runner"],
        "Labels": {"org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim"},
    }
)
AZURE_ML = ImageConfig.of({"Env": ["AZUREML_APP_ROOT=/var/azureml-app", "AZUREML_ENTRY_SCRIPT=score.py"]})


def test_the_layouts_are_recognised_by_what_the_image_itself_says() -> None:
    assert (OWN.own, OWN.can_run, OWN.python) == (True, True, "3.12")
    assert (AZURE_ML.azure_ml, AZURE_ML.can_run, AZURE_ML.python) == (True, True, None)
    other = ImageConfig.of({"Env": ["PYTHON_VERSION=3.11.9"], "Cmd": ["python", "app.py"]})
    assert (other.can_run, other.python) == (False, "3.11")
    assert not ImageConfig.of({"Env": None, "Labels": 3}).can_run


def test_a_program_has_the_image_s_paths_moved_and_the_manifest_s_variables_on_top(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    found = program(root, OWN, Path("/venv/bin/python"), {"LEVEL": "from manifest"}, scratch)
    assert found.command == ("/venv/bin/python", "-m", "manifestgen_runner")
    assert found.folder == root / "opt/manifestgen/app"
    assert found.environ["AZUREML_MODEL_DIR"] == f"{root}/opt/manifestgen/model"
    assert found.environ["PYTHONPATH"] == f"{root}/opt/manifestgen/runner"
    assert (found.environ["LEVEL"], found.environ["HOME"]) == ("from manifest", str(scratch))
    assert found.environ["PATH"] != "/usr/bin"


def test_in_an_image_of_azure_ml_our_runner_takes_the_place_of_its_server(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "var/azureml-app/azureml-models/best/3").mkdir(parents=True)
    found = program(root, AZURE_ML, Path("python"), {}, tmp_path)
    assert found.environ["AML_APP_ROOT"] == f"{root}/var/azureml-app"
    assert found.environ["AZUREML_MODEL_DIR"] == f"{root}/var/azureml-app/azureml-models/best/3"
    assert (found.environ["RUNNER_MODEL_NAME"], found.environ["RUNNER_MODEL_VERSION"]) == ("best", "3")
    assert (Path(found.environ["PYTHONPATH"]) / "manifestgen_runner/__main__.py").is_file()
    (root / "var/azureml-app/azureml-models/other/1").mkdir(parents=True)
    several = program(root, AZURE_ML, Path("python"), {}, tmp_path)
    assert several.environ["AZUREML_MODEL_DIR"] == f"{root}/var/azureml-app/azureml-models"
