from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from manifestgen.errors import InputError
from manifestgen.project import load, lock
from manifestgen.project.inputs import inputs_hash, sha256_of
from manifestgen.project.lock import Lock, LockedModel

PROJECT = """\
version: 1
model: {name: m, path: model.pkl, tags: {a: b}}
image: {name: n, entry_script: score.py, conda_file: env.yml, tags: {c: d}, description: text}
"""


# Of the files below, with a registered model's version 1, when versions were numbers.
REGISTERED_INPUTS = "d8476d3394dead042d152a3c6946f1565ddc086a02895df10decdd436e194eb6"


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "score.py").write_text("x")
    (tmp_path / "env.yml").write_text("y")
    (tmp_path / "model.pkl").write_text("z")
    return tmp_path


LOCK = Lock(
    builder="package",
    image="acme.azurecr.io/n:1",
    inputs="ab",
    built_at="2026-11-22T10:00:00Z",
    manifestgen="1.0",
    model=LockedModel(name="m", version="3", sha256="cd"),
)


def test_a_lock_is_read_as_it_was_written(folder: Path) -> None:
    project = load(folder)
    assert lock.read(project) is None
    lock.write(project, LOCK)
    assert lock.read(project) == LOCK


def test_equal_locks_are_equal_bytes_with_sorted_keys(folder: Path) -> None:
    project = load(folder)
    lock.write(project, LOCK)
    first = lock.path_of(project).read_bytes()
    lock.write(project, LOCK)
    assert lock.path_of(project).read_bytes() == first
    assert first.endswith(b"}\n")
    assert list(json.loads(first)) == sorted(json.loads(first))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"image": 3}', "[" * 100_000, '{"builder": "x"}'])
def test_a_damaged_lock_file_says_what_to_do(folder: Path, text: str) -> None:
    project = load(folder)
    lock.path_of(project).write_text(text)
    with pytest.raises(InputError, match="the lock file is damaged") as caught:
        lock.read(project)
    assert "manifestgen image" in caught.value.fix


@pytest.mark.parametrize(("number", "version"), [(3, "3"), (0, ""), ("v3", "v3")])
def test_a_lock_file_with_a_number_for_the_models_version_is_read(
    folder: Path, number: int | str, version: str
) -> None:
    project = load(folder)
    data = msgspec.to_builtins(LOCK)
    data["model"]["version"] = number
    lock.path_of(project).write_text(json.dumps(data))
    read = lock.read(project)
    assert read is not None and read.model is not None and read.model.version == version


def test_a_version_that_was_a_number_gives_the_same_hash(folder: Path) -> None:
    project = load(folder)
    assert inputs_hash(project, LockedModel(name="m", version="1")) == REGISTERED_INPUTS
    assert inputs_hash(project, LockedModel(name="m", version="one")) != REGISTERED_INPUTS


def test_a_lock_file_of_another_format_is_refused(folder: Path) -> None:
    project = load(folder)
    lock.path_of(project).write_text('{"version": 3}')
    with pytest.raises(InputError, match="format 3"):
        lock.read(project)


def test_the_hash_of_a_file_is_its_sha256(folder: Path) -> None:
    assert sha256_of(folder / "model.pkl") == hashlib.sha256(b"z").hexdigest()


def test_the_hash_of_a_folder_covers_names_and_contents(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    (model / "a").write_text("1")
    (model / "sub" / "b").write_text("2")
    first = sha256_of(model)
    assert sha256_of(model) == first
    (model / "sub" / "b").rename(model / "sub" / "c")
    renamed = sha256_of(model)
    (model / "a").write_text("3")
    assert len({first, renamed, sha256_of(model)}) == 3


def test_what_cannot_be_hashed_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="the folder is empty"):
        sha256_of(tmp_path / "empty")
    with pytest.raises(InputError, match="not found"):
        sha256_of(tmp_path / "missing")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("score.py", "x", "x2"),
        ("env.yml", "y", "y2"),
        ("manifestgen.yaml", "name: n", "name: n2"),
        ("manifestgen.yaml", "c: d", "c: e"),
        ("manifestgen.yaml", "a: b", "a: c"),
        ("manifestgen.yaml", "text", "other"),
        ("manifestgen.yaml", "image: {", "image: {builder: container-image, "),
    ],
)
def test_every_input_counts(folder: Path, file: str, old: str, new: str) -> None:
    model = LockedModel(name="m", sha256="cd")
    before = inputs_hash(load(folder), model)
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    assert inputs_hash(load(folder), model) != before


def test_a_registered_model_counts_by_version_and_an_own_one_by_content(folder: Path) -> None:
    project = load(folder)
    assert inputs_hash(project, LockedModel(name="m", version="1")) != inputs_hash(
        project, LockedModel(name="m", version="2")
    )
    assert inputs_hash(project, LockedModel(name="m", version="1", sha256="a")) == inputs_hash(
        project, LockedModel(name="m", version="2", sha256="a")
    )
    assert inputs_hash(project, LockedModel(name="m", sha256="a")) != inputs_hash(
        project, LockedModel(name="m", sha256="b")
    )


def test_what_is_not_an_input_does_not_count(folder: Path) -> None:
    model = LockedModel(name="m", sha256="cd")
    before = inputs_hash(load(folder), model)
    with (folder / "manifestgen.yaml").open("a") as stream:
        stream.write("target: {device: edge-01}\n")
    assert inputs_hash(load(folder), model) == before


def test_a_project_that_builds_nothing_has_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "manifestgen.yaml").write_text("version: 1\n")
    with pytest.raises(ValueError, match="builds no image"):
        inputs_hash(load(tmp_path), LockedModel(name="m"))
