"""What every `ModelSource` and `Builder` does: the fakes in memory, and Azure ML's SDK on the sandbox."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import logging
import os
import re
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from manifestgen.cloud import (
    Build,
    Builder,
    BuildRequest,
    BuildState,
    BuildStatus,
    ModelRegistration,
    ModelSource,
    RegisteredModel,
)
from manifestgen.errors import CloudError, DeniedError, InputError, NotFoundError

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes.builder import FakeBuilder, FakeModels

# The SDK leaves sockets of its many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

azureml = [
    pytest.mark.azureml,
    pytest.mark.skipif(importlib.util.find_spec("azureml") is None, reason="azureml-core is not installed"),
]

_CONDA = "name: scoring\ndependencies:\n  - python=3.10\n  - pip:\n      - scikit-learn\n      - azureml-defaults\n"
# How the log of a build begins: the fake's, and the sandbox's.
_BEGINNING = "Step 1/|Building "
_SCORE = "def init():\n    pass\n\n\ndef run(input_data):\n    return input_data\n"


@dataclass
class Cloud:
    """A registry of models and its builders by name, what another process would get, and how to make a build fail."""

    models: ModelSource
    builders: Mapping[str, Builder]
    again: Callable[[], Cloud]
    fail_next_build: Callable[[str, list[str]], None]
    sandbox: Any = None

    def start(self, kind: str, request: BuildRequest) -> Build:
        return self.builders[kind].start(request)


@pytest.fixture(scope="module")
def opened_before() -> dict[str, Any]:
    """The workspace of the module's sandbox once it has been opened, which takes half a second."""
    return {}


@pytest.fixture
def sandbox_cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, opened_before: dict[str, Any]
) -> Cloud:
    """The real adapter on the sandbox."""
    sandbox = request.getfixturevalue("sandbox")
    from azure.identity import EnvironmentCredential

    from manifestgen.azure.aml import PATIENCE, Workspace
    from manifestgen.azure.aml_container_image import ContainerImageBuilder
    from manifestgen.azure.aml_models import WorkspaceModels
    from manifestgen.azure.aml_package import PackageBuilder
    from manifestgen.project.workspace import WorkspaceId
    from manifestgen.sandbox.faults import fail_builds
    from manifestgen.sandbox.world import Pace

    names = sandbox.world.names
    sandbox.world.pace = Pace(image_build=0.15)
    credential = EnvironmentCredential()

    def fail(message: str, log: list[str]) -> None:
        async def arm() -> None:
            fail_builds(sandbox.world, log=log, message=message, times=1)

        sandbox.call(arm())

    def opened() -> Workspace:
        place = WorkspaceId(names.subscription_id, names.resource_group, names.workspace)
        return Workspace(place, credential, patience=replace(PATIENCE, total=1.0, first=0.01, longest=0.05))

    def cloud(workspace: Workspace) -> Cloud:
        models = WorkspaceModels(lambda: workspace)
        builders: dict[str, Builder] = {
            "package": PackageBuilder(lambda: models),
            "container-image": ContainerImageBuilder(lambda: models),
        }
        return Cloud(models, builders, lambda: cloud(opened()), fail, sandbox)

    if "workspace" not in opened_before:
        opened_before["workspace"] = opened()
    return cloud(opened_before["workspace"])


@pytest.fixture(params=["fake", pytest.param("azureml", marks=azureml)])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    if request.param == "azureml":
        on_sandbox: Cloud = request.getfixturevalue("sandbox_cloud")
        return on_sandbox
    models = FakeModels()
    builders = {"package": FakeBuilder(models), "container-image": FakeBuilder(models, numbered=True)}

    def fail(message: str, log: list[str]) -> None:
        for builder in builders.values():
            builder.failures.append((message, log))

    made = Cloud(models, builders, lambda: made, fail)
    return made


@dataclass
class Files:
    """The files of a project, outside the working directory."""

    folder: Path
    model: Path
    script: Path
    conda: Path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folder = tmp_path / "project"
    folder.mkdir()
    made = Files(folder, folder / "model.pkl", folder / "score.py", folder / "myenv.yml")
    made.model.write_bytes(b"a model" * 100)
    made.script.write_text(_SCORE)
    made.conda.write_text(_CONDA)
    yield made
    assert Path.cwd() == elsewhere, "the working directory was not put back"


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"model-{uuid.uuid4().hex[:8]}"


