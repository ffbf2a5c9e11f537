from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.credentials.logins import placeholders
from manifestgen.errors import InputError
from manifestgen.project import load
from manifestgen.project.builders import BUILDERS
from manifestgen.project.score import check_conda_file, check_entry_script
from manifestgen.project.start import start
from manifestgen.render import builtin_names, render_project


@pytest.mark.parametrize("template", builtin_names())
def test_a_new_project_renders_at_once(tmp_path: Path, template: str) -> None:
    files = start(tmp_path / "new", template)
    assert [path.name for path in files] == ["manifestgen.yaml", "score.py", "myenv.yml", ".gitignore"]
    rendered = render_project(load(tmp_path / "new"), placeholders())
    assert rendered.hosts == ()
    system = {module.name for module in rendered.manifest.modules() if module.system}
    assert system == (set() if template == "layered" else {"edgeAgent", "edgeHub"})
    target = load(tmp_path / "new").target
    assert target is not None and (target.deployment is not None) == (template == "layered")


def test_its_script_and_conda_file_pass_the_checks(tmp_path: Path) -> None:
    start(tmp_path, "single-module")
    check_entry_script(tmp_path / "score.py")
    check_conda_file(tmp_path / "myenv.yml")


def test_it_becomes_one_that_builds_by_the_change_that_its_comment_names(tmp_path: Path) -> None:
    start(tmp_path, "single-module")
    path = tmp_path / "manifestgen.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x.replace("builder: none", "builder: package") for x in lines if "reference:" not in x))
    image = load(tmp_path).image
    assert image is not None
    assert image.builder == "package"


@pytest.mark.parametrize("builder", list(BUILDERS))
def test_a_builder_can_be_chosen(tmp_path: Path, builder: str) -> None:
    files = [path.name for path in start(tmp_path, "single-module", builder)]
    project = load(tmp_path)
    assert project.image is not None and project.image.builder == builder
    assert project.image.reference is None
    from_context = BUILDERS[builder].context
    assert ("requirements.txt" in files) == from_context == ("myenv.yml" not in files)
    assert (project.workspace is None) == from_context


def test_nothing_is_overwritten_and_nothing_written_then(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("mine")
    with pytest.raises(InputError, match=r"score\.py would be overwritten"):
        start(tmp_path, "single-module")
    assert [path.name for path in tmp_path.iterdir()] == ["score.py"]
    assert (tmp_path / "score.py").read_text() == "mine"


def test_a_gitignore_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    files = start(tmp_path, "single-module")
    assert ".gitignore" not in [path.name for path in files]
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not create the folder"):
        start(tmp_path / "file" / "sub", "single-module")
