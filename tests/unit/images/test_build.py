from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fakes.builder import FakeBuilder, FakeModels
from fakes.distribution import FakeDistribution
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry, registry_id
from fakes.vaults import FakeVaults

from manifestgen.cloud import BuildState, Credential
from manifestgen.errors import CloudError, FoundError
from manifestgen.images.build import PATIENCE, Prepared, Reporter, prepare
from manifestgen.project.load import Project, load
from manifestgen.project.lock import LockedImage, path_of, read, read_file, record
from manifestgen.target import Patience

PROJECT = """\
version: 1
model:
  name: best_model
  path: model.pkl
  tags: {area: anomaly}
  description: Sample
image:
  builder: BUILDER
  name: anomaly
  entry_script: score.py
  conda_file: myenv.yml
"""


@pytest.fixture(params=["package", "container-image"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT.replace("BUILDER", request.param))
    (tmp_path / "model.pkl").write_bytes(b"model one")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "myenv.yml").write_text("dependencies: [python=3.10]\n")
    return load(tmp_path)


class Cloud:
    """A registry of models and the builder that the project names."""

    def __init__(self, project: Project) -> None:
        self.models = FakeModels()
        numbered = project.image is not None and project.image.builder == "container-image"
        self.builder = FakeBuilder(self.models, project, numbered=numbered)
        self.images: dict[str, str] = {}
        self.builder.pushed = lambda image: self.images.update({image: "sha256:00"})


class Killed(BaseException):
    """What a SIGKILL looks like from inside a test: nothing catches it."""


class Digests(FakeRegistry):
    """A registry that answers for every image."""

    def __init__(self, digest: Callable[[str], str | None]) -> None:
        super().__init__(FakeRegistry.of("fake").registries)
        self._digest = digest

    def digest(self, image: str, credential: Credential | None) -> str | None:
        return self._digest(image)


class FakeServices:
    """Services of which an image needs three."""

    def __init__(self, cloud: Cloud, registry: FakeRegistry) -> None:
        self.models = cloud.models
        self.builder = cloud.builder
        self.registry = registry
        self.hub = FakeHub()
        self.vaults = FakeVaults()
        self.distribution = FakeDistribution()

    def of(self, module: str) -> FakeServices:
        return self

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        return {}


class Run:
    """One run of `prepare`, with everything that it says."""

    def __init__(self, cloud: Cloud, digests: dict[str, str | None] | None = None) -> None:
        self.cloud = cloud
        self.digests = digests if digests is not None else {}
        self.steps: list[str] = []
        self.log = ""
        self.kill_at: BuildState | None = None

    def __call__(self, project: Project, timeout: float = PATIENCE.timeout, **options: object) -> Prepared:
        def state(now: BuildState, seconds: float) -> None:
            if now is self.kill_at:
                raise Killed

        def log(text: str) -> None:
            self.log += text

        time = iter(range(1_000_000))
        patience = Patience(clock=lambda: float(next(time)), sleep=lambda seconds: None).within(timeout)
        return prepare(
            project,
            FakeServices(self.cloud, Digests(lambda image: (self.cloud.images | self.digests).get(image))),
            report=Reporter(self.steps.append, state, log),
            patience=patience,
            **options,  # type: ignore[arg-type]
        )


def test_the_model_is_registered_and_its_image_built_and_remembered(project: Project) -> None:
    cloud = Cloud(project)
    prepared = Run(cloud)(project)
    (request,) = cloud.builder.started
    assert request.model is not None
    assert (request.model.id, request.name, dict(request.model.tags)) == (
        "best_model:1",
        "anomaly",
        {"area": "anomaly"},
    )
    lock = read(project)
    assert lock == prepared.lock
    assert lock is not None and lock.model is not None
    assert (lock.model.name, lock.model.version, lock.digest) == ("best_model", "1", "sha256:00")
    assert lock.image.startswith("fake.azurecr.io/anomaly:")
    assert not prepared.reused


def test_unchanged_inputs_reuse_the_image_and_say_so(project: Project) -> None:
    cloud = Cloud(project)
    first = Run(cloud)(project)
    second = Run(cloud)
    assert second(project) == Prepared(first.lock, reused=True)
    assert second.steps == [f"image {first.lock.image} is up to date, reusing it"]
    assert len(cloud.builder.started) == 1


