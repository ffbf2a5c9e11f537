"""The whole way for a project of several modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.services import FakeServices

from manifestgen.cloud import Credential
from manifestgen.deploy import Deployment, Observer, Options, deploy
from manifestgen.errors import FoundError, InputError
from manifestgen.images.preflight import Pull
from manifestgen.project import load
from manifestgen.project.lock import read_file
from manifestgen.secret import Secret
from manifestgen.target import Patience

DEVICE = "edge-01"
CAMERA = "fake.azurecr.io/camera:2.1"
PROJECT = f"""\
version: 1
modules:
  camera: {{image: {{builder: none, reference: "{CAMERA}"}}}}
  left:
    image: {{builder: local, name: left, registry: fake.azurecr.io, dockerfile: left/Dockerfile}}
  right:
    image: {{builder: local, name: right, registry: fake.azurecr.io, dockerfile: right/Dockerfile}}
registry: {{credentials: env}}
target: {{device: {DEVICE}}}
"""
QUICK: dict[str, Any] = {
    "build_patience": Patience(first=0.0, longest=0.0),
    "patience": None,
    "scoring": None,
}
RUNTIME = [f"mcr.microsoft.com/azureiotedge-{name}:1.6" for name in ("agent", "hub")]


@pytest.fixture
def services() -> FakeServices:
    made = FakeServices(hub=FakeHub(DEVICE))
    made.logins = {"fake.azurecr.io": Credential("fake.azurecr.io", "me", Secret("canary-of-fake"))}
    for image in (*RUNTIME, CAMERA):
        made.push(image, "linux/amd64")
    return made


@pytest.fixture
def deployed(tmp_path: Path, services: FakeServices) -> Callable[..., Deployment]:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM scratch\nLABEL of={name}\n")
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)

    def run(observer: Observer | None = None, **options: Any) -> Deployment:
        given = Options(**{**QUICK, "state": tmp_path / "state", **options})
        return deploy(load(tmp_path), services, options=given, observer=observer)

    return run


def on_device(services: FakeServices) -> dict[str, str]:
    _, content = services.hub.applied[-1]
    modules = content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    return {name: module["settings"]["image"] for name, module in modules.items()}


def test_all_modules_come_to_the_device_and_each_step_names_its_module(
    deployed: Callable[..., Deployment], services: FakeServices, tmp_path: Path
) -> None:
    steps: list[tuple[str, str]] = []
    done = deployed(Observer(step=lambda name, result: steps.append((name, result))))
    assert on_device(services) == dict(done.images)
    assert list(done.images) == ["camera", "left", "right"] and done.image == ""
    assert ("image", f"camera: {CAMERA}, built elsewhere") in steps
    assert ("test", "left: not run: there is no entry script") in steps
    assert ("image", f"right: {done.images['right']}") in steps
    assert ("render", "modules camera, left, right, credentials for fake.azurecr.io") in steps
    assert set(read_file(load(tmp_path)).modules) == {"left", "right"}


def test_named_modules_are_built_and_the_others_keep_their_image(
    deployed: Callable[..., Deployment], services: FakeServices, tmp_path: Path
) -> None:
    first = deployed()
    for name in ("left", "right"):
        (tmp_path / name / "data").write_text("new")
    second = deployed(modules=("right",))
    assert second.images["left"] == first.images["left"]
    assert second.images["right"] != first.images["right"]
    assert [request.name for request in services.builds.started][2:] == ["right"]
    assert on_device(services) == dict(second.images)


def test_a_module_that_is_left_out_and_was_never_built_stops_before_anything_is(
    deployed: Callable[..., Deployment], services: FakeServices
) -> None:
    with pytest.raises(InputError, match="module 'left' has no image yet, and --module leaves it out"):
        deployed(modules=("right",))
    assert (services.builds.started, services.hub.writes) == ([], [])
    with pytest.raises(InputError, match="no module 'rigth'") as caught:
        deployed(modules=("rigth",))
    assert caught.value.fix == "did you mean 'right'?"


def test_images_that_are_given_are_used_and_the_others_built(
    deployed: Callable[..., Deployment], services: FakeServices
) -> None:
    services.push("fake.azurecr.io/left:mine", "linux/amd64")
    done = deployed(images={"left": "fake.azurecr.io/left:mine"})
    assert done.images["left"] == on_device(services)["left"] == "fake.azurecr.io/left:mine"
    assert [request.name for request in services.builds.started] == ["right"]


def test_a_dry_run_says_what_would_be_built_of_each_and_does_nothing(
    deployed: Callable[..., Deployment], services: FakeServices
) -> None:
    found = deployed(dry_run=True)
    assert {name: one.builds for name, one in found.forecasts.items()} == {"left": True, "right": True}
    assert found.forecasts["left"].words == "would build image left with the container engine (local)"
    assert found.plan is not None and {"left", "right", "camera"} <= {change.name for change in found.plan.changes}
    assert (services.builds.started, services.hub.writes) == ([], [])


def test_locked_uses_the_lock_file_of_every_module(
    deployed: Callable[..., Deployment], services: FakeServices, tmp_path: Path
) -> None:
    first = deployed()
    assert deployed(locked=True).images == first.images
    (tmp_path / "left" / "data").write_text("new")
    with pytest.raises(FoundError, match=r"modules\.left\.image\.dockerfile.* changed|left/Dockerfile changed"):
        deployed(locked=True)


def test_an_image_that_the_device_cannot_run_stops_it(
    deployed: Callable[..., Deployment], services: FakeServices
) -> None:
    pulls: list[Pull] = []
    services.hub.report(DEVICE, "$edgeAgent", {"runtime": {"platform": {"os": "linux", "architecture": "aarch64"}}})
    with pytest.raises(FoundError, match="linux/arm64"):
        deployed(Observer(pulls=pulls.extend), images={"left": CAMERA, "right": CAMERA})
    assert services.hub.writes == []


def test_what_each_model_reports_is_in_the_result(tmp_path: Path, services: FakeServices) -> None:
    sections, images = "", {}
    for name in ("left", "right", "silent"):
        (tmp_path / f"{name}.pkl").write_bytes(b"model")
        sections += (
            f"  {name}:\n    model: {{name: {name}, path: {name}.pkl}}\n    image: {{builder: local, name: {name}, "
        )
        sections += f"registry: fake.azurecr.io, dockerfile: {name}.Dockerfile, context: .}}\n"
        (tmp_path / f"{name}.Dockerfile").write_text("FROM scratch\n")
        images[name] = f"fake.azurecr.io/{name}:1"
        services.push(images[name], "linux/amd64")
    text = f"version: 1\nmodules:\n{sections}registry: {{credentials: env}}\ntarget: {{device: {DEVICE}}}\n"
    (tmp_path / "manifestgen.yaml").write_text(text)
    services.hub.obedient = True
    quick = Patience(timeout=0.0, first=0.0, longest=0.0)

    def run(*modules: str) -> Deployment:
        options = Options(state=tmp_path / "state", images=images, modules=modules, patience=quick, scoring=quick)
        return deploy(load(tmp_path), services, options=options)

    first = run()
    assert (first.scores, first.scoring) == ((), None)
    services.hub.report(DEVICE, "left", {"runner": {"model": "left"}, "counts": {"failed": 0, "scored": 3}})
    services.hub.report(DEVICE, "right", {"runner": {"model": "right"}, "counts": {"failed": 1, "scored": 2}})
    found = run()
    assert [(one.module, one.scored, one.failed) for one in found.scores] == [("left", 3, 0), ("right", 2, 1)]
    assert found.scoring == found.scores[0]
    assert [one.module for one in run("right").scores] == ["right", "left"]
