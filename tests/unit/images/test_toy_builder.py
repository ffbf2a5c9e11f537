"""A builder is one module and one line in the table: this file adds one, and everything follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.services import FakeServices

from manifestgen import services as services_module
from manifestgen.cli import run
from manifestgen.cloud import Build, Builder, BuildRequest, BuildState, BuildStatus, Credential, Requirement, Services
from manifestgen.deploy import Options, deploy
from manifestgen.doctor import examine
from manifestgen.errors import InputError
from manifestgen.project.builders import BUILDERS, Entry
from manifestgen.project.load import Project, load
from manifestgen.project.lock import read
from manifestgen.project.schema import json_schema
from manifestgen.secret import Secret
from manifestgen.services.module import open_builder as open_named
from manifestgen.target import Patience

# ---- the builder: its line in the table, and its module

_ENTRY = Entry("carves it from wood", "the toy shop", __name__, ("linux/arm64",), needs=("entry_script",))


class ToyBuilder:
    """Carves images; every image is ready at once."""

    packages: Mapping[str, str] = {"pytest": "pytest"}

    def __init__(self, project: Project, services: Any) -> None:
        self._project = project
        self._services = services
        self.carved: list[str] = []

    def requirements(self) -> Sequence[Requirement]:
        return (Requirement("toy shop", lambda: "is open"),)

    def check_inputs(self) -> None:
        image = self._project.image
        assert image is not None and image.entry_script is not None
        if "wood" not in image.entry_script.read_text():
            raise InputError("no wood", where=str(image.entry_script), fix="add wood")

    def check_ready(self) -> None:
        pass

    def start(self, request: BuildRequest) -> Build:
        self.carved.append(f"toys.azurecr.io/{request.name}:{request.label}")
        self._services.push(self.carved[-1])
        return Build(self.carved[-1])

    def find(self, request: BuildRequest) -> Build | None:
        return None

    def status(self, build: Build) -> BuildStatus:
        return BuildStatus(BuildState.SUCCEEDED, reference=build.operation)

    def log(self, build: Build, offset: int = 0) -> str:
        return "carving\n"[offset:]

    def cancel(self, build: Build) -> bool:
        return False

    def registry_id(self) -> str | None:
        return None


def open_builder(project: Project, services: Services) -> Builder:
    return ToyBuilder(project, services)


# ---- and what follows from it

_PROJECT = """\
version: 1
model: {name: bear, path: model.pkl}
image: {builder: toy, name: bear, entry_script: score.py}
registry: {credentials: env}
target: {device: edge-01}
"""
_LOGIN = Credential("toys.azurecr.io", "user", Secret("canary-password-of-toys"))
_RUNTIME = ("mcr.microsoft.com/azureiotedge-agent:1.6", "mcr.microsoft.com/azureiotedge-hub:1.6")


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "toy", _ENTRY)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "model.pkl").write_bytes(b"bear")
    (tmp_path / "score.py").write_text("# wood\n")
    (tmp_path / "manifestgen.yaml").write_text(_PROJECT)
    return load(tmp_path)


@pytest.fixture
def services(project: Project) -> FakeServices:
    made = FakeServices()
    made.hub.obedient = True
    made.hub.add("edge-01")
    made.logins[_LOGIN.address] = _LOGIN
    made.builder = open_named(project, made)
    for image in _RUNTIME:
        made.push(image)
    return made


def test_it_carves_the_image_that_is_deployed(project: Project, services: FakeServices) -> None:
    options = Options(
        build_patience=Patience(first=0.0, longest=0.0),
        patience=Patience(first=0.0),
        scoring=None,
        state=project.root / "state",
        test=False,
    )
    deployed = deploy(project, services, options=options)
    assert isinstance(services.builder, ToyBuilder)
    assert [deployed.image] == services.builder.carved
    assert services.hub.applied[-1][0] == "edge-01"
    assert deployed.image in json.dumps(services.hub.applied[-1][1])
    lock = read(project)
    assert lock is not None and (lock.builder, lock.image) == ("toy", deployed.image)


def test_its_name_is_checked_in_the_project_file(project: Project) -> None:
    project.path.write_text(_PROJECT.replace("builder: toy", "builder: toyy"))
    with pytest.raises(InputError, match=r"image\.builder is 'toyy'") as caught:
        load(project.root)
    assert "'toy'" in caught.value.fix


def test_what_it_needs_of_the_project_file_is_checked(project: Project) -> None:
    project.path.write_text(_PROJECT.replace(", entry_script: score.py", ""))
    with pytest.raises(InputError, match=r"image\.entry_script is missing; builder toy needs it"):
        load(project.root)


def test_its_inputs_are_checked_before_anything_is_sent(project: Project, services: FakeServices) -> None:
    (project.root / "score.py").write_text("# plastic\n")
    with pytest.raises(InputError, match="no wood"):
        deploy(project, services)
    assert list(services.models.list()) == []


def test_the_schema_has_it(project: Project) -> None:
    builder = json_schema()["$defs"]["Image"]["properties"]["builder"]
    assert "toy" in builder["enum"]
    assert "toy: carves it from wood, for linux/arm64." in builder["description"]


def test_doctor_has_its_rows(project: Project, services: FakeServices) -> None:
    found = {row.subject: row for row in examine(project, services, lambda: None)}
    assert (found["toy shop"].state, found["toy shop"].words) == ("ok", "is open")
    assert found["pytest"].state == "ok"
    assert {"azureml-core", "workspace"} & set(found) == set()


def test_the_command_line_takes_it(
    project: Project, services: FakeServices, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.path.write_text(
        _PROJECT.replace("builder: toy", "builder: package").replace("score.py", "score.py, conda_file: e.yml")
    )
    (project.root / "e.yml").write_text("dependencies: [python=3.11]\n")
    made: list[Project] = []

    def of(project: Project, *_: Any, **__: Any) -> FakeServices:
        made.append(project)
        return services

    monkeypatch.setattr(services_module, "ProjectServices", of)
    assert run(["image", str(project.root), "--builder", "toy", "--output", "json"]) == 0
    assert [one.image.builder for one in made if one.image is not None] == ["toy"]
    out, err = capsys.readouterr()
    assert json.loads(out)["builder"] == "toy"
    assert "building image bear with the toy shop (toy)" in err
    assert run(["image", "--help"]) == 0
    assert "[package|container-image|acr|local|toy]" in capsys.readouterr().out
