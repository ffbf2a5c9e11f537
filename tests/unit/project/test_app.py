from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.project.app import app_files, imports_of, runner_files


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(path.suffix or ".py").write_text(text)


def names(folder: Path) -> set[str]:
    return set(app_files(folder / "score.py"))


def test_modules_that_are_imported_are_taken_and_others_are_not(tmp_path: Path) -> None:
    write(tmp_path, score="import json, a\ndef run(d):\n    from b import x\n", a="import c.d\n", b="", c="", unused="")
    assert names(tmp_path) == {"score.py", "a.py", "b.py", "c.py"}


def test_a_package_is_taken_whole_with_its_data(tmp_path: Path) -> None:
    write(tmp_path, score="from features.scaling import scale\n", features__scaling="from . import x\nimport helper\n")
    write(tmp_path, features__sub__deep="", helper="", other__mod="")
    (tmp_path / "features" / "table.csv").write_text("1,2")
    (tmp_path / "features" / "__pycache__").mkdir()
    (tmp_path / "features" / "__pycache__" / "scaling.cpython-311.pyc").write_bytes(b"")
    (tmp_path / "features" / ".hidden").write_text("")
    assert names(tmp_path) == {
        "score.py", "helper.py", "features/scaling.py", "features/sub/deep.py", "features/table.csv",
    }  # fmt: skip


def test_a_folder_without_python_files_is_data_and_not_a_package(tmp_path: Path) -> None:
    write(tmp_path, score="import model\nimport numpy\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"1")
    assert names(tmp_path) == {"score.py"}


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, score="import a\n", a="import b\n", b="import a, score\n")
    assert names(tmp_path) == {"score.py", "a.py", "b.py"}


def test_what_the_runner_serves_as_swagger_is_taken(tmp_path: Path) -> None:
    write(tmp_path, score="")
    (tmp_path / "swagger2.json").write_text("{}")
    assert names(tmp_path) == {"score.py", "swagger2.json"}


def test_the_imports_are_known_by_their_first_names(tmp_path: Path) -> None:
    write(tmp_path, score="import azureml.core, a\nfrom numpy.linalg import norm\n", a="from . import x\n")
    assert imports_of(app_files(tmp_path / "score.py")) == {"azureml", "a", "numpy"}


def test_a_module_that_is_not_python_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, score="import a\n", a="\ndef\n")
    with pytest.raises(InputError, match="not Python") as caught:
        app_files(tmp_path / "score.py")
    assert caught.value.where == f"{tmp_path / 'a.py'}:2"


def test_the_runner_is_a_package_of_its_own_name() -> None:
    assert {"manifestgen_runner/__main__.py", "manifestgen_runner/health.py"} <= set(runner_files())
