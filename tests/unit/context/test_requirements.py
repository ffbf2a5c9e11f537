from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.context.requirements import RUNNER_NEEDS, Requirements, read_requirements
from manifestgen.errors import InputError
from manifestgen.project.sections import Image

NOTHING: frozenset[str] = frozenset()


def of_conda(folder: Path, text: str, imported: frozenset[str] = NOTHING) -> Requirements:
    (folder / "env.yml").write_text(text)
    return read_requirements(Image(conda_file=folder / "env.yml"), None, imported)


def of_text(folder: Path, text: str, imported: frozenset[str] = NOTHING) -> Requirements:
    (folder / "requirements.txt").write_text(text)
    return read_requirements(Image(requirements=folder / "requirements.txt"), None, imported)


@pytest.mark.parametrize(
    ("conda", "pip"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.4", "numpy==1.26.4"),
        ("numpy=1.26.4=py311h_0", "numpy==1.26.4.*"),
        ("conda-forge::numpy>=1.26,<2", "numpy>=1.26,<2"),
        ("numpy >=1.26, <2", "numpy>=1.26,<2"),
        ("Scikit-Learn=1.7", "scikit-learn==1.7.*"),
    ],
)
def test_conda_packages_are_taken_from_pypi_with_the_same_version(tmp_path: Path, conda: str, pip: str) -> None:
    found = of_conda(tmp_path, f"dependencies:\n- python=3.11\n- pip\n- '{conda}'\n")
    assert found.lines == (pip, RUNNER_NEEDS)
    assert found.python == "3.11"
    assert found.notes == (f"taken from PyPI instead of conda: {pip.split('=')[0].split('>')[0]}",)


@pytest.mark.parametrize(
    ("conda", "what", "fix"),
    [
        ("pytorch=2.1", "conda package 'pytorch' is called 'torch' on PyPI", "list torch under pip"),
        ("cudatoolkit", "'cudatoolkit' is a conda package only", "remove it"),
        ("numpy=1.2|1.3", "names alternatives", "name one version"),
        ("!numpy", "is not a conda package", "NAME=VERSION"),
    ],
)
def test_a_conda_package_that_pypi_has_not_is_named_with_its_line(
    tmp_path: Path, conda: str, what: str, fix: str
) -> None:
    with pytest.raises(InputError) as caught:
        of_conda(tmp_path, f"dependencies:\n- python=3.11\n- '{conda}'\n")
    assert what in caught.value.what and fix in caught.value.fix
    assert caught.value.where.startswith(f"{tmp_path / 'env.yml'}:3")


def test_the_servers_that_the_runner_replaces_are_left_out(tmp_path: Path) -> None:
    text = "dependencies:\n- pip:\n  - azureml-defaults==1.61\n  - numpy\n"
    found = of_conda(tmp_path, text)
    assert found.lines == ("numpy", RUNNER_NEEDS)
    assert found.notes == ("left out azureml-defaults: the runner takes the place of its server",)
    assert of_conda(tmp_path, text, frozenset({"azureml"})).lines == ("azureml-defaults==1.61", "numpy", RUNNER_NEEDS)
    listed = of_text(tmp_path, "numpy  # arrays\n# azureml\nAzureML_Inference-Server-HTTP>=1\n")
    assert (listed.lines, listed.include) == (("numpy", RUNNER_NEEDS), None)
    assert listed.notes == ("left out azureml-inference-server-http: the runner takes the place of its server",)


def test_uv_reads_requirements_and_pyproject_itself(tmp_path: Path) -> None:
    listed = of_text(tmp_path, "numpy\n")
    assert (listed.lines, listed.include) == ((RUNNER_NEEDS,), tmp_path / "requirements.txt")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    found = read_requirements(Image(requirements=tmp_path / "pyproject.toml"), None, NOTHING)
    assert found.include == tmp_path / "pyproject.toml"


@pytest.mark.parametrize("line", ["-e .", "--editable src", "./local.whl", "/opt/x.whl", "file:///x.whl"])
def test_what_is_on_this_machine_only_is_rejected(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="on this machine only") as caught:
        of_text(tmp_path, f"numpy\n{line}\n")
    assert caught.value.where == f"{tmp_path / 'requirements.txt'}:2"


@pytest.mark.parametrize("line", ["git+https://github.com/a/b", "b @ git+ssh://git@host/b", "hg+http://h/b"])
def test_what_would_have_to_be_built_is_rejected(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="only wheels are used"):
        of_text(tmp_path, f"{line}\n")


def test_an_mlflow_model_brings_its_requirements_and_python(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "requirements.txt").write_text("mlflow-skinny==2.20\n")
    (tmp_path / "python_env.yaml").write_text("python: 3.11.5\ndependencies: [-r requirements.txt]\n")
    found = read_requirements(Image(entry_script=tmp_path / "score.py"), tmp_path, NOTHING)
    assert (found.file, found.python) == (tmp_path / "requirements.txt", "3.11")


def test_without_any_it_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither requirements nor conda_file") as caught:
        read_requirements(Image(entry_script=tmp_path / "score.py"), tmp_path, NOTHING)
    assert "requirements.txt" in caught.value.fix
    assert read_requirements(Image(dockerfile=tmp_path / "Dockerfile"), None, NOTHING).file is None


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found") as caught:
        read_requirements(Image(requirements=tmp_path / "requirements.txt"), None, NOTHING)
    assert "image.requirements" in caught.value.fix
