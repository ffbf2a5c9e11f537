from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from manifestgen.errors import NotFoundError
from manifestgen.images.local_models import LocalModels
from manifestgen.project.load import load

SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.pkl").write_bytes(b"weights")
    return tmp_path


def models(folder: Path, section: str) -> LocalModels:
    (folder / "manifestgen.yaml").write_text(f"version: 1\nmodel: {section}\n")
    return LocalModels(load(folder))


def test_the_version_is_the_beginning_of_the_hash(folder: Path, tmp_path: Path) -> None:
    (model,) = models(folder, "{path: model.pkl, tags: {a: b}}").list("model")
    assert (model.id, model.sha256, model.tags) == (f"model:{SHA256[:12]}", SHA256, {"a": "b"})


def test_the_version_is_the_given_one(folder: Path) -> None:
    source = models(folder, "{name: best, path: model.pkl, version: 2026.1-rc1}")
    assert source.find("best").id == "best:2026.1-rc1"
    assert source.find("best", "2026.1-rc1").version == "2026.1-rc1"


def test_another_model_or_version_is_not_found(folder: Path) -> None:
    source = models(folder, "{name: best, path: model.pkl}")
    for name, version in (("other", None), ("best", "7")):
        with pytest.raises(NotFoundError, match="there is no model") as caught:
            source.find(name, version)
        assert "model.path" in caught.value.fix and "workspace" in caught.value.fix
    assert source.list("other") == ()


def test_its_files_stay_where_they_are(folder: Path, tmp_path: Path) -> None:
    source = models(folder, "{path: model.pkl}")
    assert source.download(source.find("model"), tmp_path / "elsewhere") == folder / "model.pkl"
    assert not source.registers


def test_without_a_file_there_is_no_model(folder: Path) -> None:
    source = models(folder, "{name: best}")
    with pytest.raises(NotFoundError, match="the project names no workspace"):
        source.find("best")
