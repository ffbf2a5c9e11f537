"""A lock file whose inputs have changed since is said, with the name of what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes.services import FakeServices

from manifestgen.cli import run
from manifestgen.errors import FoundError
from manifestgen.images.build import prepare
from manifestgen.project import Project, load, lock
from manifestgen.project.fit import changed_inputs, check_lock
from manifestgen.target import Patience

TEXT = """\
version: 1
model: {name: scores, path: model.pkl, tags: {a: b}}
image: {name: scorer, entry_script: score.py, conda_file: env.yml, tags: {c: d}}
registry: {credentials: env}
"""
RENDER = ["render", "--secrets", "placeholder"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(TEXT)
    (tmp_path / "model.pkl").write_bytes(b"one")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "env.yml").write_text("dependencies: [python=3.11]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def built(folder: Path) -> Project:
    project = load(folder)
    _prepare(project)
    return project


def _prepare(project: Project, services: FakeServices | None = None, **options: Any) -> FakeServices:
    services = services or FakeServices()
    services.builds.project = project
    prepare(project, services, patience=Patience(sleep=lambda seconds: None), **options)
    return services


def _append(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a") as stream:
            stream.write("# other\n")

    return change


def _replace(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "manifestgen.yaml"
        file.write_text(file.read_text().replace(old, new))

    return change


CHANGES = [
    (_append("score.py"), "score.py"),
    (_append("env.yml"), "env.yml"),
    (_append("model.pkl"), "model.pkl"),
    (lambda folder: (folder / "model.pkl").unlink(), "model.pkl"),
    (lambda folder: (folder / "env.yml").unlink(), "env.yml"),
    (_replace("a: b", "a: c"), "model in manifestgen.yaml"),
    (_replace("c: d", "c: e"), "image.tags in manifestgen.yaml"),
    (_replace("name: scorer", "name: scorer, builder: container-image"), "image.builder in manifestgen.yaml"),
    (_replace("name: scorer", "name: scorer, description: new"), "image.description in manifestgen.yaml"),
]


@pytest.mark.parametrize(("change", "name"), CHANGES)
def test_render_names_what_changed_since_the_image_was_built(
    built: Project, change: Callable[[Path], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = lock.read(built)
    assert locked is not None
    change(built.root)
    assert run(RENDER) == 0
    words = f"{name} changed since image {locked.image} was built; run 'manifestgen image' to build it again"
    assert capsys.readouterr().err.splitlines() == [f"warning: {words}"]


@pytest.mark.parametrize(("change", "name"), CHANGES)
def test_with_locked_it_is_exit_code_one_and_nothing_is_written(
    built: Project, change: Callable[[Path], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(built.root)
    assert run([*RENDER, "--locked"]) == 1
    error, fix = capsys.readouterr().err.splitlines()
    assert f"manifestgen.lock.json: {name} changed since image" in error
    assert fix == "  fix: run 'manifestgen image', and commit the lock file that it writes"
    assert not (built.root / "deployment.json").exists()


def test_a_lock_file_that_fits_is_used_in_silence(built: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RENDER, "--locked"]) == 0
    assert capsys.readouterr().err == ""


def test_two_changes_are_both_named(built: Project) -> None:
    _append("score.py")(built.root)
    _append("env.yml")(built.root)
    said: list[str] = []
    check_lock(built, warn=said.append)
    assert said[0].startswith("score.py and env.yml changed since")


def test_locked_without_a_lock_file_is_exit_code_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RENDER, "--locked"]) == 1
    assert "there is no lock file" in capsys.readouterr().err


def test_locked_with_the_lock_file_of_something_else_is_exit_code_one(
    built: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    _replace("name: scorer", "name: other")(built.root)
    assert run([*RENDER, "--locked"]) == 1
    assert "the lock file is for image 'scorer'" in capsys.readouterr().err


def test_a_given_image_needs_no_lock_file(folder: Path) -> None:
    assert run([*RENDER, "--locked", "--image", "acme.azurecr.io/scorer:1"]) == 0


def test_a_registered_model_counts_as_it_was_when_the_image_was_built(built: Project, folder: Path) -> None:
    file = folder / "manifestgen.yaml"
    file.write_text(file.read_text().replace("path: model.pkl", "version: 1"))
    services = FakeServices()
    _prepare(load(folder.joinpath("manifestgen.yaml")), _registered(services, built))
    locked = lock.read(load(folder))
    assert locked is not None
    assert changed_inputs(load(folder), locked) == ()
    file.write_text(file.read_text().replace("version: 1, tags", "version: 2, tags"))
    assert changed_inputs(load(folder), locked) == ("model in manifestgen.yaml",)


def _registered(services: FakeServices, built: Project) -> FakeServices:
    lock.path_of(built).unlink()
    _prepare(built, services)
    return services


def test_the_lock_file_of_an_older_manifestgen_says_that_something_changed(built: Project) -> None:
    locked = lock.read(built)
    assert locked is not None
    older = msgspec.structs.replace(locked, parts={})
    assert changed_inputs(built, older) == ()
    _append("score.py")(built.root)
    assert changed_inputs(built, older) == ("an input",)


class TestBuilding:
    def test_locked_uses_the_image_that_is_there(self, built: Project) -> None:
        locked = lock.read(built)
        services = FakeServices()
        assert locked is not None
        services.push(locked.image)
        assert _prepare(built, services, locked=True).builds.started == []

    def test_locked_registers_and_builds_nothing_after_a_change(self, built: Project) -> None:
        _append("score.py")(built.root)
        services = FakeServices()
        with pytest.raises(FoundError, match=r"score\.py changed since"):
            _prepare(built, services, locked=True)
        assert (services.builds.started, services.models.list()) == ([], [])

    def test_locked_builds_nothing_where_the_registry_has_lost_the_image(self, built: Project) -> None:
        services = FakeServices()
        with pytest.raises(FoundError, match="is no longer in its registry"):
            _prepare(built, services, locked=True)
        assert (services.builds.started, services.models.list()) == ([], [])

    @pytest.mark.parametrize("command", [["image"], ["deploy", "--device", "edge-01"]])
    def test_locked_and_rebuild_exclude_each_other(
        self, built: Project, command: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([*command, "--locked", "--rebuild"]) == 2
        assert "--locked and --rebuild cannot be used together" in capsys.readouterr().err
