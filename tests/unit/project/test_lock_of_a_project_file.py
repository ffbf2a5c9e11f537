"""Two project files in one folder have two lock files, and a lock file of something else is rejected."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from manifestgen.cli import run
from manifestgen.errors import InputError
from manifestgen.project import Project, load, lock
from manifestgen.project.lock import Lock, LockedModel

WORKSPACE = "{subscription_id: s, resource_group: g, name: NAME}"
TEXT = f"""\
version: 1
workspace: {WORKSPACE.replace("NAME", "lab")}
model: {{name: scores, version: 3}}
image: {{name: scorer, entry_script: score.py, conda_file: env.yml}}
registry: {{credentials: env}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "env.yml").write_text("dependencies: [python=3.11]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _project(folder: Path, name: str, text: str = TEXT) -> Project:
    (folder / name).write_text(text)
    return load(folder / name)


def _lock(project: Project, image: str, **changes: object) -> Lock:
    made = Lock(
        builder="package",
        image=image,
        inputs="ab",
        built_at="2026-11-22T10:00:00Z",
        manifestgen="1.0",
        model=LockedModel(name="scores", version="3"),
        workspace="s/g/lab",
    )
    made = msgspec.structs.replace(made, **changes)
    lock.write(project, made)
    return made


def test_a_lock_file_is_named_after_its_project_file(folder: Path) -> None:
    assert lock.path_of(_project(folder, "manifestgen.yaml")).name == "manifestgen.lock.json"
    assert lock.path_of(_project(folder, "prod.yaml")).name == "prod.lock.json"


def test_each_of_two_project_files_renders_its_own_image_into_its_own_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("manifestgen.yaml", "prod.yaml"):
        _lock(_project(folder, name), f"acme.azurecr.io/scorer:{Path(name).stem}")
        assert run(["render", name, "--secrets", "placeholder"]) == 0, capsys.readouterr().err
    for output, tag in (("deployment.json", "manifestgen"), ("deployment.prod.json", "prod")):
        modules = json.loads((folder / output).read_text())["modulesContent"]["$edgeAgent"]["properties.desired"]
        assert modules["modules"]["scorer"]["settings"]["image"] == f"acme.azurecr.io/scorer:{tag}"


def test_a_project_file_does_not_take_the_image_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _lock(_project(folder, "manifestgen.yaml"), "acme.azurecr.io/scorer:dev")
    _project(folder, "prod.yaml")
    assert run(["render", "prod.yaml", "--secrets", "placeholder"]) == 2
    assert "the model image has not been built yet" in capsys.readouterr().err
    assert not (folder / "deployment.prod.json").exists()


@pytest.mark.parametrize(
    ("image", "changes", "words"),
    [
        ("acme.azurecr.io/other:1", {}, "the lock file is for image 'other', but prod.yaml names 'scorer'"),
        (
            "acme.azurecr.io/scorer:1",
            {"model": LockedModel(name="old", version="1")},
            "the lock file is for model 'old', but prod.yaml names 'scores'",
        ),
        (
            "acme.azurecr.io/scorer:1",
            {"workspace": "s/g/plant"},
            "the lock file is for workspace 's/g/plant', but prod.yaml names 's/g/lab'",
        ),
    ],
)
def test_a_lock_file_of_something_else_is_rejected_in_two_lines(
    folder: Path, image: str, changes: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _lock(_project(folder, "prod.yaml"), image, **changes)
    assert run(["render", "prod.yaml", "--secrets", "placeholder"]) == 2
    error, fix = capsys.readouterr().err.splitlines()
    assert error == f"error: {folder / 'prod.lock.json'}: {words}"
    assert fix.startswith("  fix: run 'manifestgen image'")
    assert not (folder / "deployment.prod.json").exists()


def test_an_image_that_is_given_needs_no_lock_file_that_fits(folder: Path) -> None:
    _lock(_project(folder, "prod.yaml"), "acme.azurecr.io/other:1")
    given = "acme.azurecr.io/scorer:2"
    assert run(["render", "prod.yaml", "--secrets", "placeholder", "--image", given]) == 0


def test_a_lock_file_from_before_workspaces_were_written_still_fits(folder: Path) -> None:
    project = _project(folder, "prod.yaml")
    made = _lock(project, "acme.azurecr.io/scorer:1", workspace=None)
    assert lock.read_own(project) == made


def test_a_project_that_began_to_build_does_not_take_the_image_from_before(folder: Path) -> None:
    project = _project(folder, "prod.yaml")
    built = {"builder": "none", "image": "acme.azurecr.io/scorer:1", "inputs": "", "built_at": "", "manifestgen": "0.2"}
    lock.path_of(project).write_text(json.dumps({"version": 1, **built}))
    assert lock.read_own(project) is None


def test_a_lock_file_that_names_nothing_is_damaged(folder: Path) -> None:
    project = _project(folder, "prod.yaml")
    lock.path_of(project).write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        lock.read_own(project)