def registration(files: Files, name: str, **changes: Any) -> ModelRegistration:
    return replace(ModelRegistration(name, files.model, "ab" * 32, {"area": "anomaly"}, "Finds anomalies"), **changes)


def request_for(model: RegisteredModel, files: Files, **changes: Any) -> BuildRequest:
    image = f"image-{uuid.uuid4().hex[:8]}"
    made = BuildRequest(
        name=image,
        label="abc123",
        model=model,
        entry_script=files.script,
        conda_file=files.conda,
        inputs=uuid.uuid4().hex,
        tags={"area": "iot"},
        description="Anomaly detection on the edge",
    )
    return replace(made, **changes)


def finished(builder: Builder, build: Build) -> tuple[BuildStatus, list[BuildState]]:
    """The build's last status, and the states it went through."""
    states: list[BuildState] = []
    deadline = time.monotonic() + 30
    while True:
        status = builder.status(build)
        if status.state not in states:
            states.append(status.state)
        if status.state in (BuildState.SUCCEEDED, BuildState.FAILED):
            return status, states
        assert time.monotonic() < deadline, states
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["package", "container-image"])
def test_build_ends_in_an_image(cloud: Cloud, files: Files, name: str, kind: Any) -> None:
    model = cloud.models.register(registration(files, name))
    request = request_for(model, files)
    build = cloud.builders[kind].start(request)
    status, states = finished(cloud.builders[kind], build)
    assert states[0] in (BuildState.QUEUED, BuildState.RUNNING)
    assert status.state is BuildState.SUCCEEDED
    server, _, image = status.reference.partition("/")
    assert server.endswith(".azurecr.io")
    assert image == (f"{request.name}:abc123" if kind == "package" else f"{request.name}:1")
    assert bool(build.image) is (kind == "container-image")


@pytest.mark.parametrize("kind", ["package", "container-image"])
def test_build_can_be_asked_for_from_another_process(cloud: Cloud, files: Files, name: str, kind: Any) -> None:
    model = cloud.models.register(registration(files, name))
    started = cloud.start(kind, request_for(model, files))
    kept = Build(started.operation, started.image)
    status, _ = finished(cloud.again().builders[kind], kept)
    assert status.reference
    assert re.search(_BEGINNING, cloud.again().builders[kind].log(kept))


@pytest.mark.parametrize("kind", ["package", "container-image"])
def test_failed_build_tells_the_services_words_and_log(cloud: Cloud, files: Files, name: str, kind: Any) -> None:
    model = cloud.models.register(registration(files, name))
    cloud.fail_next_build("Docker image build failed.", ["ResolvePackageNotFound:", "  - skikit-learn"])
    build = cloud.start(kind, request_for(model, files))
    status, _ = finished(cloud.builders[kind], build)
    assert status.state is BuildState.FAILED
    assert "Docker image build failed" in status.error
    assert "skikit-learn" in cloud.builders[kind].log(build)


def test_log_read_in_pieces_is_the_whole_log(cloud: Cloud, files: Files, name: str) -> None:
    model = cloud.models.register(registration(files, name))
    cloud.fail_next_build("no", ["Auflösung der Abhängigkeiten …", "日本語 ✓"])
    build = cloud.start("package", request_for(model, files))
    pieces = [cloud.builders["package"].log(build)]
    finished(cloud.builders["package"], build)
    pieces.append(cloud.builders["package"].log(build, len("".join(pieces))))
    whole = cloud.again().builders["package"].log(build)
    assert "".join(pieces) == whole
    assert "日本語 ✓" in whole
    assert cloud.builders["package"].log(build, len(whole)) == ""
    assert cloud.again().builders["package"].log(build, 10) == whole[10:]


def test_unknown_build_is_not_found(cloud: Cloud) -> None:
    lost = Build(str(uuid.uuid4()))
    with pytest.raises(NotFoundError):
        cloud.builders["package"].status(lost)
    with pytest.raises(NotFoundError):
        cloud.builders["package"].log(lost)


def test_image_of_the_same_inputs_is_found_again(cloud: Cloud, files: Files, name: str) -> None:
    model = cloud.models.register(registration(files, name))
    request = request_for(model, files)
    assert cloud.builders["container-image"].find(request) is None
    build = cloud.builders["container-image"].start(request)
    found = cloud.again().builders["container-image"].find(request)
    assert found is not None
    assert found.image == build.image
    assert cloud.builders["container-image"].find(replace(request, inputs="other")) is None
    status, _ = finished(cloud.again().builders["container-image"], found)
    assert status.reference.endswith(f"{request.name}:1")
    assert re.search(_BEGINNING, cloud.again().builders["container-image"].log(found))


