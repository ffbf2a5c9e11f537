"""The commands of a project with services in memory: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.distribution import FakeDistribution
from fakes.registry import FakeRegistry
from fakes.services import FakeServices
from unit.cli.services import Opened

from manifestgen import services as services_module
from manifestgen.cli import run
from manifestgen.cloud import BuildState, ModelRegistration
from manifestgen.device import scoring
from manifestgen.errors import DeniedError
from manifestgen.images import build
from manifestgen.project.lock import read, read_file
from manifestgen.target import Patience

AGENT, HUB = "mcr.microsoft.com/azureiotedge-agent:1.6", "mcr.microsoft.com/azureiotedge-hub:1.6"
SCORER = "acme.azurecr.io/scorer:1"
PROJECT = """\
version: 1
model: {name: best_model, path: model.pkl}
image: {builder: package, name: scorer, entry_script: score.py, conda_file: myenv.yml}
registry: {credentials: env}
target: {device: edge-01}
"""
READY_MADE = PROJECT.replace(
    "{builder: package, name: scorer, entry_script: score.py, conda_file: myenv.yml}",
    f'{{builder: none, reference: "{SCORER}"}}',
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    services = FakeServices(registry=FakeRegistry.of("fake", "acme"))
    for registry in services.registry.registries.values():
        services.logins[registry.login_server] = services.registry.admin_credential(registry)
    services.hub.obedient = True
    services.hub.add("edge-01", tags={"site": "lab"})
    for image in (AGENT, HUB, SCORER):
        services.push(image)
    made = Opened(services)
    monkeypatch.setattr(services_module, "ProjectServices", made)
    monkeypatch.setattr(services_module, "open_hub", lambda host, project: services.hub)
    return made


@pytest.fixture
def folder(tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.pkl").write_bytes(b"model")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "myenv.yml").write_text("dependencies: [python=3.11]\n")
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(build, "PATIENCE", Patience(1800.0, first=0.0, longest=0.0))
    monkeypatch.setattr(scoring, "PATIENCE", Patience(0.0, first=0.0, longest=0.0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestImage:
    def test_it_prints_the_reference_and_what_is_done(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["image"]) == 0
        out, err = capsys.readouterr()
        (project,) = opened.projects
        lock = read(project)
        assert lock is not None and out == f"{lock.image}\n"
        assert err.splitlines() == [
            "registering model best_model from model.pkl",
            "registered model best_model:1",
            "building image scorer with Azure ML (package)",
            "  | Step 1/2 : FROM base",
            "  build queued, 0 s",
            "  build running, 0 s",
            "  build succeeded, 0 s",
            f"built {lock.image}",
        ]

    def test_json_says_whether_it_was_reused(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["image", "-q"]) == 0
        capsys.readouterr()
        assert run(["image", "--output", "json", "-q"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["model"] == {"name": "best_model", "version": "1"}
        assert (document["builder"], document["reused"]) == ("package", True)

    def test_another_builder_may_be_given(self, folder: Path, opened: Opened) -> None:
        assert run(["image", "--builder", "container-image", "-q"]) == 0
        assert [one.image.builder for one in opened.projects if one.image is not None] == ["container-image"]

    def test_a_builder_that_there_is_not_names_those_there_are(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["image", "--builder", "docker"]) == 2
        assert "'docker' is not one of 'package', 'container-image'" in capsys.readouterr().err

    def test_a_project_that_builds_no_image_says_what_to_do(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "manifestgen.yaml").write_text(READY_MADE)
        assert run(["image"]) == 2
        error, fix = capsys.readouterr().err.splitlines()
        assert error == "error: manifestgen.yaml: the project builds no image"
        assert "package, container-image" in fix

    def test_another_builder_may_need_more(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from manifestgen.project.builders import BUILDERS, Entry

        lacking = Entry("a test", "a test", "nowhere", (), needs=("reference",))
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(BUILDERS, "demanding", lacking)
            assert run(["image", "--builder", "demanding"]) == 2
        assert "manifestgen.yaml: image.reference is missing; builder demanding needs it" in capsys.readouterr().err

    def test_a_build_that_takes_long_is_heard_of_every_half_minute(self, capsys: pytest.CaptureFixture[str]) -> None:
        from manifestgen.cli._console import Console
        from manifestgen.cli.image import reporter

        report = reporter(Console()).state
        for seconds in (0, 10, 29, 30, 31, 60):
            report(BuildState.RUNNING, seconds)
        said = capsys.readouterr().err.splitlines()
        assert said == ["  build running, 0 s", "  build running, 30 s", "  build running, 60 s"]


class TestModel:
    def test_models_are_listed_with_tags_and_description(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, tags in (("best_model", {"b": "2", "a": "1"}), ("other", {})):
            opened.services.models.register(ModelRegistration(name, folder / "model.pkl", "ab", tags, f"{name} it is"))
        assert run(["model", "list"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "best_model:1  a=1, b=2  best_model it is",
            "other:1       other it is",
        ]
        assert run(["model", "list", "--name", "other", "--output", "json"]) == 0
        (model,) = json.loads(capsys.readouterr().out)["models"]
        assert (model["name"], model["version"], model["properties"]) == ("other", "1", {"manifestgen.sha256": "ab"})
        assert model["created"].endswith("+00:00")

    def test_no_models_is_no_error(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["model", "list"]) == 0
        assert capsys.readouterr() == ("", "no registered models\n")


class TestDoctor:
    def test_a_row_for_each_thing_with_what_to_do(
        self, folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse() -> None:
            raise DeniedError("no credential", fix="run 'az login'")

        monkeypatch.setattr(services_module, "log_in", refuse)
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", "of the fake hub")
        assert run(["doctor", "--device", "edge-02"]) == 1
        out = capsys.readouterr().out
        assert "failed   credential: no credential\n         fix: run 'az login'\n" in out
        assert "ok       hub: fake-hub.azure-devices.net is reachable\n" in out
        assert "failed   device: " in out

    def test_json_has_the_rows(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(services_module, "log_in", lambda: None)
        assert run(["doctor", "--output", "json"]) == 0
        rows = {row["subject"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
        assert rows["device edge-01"]["state"] == "ok"
        assert rows["workspace"]["state"] == "ok"


class TestDeploy:
    def test_it_says_each_step_and_how_the_device_is(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["deploy", "--yes"]) == 0
        out, err = capsys.readouterr()
        steps = [line.split()[0] for line in err.splitlines()]
        assert [step for step in steps if step in _STEPS] == list(_STEPS)
        assert "plan: " in out
        assert "device 'edge-01': healthy, version 2, 3 of 3 modules" in out
        assert "canary" not in out + err

    def test_options_reach_the_deployment(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "more.yaml").write_text("ttl: 5\n")
        options = ["--builder", "container-image", "--values", "more.yaml", "--set", "env.A=1", "--hub", "other"]
        switches = ["--create-token", "--enable-admin", "--no-wait", "--yes", "--output", "json"]
        assert run(["deploy", *options, *switches]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["applied"], document["rollout"]) == (True, None)
        assert (document["scoring"], document["scores"]) == (None, [])
        (project,) = opened.projects
        assert project.image is not None and project.image.builder == "container-image"
        (arguments,) = opened.arguments
        assert (arguments["hub"], arguments["create_token"], arguments["enable_admin"]) == ("other", True, True)
        content = opened.services.hub.applied[-1][1]["modulesContent"]
        hub, agent = (content[name]["properties.desired"] for name in ("$edgeHub", "$edgeAgent"))
        assert hub["storeAndForwardConfiguration"] == {"timeToLiveSecs": 5}
        assert agent["modules"]["scorer"]["env"] == {"A": {"value": 1}}
        assert opened.services.distribution.closed

    def test_images_that_cannot_be_pulled_are_named(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["deploy", "--image", "acme.azurecr.io/scorer:9", "--yes"]) == 1
        err = capsys.readouterr().err
        assert "acme.azurecr.io/scorer:9" in err.splitlines()[-4]
        assert "there is no tag '9'" in err
        assert opened.services.hub.applied == []

    def test_without_a_terminal_it_wants_yes(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["deploy"]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == "  fix: add --yes"
        assert opened.services.hub.applied == []

    def test_a_fleet_is_told_in_its_own_words(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fleet = "{deployment: scorer, condition: \"tags.site = 'lab'\"}"
        (folder / "manifestgen.yaml").write_text(READY_MADE.replace("{device: edge-01}", fleet))
        assert run(["deploy", "--yes", "--no-wait", "--output", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["image"] == SCORER
        (configuration,) = opened.services.hub.configurations()
        assert configuration.priority == 10


_STEPS = ("image", "render", "check", "preflight", "apply", "wait")


class TestPreflight:
    @pytest.fixture
    def manifest(self, folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Path:
        @contextmanager
        def opening() -> Iterator[FakeDistribution]:
            yield opened.services.distribution

        monkeypatch.setattr(services_module, "open_distribution", opening)
        (folder / "manifestgen.yaml").write_text(READY_MADE)
        assert run(["render", "-q"]) == 0
        return folder / "deployment.json"

    def test_images_that_can_be_pulled_are_exit_0(self, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        assert run(["preflight", str(manifest)]) == 0
        assert "3 of 3 images" in capsys.readouterr().out

    def test_an_image_that_cannot_be_pulled_is_exit_1(
        self, manifest: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        opened.services.distribution.images.clear()
        capsys.readouterr()
        assert run(["preflight", str(manifest), "--output", "json"]) == 1
        assert json.loads(capsys.readouterr().out)

    def test_platforms_are_compared_with_the_one_given(self, manifest: Path) -> None:
        assert run(["preflight", str(manifest), "--platform", "linux/amd64", "-q"]) == 0
        assert run(["preflight", str(manifest), "--platform", "linux/arm64", "-q"]) == 1

    def test_platforms_are_compared_with_that_of_a_device(self, manifest: Path, opened: Opened) -> None:
        platform = {"runtime": {"platform": {"os": "linux", "architecture": "x86_64"}}}
        opened.services.hub.report("edge-01", "$edgeAgent", platform)
        assert run(["preflight", str(manifest), "--device", "edge-01", "-q"]) == 0

    def test_a_device_that_has_not_reported_its_platform(
        self, manifest: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["preflight", str(manifest), "--device", "edge-01"]) == 2
        assert "error: device 'edge-01': " in capsys.readouterr().err

    def test_a_device_that_there_is_not(self, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", str(manifest), "--device", "nowhere"]) == 3
        assert "'nowhere'" in capsys.readouterr().err

    def test_device_and_platform_exclude_each_other(self, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", str(manifest), "--device", "edge-01", "--platform", "linux/arm64"]) == 2
        assert "--device and --platform" in capsys.readouterr().err

    def test_a_file_that_cannot_be_read(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["preflight", "nowhere.json"]) == 2
        assert "manifest not found" in capsys.readouterr().err
        assert run(["preflight", str(folder)]) == 2
        assert f"{folder}: this is a project, not a manifest" in capsys.readouterr().err


class TestPinning:
    def test_render_names_images_by_digest(
        self, folder: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "manifestgen.yaml").write_text(READY_MADE)
        assert run(["render", "--pin", "-o", "-"]) == 0
        out, err = capsys.readouterr()
        assert "acme.azurecr.io/scorer@sha256:aaaa" in out
        assert "${ACR_PASSWORD_ACME}" in out and "canary" not in out + err
        assert set(read_file(opened.projects[0]).images) == {AGENT, HUB, SCORER}

    def test_what_keeps_its_tag_is_warned_of(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "manifestgen.yaml").write_text(READY_MADE)
        assert run(["render", "--pin", "--image", "$upstream:443/scorer:1", "--force", "-o", "out.json"]) == 0
        assert "warning: $upstream:443/scorer:1 keeps its tag" in capsys.readouterr().err

    def test_no_pin_overrides_the_project(self, folder: Path, opened: Opened) -> None:
        (folder / "manifestgen.yaml").write_text(READY_MADE + "manifest: {pin: true}\n")
        assert run(["render", "--no-pin", "-q"]) == 0
        assert opened.services.distribution.asked == []
        assert run(["render", "-q"]) == 0
        assert len(opened.services.distribution.asked) == 3
