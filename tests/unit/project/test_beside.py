from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.project.beside import project_beside, project_here
from manifestgen.project.load import Project, load


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "manifestgen.yaml").write_text("version: 1\n")
    return load(tmp_path)


def test_the_one_in_the_folder(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    found = project_here()
    assert found is not None and found.path.absolute() == project.path.absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert project_here() is None


def test_the_one_beside_a_file_wins_over_the_one_here(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifestgen.yaml").write_text("version: 1\n")
    monkeypatch.chdir(other)
    beside, here, stdin = (project_beside(Path(name)) for name in (f"{project.root}/x.json", "/x.json", "-"))
    assert beside == project
    assert here is not None and here.root == other
    assert stdin is not None and stdin.root == other