def test_failed_image_is_not_found_again(cloud: Cloud, files: Files, name: str) -> None:
    model = cloud.models.register(registration(files, name))
    cloud.fail_next_build("no", ["line"])
    request = request_for(model, files)
    finished(cloud.builders["container-image"], cloud.builders["container-image"].start(request))
    assert cloud.builders["container-image"].find(request) is None


def test_package_cannot_be_found_again(cloud: Cloud, files: Files, name: str) -> None:
    model = cloud.models.register(registration(files, name))
    request = request_for(model, files)
    cloud.builders["package"].start(request)
    assert cloud.builders["package"].find(request) is None


@pytest.mark.parametrize("kind", ["package", "container-image"])
def test_missing_conda_file_is_wrong_input(cloud: Cloud, files: Files, name: str, kind: Any) -> None:
    model = cloud.models.register(registration(files, name))
    request = request_for(model, files, conda_file=files.folder / "missing.yml")
    with pytest.raises(InputError):
        cloud.builders[kind].start(request)


def test_build_of_an_unknown_model_is_refused(cloud: Cloud, files: Files, name: str) -> None:
    with pytest.raises(NotFoundError):
        cloud.start("package", request_for(RegisteredModel(name, "1"), files))


def test_registry_is_known_after_the_first_image(cloud: Cloud, files: Files, name: str) -> None:
    if cloud.sandbox is not None:

        async def forget() -> None:
            # A build of an earlier test that nobody waited for would make the registry once more.
            await asyncio.gather(*cloud.sandbox.world.tasks)
            cloud.sandbox.world.store.delete("workspace", "registry")

        cloud.sandbox.call(forget())
    assert cloud.builders["package"].registry_id() is None
    model = cloud.models.register(registration(files, name))
    finished(cloud.builders["package"], cloud.start("package", request_for(model, files)))
    found = cloud.builders["package"].registry_id()
    assert found is not None
    assert found.startswith("/subscriptions/")
    assert "/providers/Microsoft.ContainerRegistry/registries/" in found


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Our warnings: the SDK's loggers reach no handler of a program, but pytest's."""
    ours = [record for record in caplog.records if record.name.startswith("manifestgen")]
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


def _stored(cloud: Cloud, kind: str, key: str) -> Any:
    async def read() -> Any:
        return cloud.sandbox.world.store.get(kind, key)

    return cloud.sandbox.call(read())


def _image(cloud: Cloud, build: Build) -> Any:
    name, _, version = build.image.partition(":")
    return _stored(cloud, "image", f"{name}:{int(version):010d}")


@pytest.mark.azureml
class TestAzureMl:
    """What only the adapter must do, on the sandbox."""

    pytestmark = azureml

    def test_script_is_where_the_driver_looks_for_it(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        build = sandbox_cloud.start(
            "container-image", request_for(sandbox_cloud.models.register(registration(files, name)), files)
        )
        assets = _image(sandbox_cloud, build)["assets"]
        blobs = sandbox_cloud.sandbox.world.blobs / "storage"

        def content(asset: Any) -> bytes:
            key = asset["url"].replace("aml://artifact/", "azureml/")
            return bytes((blobs / _stored(sandbox_cloud, "blob", key)["file"]).read_bytes())

        driver, archive = [content(asset) for asset in assets]
        assert b"os.path.realpath(__file__)), 'score.py')" in driver
        assert assets[1]["unpack"] is True
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            assert tar.getnames() == ["score.py"]
            assert tar.extractfile("score.py").read().decode() == _SCORE  # type: ignore[union-attr]

    def test_no_uploaded_archive_tells_where_the_project_is(
        self, sandbox_cloud: Cloud, files: Files, name: str
    ) -> None:
        storage = sandbox_cloud.sandbox.world.blobs / "storage"
        before = set(storage.iterdir()) if storage.is_dir() else set()
        sandbox_cloud.start(
            "container-image", request_for(sandbox_cloud.models.register(registration(files, name)), files)
        )
        uploaded = set(storage.iterdir()) - before
        assert uploaded
        for file in uploaded:
            if tarfile.is_tarfile(file):
                with tarfile.open(file) as tar:
                    assert not any(str(files.folder)[1:] in member for member in tar.getnames())

    @pytest.mark.parametrize("kind", ["package", "container-image"])
    def test_containers_of_the_image_start(self, sandbox_cloud: Cloud, files: Files, name: str, kind: Any) -> None:
        from manifestgen.sandbox.aml.build import start_failure

        model = sandbox_cloud.models.register(registration(files, name))
        status, _ = finished(sandbox_cloud.builders[kind], sandbox_cloud.start(kind, request_for(model, files)))

        async def failure() -> Any:
            return start_failure(sandbox_cloud.sandbox.world, status.reference)

        assert sandbox_cloud.sandbox.call(failure()) is None

    def test_image_keeps_tags_and_description(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        build = sandbox_cloud.start("container-image", request_for(model, files))
        image = _image(sandbox_cloud, build)
        assert image["kvTags"] == {"area": "iot"}
        assert image["description"] == "Anomaly detection on the edge"
        assert image["modelIds"] == [model.id]

    def test_package_carries_tags_and_description_in_its_environment(
        self, sandbox_cloud: Cloud, files: Files, name: str
    ) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        request = request_for(model, files)
        variables = _stored(sandbox_cloud, "build", sandbox_cloud.builders["package"].start(request).operation)[
            "variables"
        ]
        assert json.loads(variables["MANIFESTGEN_IMAGE_TAGS"]) == {"area": "iot"}
        assert variables["MANIFESTGEN_IMAGE_DESCRIPTION"] == "Anomaly detection on the edge"
        assert variables["MANIFESTGEN_IMAGE_INPUTS"] == request.inputs
        assert variables["AZUREML_ENTRY_SCRIPT"] == "score.py"
        assert "EXAMPLE_ENV_VAR" not in variables

    def test_packaged_image_shows_its_tags_in_the_registry(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        from manifestgen.sandbox.registry import images

        world = sandbox_cloud.sandbox.world
        request = request_for(sandbox_cloud.models.register(registration(files, name)), files)
        finished(sandbox_cloud.builders["package"], sandbox_cloud.builders["package"].start(request))

        async def config() -> Any:
            manifest = images.find_manifest(world, world.names.login_server, request.name, request.label)
            assert manifest is not None
            digest = json.loads(manifest.path.read_bytes())["config"]["digest"]
            return json.loads(images.content_path(world, digest).read_bytes())

        environment = sandbox_cloud.sandbox.call(config())["config"]["Env"]
        assert 'MANIFESTGEN_IMAGE_TAGS={"area": "iot"}' in environment

    def test_model_larger_than_one_block_arrives(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        with files.model.open("wb") as file:
            file.truncate(70 << 20)
        sandbox_cloud.models.register(registration(files, name))
        sizes = [file.stat().st_size for file in (sandbox_cloud.sandbox.world.blobs / "storage").iterdir()]
        assert 70 << 20 in sizes
        assert max(sizes) == 70 << 20

    def test_nothing_reaches_stdout_or_the_temporary_folder(
        self,
        sandbox_cloud: Cloud,
        files: Files,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        model = sandbox_cloud.models.register(registration(files, name))
        for kind in ("package", "container-image"):
            sandbox_cloud.start(kind, request_for(model, files))
        assert capsys.readouterr().out == ""
        assert list(scratch.iterdir()) == []

    def test_deprecated_builder_is_named_once_per_build(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        sandbox_cloud.start("package", request_for(model, files))
        assert _warnings(caplog) == []
        sandbox_cloud.start("container-image", request_for(model, files))
        assert ["deprecated" in warning for warning in _warnings(caplog)] == [True]

    def test_conda_file_without_a_server_is_named(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        files.conda.write_text("dependencies:\n  - python=3.10\n  - pip:\n      - scikit-learn\n")
        sandbox_cloud.start("package", request_for(sandbox_cloud.models.register(registration(files, name)), files))
        assert ["myenv.yml does not list azureml-defaults" in warning for warning in _warnings(caplog)] == [True]

    def test_registration_whose_answer_is_lost_is_not_sent_again(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox_cloud.sandbox.fault("reset_after", method="POST", path="/models$", times=1)
        model = sandbox_cloud.models.register(registration(files, name))
        assert [known.version for known in sandbox_cloud.models.list(name)] == ["1"]
        assert model.version == "1"
        assert f"the answer was lost, but the workspace has registered model {name}:1" in caplog.text

    @pytest.mark.slow
    def test_registration_whose_answers_are_all_lost_is_recognised(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox_cloud.sandbox.fault("reset_after", method="POST", path="/models$", times=None)
        model = sandbox_cloud.models.register(registration(files, name))
        assert model == sandbox_cloud.models.find(name)
        assert "the answer was lost" in caplog.text

    def test_image_whose_answer_is_lost_is_not_sent_again(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        sandbox_cloud.sandbox.fault("reset_after", method="POST", path="/images$", times=1)
        build = sandbox_cloud.start("container-image", request_for(model, files))
        assert build.image.endswith(":1")
        assert "the answer was lost, but the workspace is building image" in caplog.text

    @pytest.mark.parametrize("fault", [{"kind": "reset_after"}, {"kind": "status", "status": 500}], ids=["lost", "500"])
    def test_package_whose_answer_is_lost_is_never_built_twice_under_one_tag(
        self,
        sandbox_cloud: Cloud,
        files: Files,
        name: str,
        caplog: pytest.LogCaptureFixture,
        fault: Mapping[str, Any],
    ) -> None:
        request = request_for(sandbox_cloud.models.register(registration(files, name)), files)
        sandbox_cloud.sandbox.fault(**fault, method="POST", path="/packages$", times=1)
        build = sandbox_cloud.start("package", request)
        status, _ = finished(sandbox_cloud.builders["package"], build)
        assert re.search(rf":{request.label}-[0-9a-f]{{4}}$", status.reference)
        assert f"may be building {request.name}:{request.label}; this build is tagged" in caplog.text
        sent = [one for one in sandbox_cloud.sandbox.admin("GET", "/requests") if one["path"].endswith("/packages")]
        assert len(sent) == 2

    def test_package_whose_answer_is_lost_is_found_in_the_registry(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        from manifestgen.azure.aml_package import PackageBuilder

        request = request_for(sandbox_cloud.models.register(registration(files, name)), files)
        reference = f"acme.azurecr.io/{request.name}:{request.label}"
        builder = PackageBuilder(lambda: sandbox_cloud.models, find=lambda one: reference)
        sandbox_cloud.sandbox.fault("reset_after", method="POST", path="/packages$", times=1)
        build = builder.start(request)
        assert builder.status(build) == BuildStatus(BuildState.SUCCEEDED, reference=reference)
        assert f"the answer was lost, but the workspace has built {reference}" in caplog.text

    def test_image_whose_answers_are_all_lost_is_recognised(
        self, sandbox_cloud: Cloud, files: Files, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        sandbox_cloud.sandbox.fault("reset_after", method="POST", path="/images$", times=None)
        build = sandbox_cloud.start("container-image", request_for(model, files))
        assert "the answer was lost, but the workspace is building image" in caplog.text
        assert finished(sandbox_cloud.builders["container-image"], build)[0].state is BuildState.SUCCEEDED

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_trouble_that_passes_is_not_seen(self, sandbox_cloud: Cloud, files: Files, name: str, status: int) -> None:
        sandbox_cloud.sandbox.fault("status", method="POST", path="/models$", status=status, times=1)
        assert sandbox_cloud.models.register(registration(files, name)).version == "1"

    @pytest.mark.parametrize(
        ("status", "words"), [(429, "throttled"), (500, "status 500"), (503, "status 503"), (400, "Too many tags")]
    )
    def test_trouble_that_stays_is_reported_in_the_services_words(
        self, sandbox_cloud: Cloud, files: Files, name: str, status: int, words: str
    ) -> None:
        message = "Too many tags" if status == 400 else "Please retry later"
        sandbox_cloud.sandbox.fault(
            "status", method="POST", path="/models$", status=status, times=None, message=message
        )
        with pytest.raises(CloudError, match=words) as caught:
            sandbox_cloud.models.register(registration(files, name))
        assert message in caught.value.what
        assert caught.value.exit_code == 3

    @pytest.mark.parametrize("path", ["/models", "/operations", "/artifacts/batch", "/images$", "/packages$"])
    def test_forbidden_names_the_role(self, sandbox_cloud: Cloud, files: Files, name: str, path: str) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        sandbox_cloud.sandbox.fault("status", path=path, status=403, times=None, message="No permission")
        with pytest.raises(DeniedError, match="No permission") as caught:
            sandbox_cloud.start("package", request_for(model, files))
            sandbox_cloud.start("container-image", request_for(model, files))
        assert "AzureML Data Scientist" in caught.value.fix

    def test_token_that_the_service_does_not_take_is_denied(self, sandbox_cloud: Cloud, name: str) -> None:
        sandbox_cloud.sandbox.fault("status", host=r".*azureml\.ms", status=401, times=None, message="expired")
        with pytest.raises(DeniedError, match="expired"):
            sandbox_cloud.models.list(name)
        with pytest.raises(DeniedError, match="expired"):
            sandbox_cloud.builders["package"].status(Build("any"))

    def test_blob_storage_that_refuses_is_reported(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        sandbox_cloud.sandbox.fault("status", host=r".*\.blob\..*", status=403, times=None, message="Firewall")
        with pytest.raises(DeniedError):
            sandbox_cloud.models.register(registration(files, name))

    @pytest.mark.parametrize("kind", ["reset", "truncate"])
    def test_lost_answers_are_a_cloud_error(self, sandbox_cloud: Cloud, name: str, kind: str) -> None:
        sandbox_cloud.sandbox.fault(kind, path="/operations/", times=None)
        with pytest.raises(CloudError, match="Azure ML did not respond"):
            sandbox_cloud.builders["package"].status(Build("any"))

    def test_image_name_that_the_service_does_not_take_is_wrong_input(
        self, sandbox_cloud: Cloud, files: Files, name: str
    ) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        with pytest.raises(InputError, match="image name is invalid"):
            sandbox_cloud.start("container-image", request_for(model, files, name="No_Such_Name"))

    def test_empty_model_folder_is_wrong_input(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        empty = files.folder / "empty"
        empty.mkdir()
        with pytest.raises(InputError, match="folder is empty"):
            sandbox_cloud.models.register(registration(files, name, path=empty))

    def test_interrupted_registration_puts_everything_back(
        self, sandbox_cloud: Cloud, files: Files, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        before = (sys.stdout, Path.cwd())
        monkeypatch.setattr(sandbox_cloud.models.workspace.sdk._auth_object, "_get_token_for_audience", interrupt)  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            sandbox_cloud.models.register(registration(files, name))
        assert (sys.stdout, Path.cwd()) == before

    def test_unknown_workspace_is_not_found(self, sandbox_cloud: Cloud) -> None:
        from azure.identity import EnvironmentCredential

        from manifestgen.azure.aml import Workspace
        from manifestgen.project.workspace import WorkspaceId

        names = sandbox_cloud.sandbox.world.names
        for place in (
            WorkspaceId(names.subscription_id, names.resource_group, "nowhere"),
            WorkspaceId(names.subscription_id, "nowhere", names.workspace),
            WorkspaceId(str(uuid.uuid4()), names.resource_group, names.workspace),
        ):
            with pytest.raises(NotFoundError) as caught:
                Workspace(place, EnvironmentCredential())
            assert place.name in caught.value.message

    @pytest.mark.parametrize("how", ["ids", "config", "folder"])
    def test_project_names_its_workspace(self, sandbox_cloud: Cloud, files: Files, name: str, how: str) -> None:
        from manifestgen.azure.aml import open_workspace
        from manifestgen.azure.aml_models import WorkspaceModels
        from manifestgen.project import Project, sections

        names = sandbox_cloud.sandbox.world.names
        ids = {"subscription_id": names.subscription_id, "resource_group": names.resource_group}
        config = files.folder / ("config.json" if how == "folder" else "mine.json")
        config.write_text(json.dumps({**ids, "workspace_name": names.workspace}))
        section = {
            "ids": sections.Workspace(**ids, name=names.workspace),
            "config": sections.Workspace(config=config),
            "folder": None,
        }[how]
        project = Project(files.folder / "manifestgen.yaml", files.folder, workspace=section)
        assert list(WorkspaceModels(lambda: open_workspace(project)).list(name)) == []

    def test_login_that_fails_is_reported_in_our_words(
        self, sandbox_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from manifestgen.azure.aml import Workspace
        from manifestgen.project.workspace import WorkspaceId

        names = sandbox_cloud.sandbox.world.names
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-secret-of-nobody")
        with pytest.raises(DeniedError, match="AADSTS") as caught:
            Workspace(WorkspaceId(names.subscription_id, names.resource_group, names.workspace))
        assert "az login" in caught.value.fix
        assert "canary-secret-of-nobody" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, DeniedError),
            (403, DeniedError),
            (429, CloudError),
            pytest.param(500, CloudError, marks=pytest.mark.slow),
        ],
    )
    def test_workspace_that_cannot_be_read_says_why(
        self, sandbox_cloud: Cloud, status: int, kind: type[CloudError]
    ) -> None:
        sandbox_cloud.sandbox.fault(
            "status", host="management.azure.com", path="/workspaces/", status=status, times=None, message="Not today"
        )
        with pytest.raises(kind, match="Not today"):
            sandbox_cloud.again()

    def test_secret_that_entra_does_not_take_is_denied(
        self, sandbox_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from azure.identity import ClientSecretCredential

        from manifestgen.azure.aml import Workspace
        from manifestgen.project.workspace import WorkspaceId

        names = sandbox_cloud.sandbox.world.names
        wrong = ClientSecretCredential(names.tenant_id, names.client_id, "canary-secret-of-nobody")
        with pytest.raises(DeniedError, match="AADSTS") as caught:
            Workspace(WorkspaceId(names.subscription_id, names.resource_group, names.workspace), wrong)
        assert "canary-secret-of-nobody" not in str(caught.value)

    def test_sdk_asked_for_nothing_that_the_sandbox_lacks(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        model = sandbox_cloud.models.register(registration(files, name))
        for kind in ("package", "container-image"):
            finished(sandbox_cloud.builders[kind], sandbox_cloud.start(kind, request_for(model, files)))
        assert list(sandbox_cloud.sandbox.sandbox.traffic.unserved) == []
        assert os.environ["HOME"] == str(sandbox_cloud.sandbox.sandbox.home)

    @pytest.mark.slow
    def test_sdk_alone_does_what_its_documentation_shows(self, sandbox_cloud: Cloud, files: Files, name: str) -> None:
        """The sandbox serves more than our adapter asks for, and shows that 1.61 packs a script that is not found."""
        from azureml._base_sdk_common import __version__ as version
        from azureml.core import Environment, Workspace
        from azureml.core.authentication import ServicePrincipalAuthentication
        from azureml.core.image import ContainerImage, Image
        from azureml.core.model import InferenceConfig, Model

        from manifestgen.azure import aml_sdk
        from manifestgen.sandbox.aml.build import start_failure

        names, world = sandbox_cloud.sandbox.world.names, sandbox_cloud.sandbox.world
        ids = {"subscription_id": names.subscription_id, "resource_group": names.resource_group}
        (files.folder / "config.json").write_text(json.dumps({**ids, "workspace_name": names.workspace}))
        login = ServicePrincipalAuthentication(
            names.tenant_id, names.client_id, sandbox_cloud.sandbox.environment["AZURE_CLIENT_SECRET"]
        )
        with aml_sdk.calling(files.folder):
            workspace = Workspace.from_config(auth=login)
            Model.register(
                workspace, model_path="model.pkl", model_name=name, tags={"a": "b"}, description="My awesome model"
            )
            model = Model(workspace, name)
            model.add_tags({"c": "d"})
            model.update(description="better")
            assert Model(workspace, name).tags == {"a": "b", "c": "d"}
            assert Path(model.download("downloaded")).read_bytes() == files.model.read_bytes()
            configuration = ContainerImage.image_configuration(
                execution_script="score.py", runtime="python", conda_file="myenv.yml", tags={"x": "y"}
            )
            image = ContainerImage.create(name="seed", models=[model], image_config=configuration, workspace=workspace)
            image.wait_for_creation(show_output=True)
            assert image.creation_state == "Succeeded"
            assert [found.id for found in Image.list(workspace, image_name="seed")] == [image.id]
            image.add_tags({"z": "1"})
            environment = Environment.from_conda_specification("seed", "myenv.yml")
            package = Model.package(workspace, [model], InferenceConfig("score.py", environment=environment))
            package.wait_for_creation(show_output=True)
            assert package.location.startswith(names.login_server)
            assert re.search(_BEGINNING, package.get_logs())
            image.delete()
            model.delete()

        async def failures() -> list[Any]:
            return [start_failure(world, image.image_location), start_failure(world, package.location)]

        alone, packaged = sandbox_cloud.sandbox.call(failures())
        assert packaged is None
        if version.startswith("1.61"):
            assert "No such file or directory" in alone.message
        assert list(sandbox_cloud.sandbox.sandbox.traffic.unserved) == []
