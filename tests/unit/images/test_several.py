"""The images of several modules: built at the same time, each in the one lock file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from fakes.services import FakeServices

from manifestgen.errors import FoundError, InputError, Interrupted
from manifestgen.images.build import Reporter
from manifestgen.images.several import Build, prepare_each
from manifestgen.project import Project, load
from manifestgen.project.lock import read, read_file
from manifestgen.target import Patience

QUICK = Patience(timeout=5.0, first=0.0, longest=0.0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    text = "version: 1\nmodules:\n"
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM scratch\nLABEL of={name}\n")
        image = f"{{builder: local, name: {name}, registry: fake.azurecr.io, dockerfile: {name}/Dockerfile}}"
        text += f"  {name}: {{image: {image}}}\n"
    text += "  other: {image: {builder: none, reference: 'fake.azurecr.io/other:1'}}\n"
    (tmp_path / "manifestgen.yaml").write_text(text)
    return load(tmp_path)


def built(project: Project) -> list[Project]:
    return [one for one in project.each() if one.builds]


def test_each_image_is_built_once_and_stands_in_the_lock_file(project: Project) -> None:
    services, steps = FakeServices(), list[str]()
    build = Build(patience=QUICK, report=Reporter(steps.append))
    found = prepare_each(built(project), services, build)
    assert list(found) == ["one", "two", "three"]
    assert sorted(request.name for request in services.builds.started) == ["one", "three", "two"]
    assert {request.model for request in services.builds.started} == {None}
    locked = read_file(project).modules
    assert {name: lock.image for name, lock in locked.items()} == {name: one.lock.image for name, one in found.items()}
    assert all(lock.image.startswith(f"fake.azurecr.io/{name}:") for name, lock in locked.items())
    assert steps[0] == "building or reusing the images of one, two, three, up to 4 at a time"
    assert all(step.partition(":")[0] in locked for step in steps[1:])
    again = prepare_each(built(project), services, build)
    assert all(one.reused for one in again.values()) and len(services.builds.started) == 3


def test_a_changed_folder_builds_only_its_module_again(project: Project) -> None:
    services = FakeServices()
    prepare_each(built(project), services, Build(patience=QUICK))
    (project.root / "two" / "data").write_text("new")
    found = prepare_each(built(project), services, Build(patience=QUICK))
    assert [name for name, one in found.items() if not one.reused] == ["two"]


def test_what_is_tried_first_is_tried_once_and_stops_all(project: Project) -> None:
    services, calls = FakeServices(), list[str]()

    def refuse() -> None:
        calls.append("tried")
        raise InputError("the template is wrong", fix="correct it")

    with pytest.raises(InputError, match="the template is wrong"):
        prepare_each(built(project), services, Build(first=refuse, patience=QUICK))
    assert (calls, services.builds.started) == (["tried"], [])


def test_tests_take_turns_and_one_that_fails_stops_only_its_own_module(project: Project) -> None:
    services, at_once, running = FakeServices(), list[int](), list[str]()

    def test(one: Project) -> None:
        running.append(one.module.name)
        at_once.append(len(running))
        running.pop()
        if one.module.name == "two":
            raise FoundError("init() fails", where="two", fix="correct it")

    with pytest.raises(FoundError, match="init"):
        prepare_each(built(project), services, Build(before_build=test, patience=QUICK))
    assert at_once == [1, 1, 1]
    assert sorted(read_file(project).modules) == ["one", "three"]


def test_ctrl_c_ends_or_leaves_every_build(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    services, begun = FakeServices(), threading.Barrier(4, timeout=5)

    def wait(futures: object) -> None:
        monkeypatch.undo()
        begun.wait()
        raise KeyboardInterrupt

    def state(now: object, seconds: float) -> None:
        begun.wait()

    monkeypatch.setattr("manifestgen.images.several.wait", wait)
    patience = Patience(timeout=5.0, first=5.0, longest=5.0)
    with pytest.raises(Interrupted) as caught:
        prepare_each(built(project), services, Build(patience=patience, report=Reporter(state=state)))
    assert "interrupted" in caught.value.what and "same command again" in caught.value.fix
    assert read_file(project).modules == {}


def test_a_lock_file_of_one_module_is_taken_over_by_the_module_that_has_its_image(project: Project) -> None:
    services = FakeServices()
    prepare_each(built(project), services, Build(patience=QUICK))
    (path,) = project.root.glob("*.lock.json")
    data = json.loads(path.read_text())
    previous = {"version": 1, "images": {"x:1": {"digest": "sha256:00"}}, **data["modules"]["two"]}
    path.write_text(json.dumps(previous))
    one, two, _ = built(project)
    lock = read(two)
    assert read(one) is None and lock is not None and lock.image == previous["image"]
    assert set(read_file(project).images) == {"x:1"}
    prepare_each([one], services, Build(patience=QUICK))
    assert read(two) == lock and read(one) is not None
