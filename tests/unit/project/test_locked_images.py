"""What the lock file keeps of the images of a manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from manifestgen.project import Project, load
from manifestgen.project.lock import Lock, LockedImage, LockFile, read, read_file, record, write

SCORER = "acme.azurecr.io/scorer:1"
OLD = LockedImage(digest="sha256:" + "a" * 64, platforms=("linux/amd64",))
NEW = LockedImage(digest="sha256:" + "b" * 64, platforms=("linux/amd64", "linux/arm64"))

BUILT = Lock(
    builder="package",
    image="acme.azurecr.io/model:1",
    digest="sha256:" + "c" * 64,
    inputs="0" * 64,
    built_at="2026-11-22T10:00:00Z",
    manifestgen="1.0",
)


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Project]:
    def make(image: str) -> Project:
        (tmp_path / "manifestgen.yaml").write_text(f"version: 1\n{image}\n")
        return load(tmp_path)

    return make


READY_MADE = f"image: {{builder: none, reference: {SCORER}}}"
BUILDING = "model: {name: m}\nimage: {name: model, entry_script: score.py, conda_file: env.yml}"


def test_a_project_without_a_build_gets_a_lock_file(project: Callable[[str], Project]) -> None:
    ready_made = project(READY_MADE)
    record(ready_made, {SCORER: OLD})
    locked = read_file(ready_made)
    assert locked == LockFile(images={SCORER: OLD})
    assert locked.digests == {SCORER: OLD.digest}


def test_the_last_manifests_images_take_the_place_of_the_previous(project: Callable[[str], Project]) -> None:
    ready_made = project(READY_MADE)
    record(ready_made, {SCORER: OLD, "acme.azurecr.io/gone:1": OLD})
    record(ready_made, {SCORER: NEW})
    assert read_file(ready_made).digests == {SCORER: NEW.digest}


def test_what_a_build_made_stays(project: Callable[[str], Project]) -> None:
    building = project(BUILDING)
    write(building, BUILT)
    record(building, {SCORER: OLD})
    lock = read(building)
    assert lock is not None
    assert (lock.image, lock.inputs, lock.built_at) == (BUILT.image, BUILT.inputs, BUILT.built_at)
    assert read_file(building).digests == {BUILT.image: BUILT.digest, SCORER: OLD.digest}


def test_what_is_asked_last_wins_over_what_a_build_was_told(project: Callable[[str], Project]) -> None:
    building = project(BUILDING)
    write(building, BUILT)
    record(building, {BUILT.image: NEW})
    assert read_file(building).digests == {BUILT.image: NEW.digest}


def test_a_project_that_has_not_built_yet_gets_no_lock_file(project: Callable[[str], Project]) -> None:
    building = project(BUILDING)
    record(building, {SCORER: OLD})
    assert read(building) is None
    assert read_file(building) == LockFile()


def test_nothing_is_written_where_nothing_changed(project: Callable[[str], Project]) -> None:
    ready_made = project(READY_MADE)
    record(ready_made, {SCORER: OLD})
    path = ready_made.root / "manifestgen.lock.json"
    path.chmod(0o444)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    record(ready_made, {SCORER: OLD})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