@pytest.mark.parametrize("changed", ["model.pkl", "score.py", "myenv.yml", "manifestgen.yaml"])
def test_a_changed_input_builds_again(project: Project, changed: str) -> None:
    cloud = Cloud(project)
    Run(cloud)(project)
    file = project.root / changed
    file.write_text(file.read_text().replace("anomaly", "other") + "\n")
    Run(cloud)(load(project.root))
    assert len(cloud.builder.started) == 2


def test_an_unchanged_model_is_not_registered_again(project: Project) -> None:
    cloud = Cloud(project)
    Run(cloud)(project)
    (project.root / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
    run = Run(cloud)
    run(project)
    assert [model.id for model in cloud.models.list()] == ["best_model:1"]
    assert "model best_model:1 is already registered, reusing it" in run.steps


def test_rebuild_gives_the_image_a_tag_that_devices_do_not_have(project: Project) -> None:
    cloud = Cloud(project)
    first = Run(cloud)(project)
    second = Run(cloud)(project, rebuild=True)
    assert len(cloud.builder.started) == 2
    assert second.lock.image != first.lock.image


@pytest.mark.parametrize("state", [BuildState.QUEUED, BuildState.RUNNING])
def test_a_killed_run_is_gone_on_with_and_nothing_is_made_twice(project: Project, state: BuildState) -> None:
    cloud = Cloud(project)
    killed = Run(cloud)
    killed.kill_at = state
    with pytest.raises(Killed):
        killed(project)
    assert not path_of(project).exists()
    run = Run(cloud)
    assert not run(project).reused
    assert "resuming the build of these inputs" in run.steps
    assert len(cloud.builder.started) == 1
    assert len(cloud.models.list()) == 1


def test_a_failed_build_shows_the_end_of_its_log_and_can_be_tried_again(project: Project) -> None:
    cloud = Cloud(project)
    cloud.builder.failures.append(("conda could not solve it", [f"line {number}" for number in range(30)]))
    run = Run(cloud)
    with pytest.raises(FoundError, match="the image build failed: conda could not solve it") as caught:
        run(project)
    assert caught.value.exit_code == 1
    assert caught.value.detail[-1] == "line 29"
    assert len(caught.value.detail) == 20
    assert "line 0\n" in run.log
    Run(cloud)(project)
    assert len(cloud.builder.started) == 2


def test_time_up_says_how_to_resume_and_resuming_works(project: Project) -> None:
    cloud = Cloud(project)
    with pytest.raises(FoundError, match="the build is still queued after") as caught:
        Run(cloud)(project, timeout=0.0)
    assert "run the same command again" in caught.value.fix
    Run(cloud)(project)
    assert len(cloud.builder.started) == 1


def test_a_build_that_is_cancelled_as_time_is_up_names_the_option_of_each_command(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud(project)
    monkeypatch.setattr(cloud.builder, "cancel", lambda build: True)
    with pytest.raises(FoundError, match="and was cancelled") as caught:
        Run(cloud)(project, timeout=0.0)
    assert [option.split()[-1] for option in caught.value.options] == ["--build-timeout", "--timeout"]


def test_an_image_that_its_registry_no_longer_has_is_built_again(project: Project) -> None:
    cloud = Cloud(project)
    first = Run(cloud)(project)
    run = Run(cloud, {first.lock.image: None})
    assert not run(project).reused
    assert f"image {first.lock.image} is no longer in its registry, building it again" in run.steps


def test_a_rebuilt_image_may_be_another_and_what_the_lock_keeps_of_others_stays(project: Project) -> None:
    cloud = Cloud(project)
    built = Run(cloud)(project).lock.image
    other = LockedImage(digest="sha256:11")
    record(project, {built: LockedImage(digest="sha256:22"), "acme.azurecr.io/other:1": other})
    run = Run(cloud, {built: None})
    run(project)
    assert read_file(project).images == {"acme.azurecr.io/other:1": other}


def test_a_registry_that_cannot_be_asked_does_not_stop_anything(project: Project) -> None:
    def refuse(image: str) -> str | None:
        raise CloudError("no route to host", fix="check the network")

    cloud = Cloud(project)
    steps: list[str] = []
    services = FakeServices(cloud, Digests(refuse))
    first = prepare(project, services, report=Reporter(steps.append), patience=Patience(sleep=lambda seconds: None))
    assert first.lock.digest is None
    assert any("no route to host" in step for step in steps)
    assert prepare(project, services, patience=Patience(sleep=lambda seconds: None)).reused


def test_a_registered_model_is_used_as_it_is(project: Project) -> None:
    cloud = Cloud(project)
    Run(cloud)(project)
    file = project.root / "manifestgen.yaml"
    file.write_text(file.read_text().replace("path: model.pkl", "version: 1"))
    prepared = Run(cloud)(load(project.root))
    assert prepared.lock.model is not None
    assert (prepared.lock.model.version, prepared.lock.model.sha256) == ("1", None)
    assert len(cloud.models.list()) == 1


class TestWithoutALockFile:
    """A colleague's clone, or a pipeline: the registry knows what the lock file would say."""

    @pytest.fixture
    def other(self, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
        folder = tmp_path_factory.mktemp("clone")
        for name in ("manifestgen.yaml", "model.pkl", "score.py", "myenv.yml"):
            (folder / name).write_bytes((project.root / name).read_bytes())
        return load(folder)

    def _cloud(self, project: Project) -> Cloud:
        cloud = Cloud(project)
        cloud.builder.registry = registry_id("fake")
        return cloud

    def _prepare(
        self, project: Project, cloud: Cloud, registry: FakeRegistry, steps: list[str], *, rebuild: bool = False
    ) -> Prepared:
        services = FakeServices(cloud, registry)
        report = Reporter(steps.append)
        return prepare(project, services, rebuild=rebuild, report=report, patience=Patience(sleep=lambda seconds: None))

    @pytest.fixture
    def registry(self) -> FakeRegistry:
        registry = FakeRegistry.of("fake")
        registry.passwords.clear()  # everybody may read
        return registry

    def test_what_another_clone_built_is_used(self, project: Project, other: Project, registry: FakeRegistry) -> None:
        cloud, steps = self._cloud(project), list[str]()
        cloud.builder.pushed = lambda image: registry.images.setdefault(image, "sha256:aa")
        first = self._prepare(project, cloud, registry, [])
        second = self._prepare(other, cloud, registry, steps)
        assert len(cloud.builder.started) == 1
        assert len(cloud.models.list()) == 1
        assert (second.lock.image, second.lock.digest, second.lock.inputs, second.lock.model) == (
            first.lock.image,
            "sha256:aa",
            first.lock.inputs,
            first.lock.model,
        )
        if project.image is not None and project.image.builder == "package":
            assert second.reused
            assert steps == [f"image {first.lock.image} is already in the registry, reusing it"]
        assert read(other) == second.lock

    def test_a_rebuild_is_not_pushed_over_it(self, project: Project, other: Project, registry: FakeRegistry) -> None:
        cloud = self._cloud(project)
        pushed: list[str] = []

        def push(image: str) -> None:
            pushed.append(image)
            registry.images[image] = "sha256:aa"

        cloud.builder.pushed = push
        self._prepare(project, cloud, registry, [])
        self._prepare(other, cloud, registry, [], rebuild=True)
        assert len(set(pushed)) == 2

    def test_a_registry_that_cannot_be_asked_gets_a_tag_of_its_own(self, project: Project) -> None:
        cloud, steps = self._cloud(project), list[str]()
        registry = FakeRegistry.of("fake")  # which wants a login that is not there
        prepared = self._prepare(project, cloud, registry, steps)
        (request,) = cloud.builder.started
        if project.image is not None and project.image.builder == "package":
            assert re.fullmatch(prepared.lock.inputs[:12] + r"-\d{14}", request.label)
            assert any("so the image gets a tag of its own" in step for step in steps)
        else:
            assert request.label == prepared.lock.inputs[:12]

    def test_a_model_that_no_one_registered_here_has_no_version(self, project: Project, registry: FakeRegistry) -> None:
        if project.image is not None and project.image.builder != "package":
            pytest.skip("finds its images itself")
        cloud = self._cloud(project)
        Run(cloud)(project)
        built = read(project)
        assert built is not None
        path_of(project).unlink()
        registry.images[built.image] = "sha256:aa"
        elsewhere = self._cloud(project)
        prepared = self._prepare(project, elsewhere, registry, [])
        assert prepared.reused
        assert prepared.lock.model is not None
        assert (prepared.lock.model.version, prepared.lock.built_at) == ("", "")
        assert elsewhere.models.list() == []
