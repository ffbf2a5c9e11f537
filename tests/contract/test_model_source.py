"""What every `ModelSource` does: the fake in memory, and both of Azure ML's SDKs on the sandbox."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from manifestgen.azure.patience import Patience
from manifestgen.cloud import ModelRegistration, ModelSource
from manifestgen.errors import CloudError, DeniedError, InputError, NotFoundError

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes.builder import FakeModels
from integration.command_line import files

# The SDKs leave sockets of their sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PATIENCE = Patience(answer=60.0, total=1.0, first=0.01, longest=0.05)


def needs(module: str, distribution: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{distribution} is not installed")


azureml = [pytest.mark.azureml, needs("azureml", "azureml-core")]
# One worker imports it, which takes longer than all of these tests.
azureml2 = [needs("azure.ai.ml", "azure-ai-ml"), pytest.mark.xdist_group("azure-ai-ml")]


@dataclass(frozen=True)
class Source:
    """A model source, and what another process would get."""

    models: ModelSource
    again: Callable[[], ModelSource]
    sandbox: Any = None


def _place(sandbox: Any) -> Any:
    from manifestgen.project.workspace import WorkspaceId

    names = sandbox.world.names
    return WorkspaceId(names.subscription_id, names.resource_group, names.workspace)


@pytest.fixture(scope="module")
def opened_before() -> dict[str, Any]:
    """The workspace of the module's sandbox once it has been opened, which takes half a second."""
    return {}


@pytest.fixture
def first_version(request: pytest.FixtureRequest, opened_before: dict[str, Any]) -> Source:
    """azureml-core on the sandbox."""
    sandbox = request.getfixturevalue("sandbox")
    from azure.identity import EnvironmentCredential

    from manifestgen.azure.aml import Workspace
    from manifestgen.azure.aml_models import WorkspaceModels

    def workspace() -> Any:
        return Workspace(_place(sandbox), EnvironmentCredential(), patience=PATIENCE)

    known = opened_before.get("workspace") or opened_before.setdefault("workspace", workspace())
    return Source(WorkspaceModels(lambda: known), lambda: WorkspaceModels(workspace), sandbox)


@pytest.fixture
def second_version(request: pytest.FixtureRequest) -> Source:
    """azure-ai-ml on the sandbox."""
    sandbox = request.getfixturevalue("sandbox")
    from azure.identity import EnvironmentCredential

    from manifestgen.azure.azureml2_models import WorkspaceModels2

    def models() -> ModelSource:
        return WorkspaceModels2(lambda: _place(sandbox), EnvironmentCredential(), patience=PATIENCE)

    return Source(models(), models, sandbox)


@pytest.fixture(params=["fake", pytest.param("azureml", marks=azureml), pytest.param("azureml2", marks=azureml2)])
def source(request: pytest.FixtureRequest) -> Source:
    if request.param == "fake":
        fake = FakeModels()
        return Source(fake, lambda: fake)
    made: Source = request.getfixturevalue("first_version" if request.param == "azureml" else "second_version")
    return made


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model's file, outside the working directory, which no call changes."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "model.pkl").write_bytes(b"a model" * 100)
    yield tmp_path / "model.pkl"
    assert Path.cwd() == elsewhere


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"model-{uuid.uuid4().hex[:8]}"


def registration(path: Path, name: str, **changes: Any) -> ModelRegistration:
    made = ModelRegistration(name, path, uuid.uuid4().hex * 2, {"area": "anomaly"}, "Finds anomalies")
    return replace(made, **changes)


def saved_folder(folder: Path) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "graph.bin").write_bytes(b"graph")
    (folder / "variables" / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "variables" / "empty").write_bytes(b"")
    return folder


def downloaded(models: ModelSource, name: str, folder: Path, version: str | None = None) -> Path:
    folder.mkdir()
    return models.download(models.find(name, version), folder)


def test_registered_model_keeps_tags_description_and_fingerprint(source: Source, model: Path, name: str) -> None:
    made = source.models.register(registration(model, name, sha256="ab" * 32))
    assert (made.name, made.version, made.id) == (name, "1", f"{name}:1")
    assert dict(made.tags) == {"area": "anomaly"}
    assert made.description == "Finds anomalies"
    assert dict(made.properties)["manifestgen.sha256"] == "ab" * 32
    assert made.created is not None
    assert source.again().find(name) == made


def test_models_of_a_name_come_newest_first(source: Source, model: Path, name: str) -> None:
    for sha in ("a1", "b2", "c3"):
        source.models.register(registration(model, name, sha256=sha))
    assert [one.version for one in source.models.list(name)] == ["3", "2", "1"]
    assert {one.name for one in source.models.list(name)} == {name}
    assert source.models.find(name).version == "3"
    assert source.models.find(name, "2").properties["manifestgen.sha256"] == "b2"


def test_models_of_all_names_are_listed(source: Source, model: Path, name: str) -> None:
    for one in (name, f"{name}-other"):
        source.models.register(registration(model, one))
    assert {name, f"{name}-other"} <= {found.name for found in source.models.list()}


def test_unknown_name_has_no_models(source: Source, name: str) -> None:
    assert list(source.models.list(name)) == []


@pytest.mark.parametrize("version", [None, "7", "new"])
def test_unknown_model_is_not_found(source: Source, name: str, version: str | None) -> None:
    with pytest.raises(NotFoundError, match=name):
        source.models.find(name, version)


def test_missing_model_file_is_wrong_input(source: Source, model: Path, name: str) -> None:
    with pytest.raises(InputError):
        source.models.register(registration(model.with_name("missing.pkl"), name))


def test_file_is_downloaded_as_it_was_registered(source: Source, model: Path, name: str, tmp_path: Path) -> None:
    source.models.register(registration(model, name))
    found = downloaded(source.again(), name, tmp_path / "out")
    assert found == tmp_path / "out" / "model.pkl"
    assert found.read_bytes() == model.read_bytes()


def test_folder_is_downloaded_as_it_was_registered(source: Source, model: Path, name: str, tmp_path: Path) -> None:
    folder = saved_folder(tmp_path / "saved")
    assert source.models.register(registration(folder, name)).version == "1"
    found = downloaded(source.again(), name, tmp_path / "out")
    assert found == tmp_path / "out" / "saved"
    assert files(found) == files(folder)


def test_file_larger_than_any_other_answer_is_downloaded(
    source: Source, model: Path, name: str, tmp_path: Path
) -> None:
    """Storage gives it in pieces, and the transport takes no answer above 32 MiB."""
    with model.open("wb") as file:
        for number in range(33):
            file.write(bytes([number]) * (1 << 20))
        file.write(b"the end")
    source.models.register(registration(model, name))
    assert downloaded(source.models, name, tmp_path / "out").read_bytes() == model.read_bytes()


def test_model_that_is_gone_is_not_downloaded(source: Source, model: Path, name: str, tmp_path: Path) -> None:
    made = source.models.register(registration(model, name))
    (tmp_path / "out").mkdir()
    with pytest.raises(NotFoundError, match=name):
        source.models.download(replace(made, version="9"), tmp_path / "out")


def paths(sandbox: Any, method: str) -> Sequence[str]:
    return [str(one["path"]) for one in sandbox.admin("GET", "/requests") if one["method"] == method]


class TestTheSecondVersion:
    """Of Azure ML's API, through azure-ai-ml."""

    pytestmark = azureml2

    def test_empty_folder_is_wrong_input(self, second_version: Source, name: str, tmp_path: Path) -> None:
        (tmp_path / "saved" / "nothing").mkdir(parents=True)
        with pytest.raises(InputError, match="folder is empty"):
            second_version.models.register(registration(tmp_path / "saved", name))

    def test_mlflow_folder_is_registered_as_such(self, second_version: Source, name: str, tmp_path: Path) -> None:
        folder = saved_folder(tmp_path / "saved")
        (folder / "MLmodel").write_text("flavors: {}\n")
        second_version.models.register(registration(folder, name))
        kept = {model["name"]: model for _, model in second_version.sandbox.world.store.items("model")}
        assert kept[name]["modelType"] == "mlflow_model"

    def test_interrupted_upload_goes_on_where_it_stopped(
        self, second_version: Source, name: str, tmp_path: Path
    ) -> None:
        sandbox, models = second_version.sandbox, second_version.models
        one = registration(saved_folder(tmp_path / "saved"), name)
        sandbox.fault("status", status=403, method="PUT", path="weights.bin", times=1)
        with pytest.raises(DeniedError, match="access denied") as raised:
            models.register(one)
        assert "Storage Blob Data Contributor" in raised.value.fix
        sandbox.admin("DELETE", "/requests")
        assert models.register(one).version == "1"
        sent = [path.rpartition("/")[2] for path in paths(sandbox, "PUT") if "LocalUpload" in path]
        assert sent == ["weights.bin"]

    def test_version_that_another_client_took_is_followed_by_the_next(
        self, second_version: Source, model: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from azure.ai.ml.operations import _model_operations as operations

        real: Any = operations._get_next_version_from_container  # type: ignore[attr-defined] # imported there
        given = ["1"]
        monkeypatch.setattr(
            operations,
            "_get_next_version_from_container",
            lambda **named: given.pop() if given else real(**named),
        )
        second_version.again().register(registration(model, name))
        given[:] = ["1"]
        assert second_version.models.register(registration(model, name)).version == "2"

    def test_lost_answer_leaves_one_version(self, second_version: Source, model: Path, name: str) -> None:
        second_version.sandbox.fault("reset_after", method="PUT", path="/versions/1$", times=1)
        assert second_version.models.register(registration(model, name)).version == "1"
        assert [one.version for one in second_version.models.list(name)] == ["1"]

    @pytest.mark.parametrize("path", ["/models/", "/listSecrets$", "/LocalUpload/"])
    def test_trouble_that_passes_is_not_seen(
        self, second_version: Source, model: Path, name: str, tmp_path: Path, path: str
    ) -> None:
        for method in ("GET", "POST", "PUT"):
            second_version.sandbox.fault("status", status=503, method=method, path=path, times=1)
        second_version.models.register(registration(model, name))
        assert downloaded(second_version.models, name, tmp_path / "out").read_bytes() == model.read_bytes()

    def test_trouble_that_stays_is_told(self, second_version: Source, name: str) -> None:
        second_version.sandbox.fault("status", status=503, method="GET", path="/models/", times=None)
        with pytest.raises(CloudError, match="503"):
            second_version.models.find(name)

    def test_forbidden_names_the_role(self, second_version: Source, name: str) -> None:
        second_version.sandbox.fault("status", status=403, method="GET", path="/models/", times=None)
        with pytest.raises(DeniedError) as raised:
            second_version.models.find(name)
        assert "AzureML Data Scientist" in raised.value.fix

    def test_unknown_workspace_is_named(self, second_version: Source, name: str) -> None:
        from azure.identity import EnvironmentCredential

        from manifestgen.azure.azureml2_models import WorkspaceModels2

        place = structs.replace(_place(second_version.sandbox), name="gone")
        models = WorkspaceModels2(lambda: place, EnvironmentCredential(), patience=PATIENCE)
        for ask in (lambda: models.find(name), lambda: models.list(name), models.list):
            with pytest.raises(NotFoundError, match="workspace gone") as raised:
                ask()
            assert "resource group and name" in raised.value.fix

    def test_only_the_model_itself_is_downloaded_and_only_into_the_folder(
        self, second_version: Source, model: Path, name: str, tmp_path: Path
    ) -> None:
        sandbox, one = second_version.sandbox, registration(model, name)
        second_version.models.register(one)
        store = sandbox.world.store
        ((key, kept),) = [item for item in store.items("blob") if f"{one.sha256}/model.pkl" in item[0]]
        store.put("blob", f"{key}.backup", kept)
        assert set(files(downloaded(second_version.models, name, tmp_path / "out").parent)) == {"model.pkl"}
        store.put("blob", f"{key}/../../escaped", kept)
        with pytest.raises(CloudError, match="file with the name"):
            downloaded(second_version.models, name, tmp_path / "again")
        assert not list(tmp_path.rglob("escaped"))

    def test_a_file_that_cannot_be_written_is_an_error_with_advice(
        self, second_version: Source, model: Path, name: str, tmp_path: Path
    ) -> None:
        second_version.models.register(registration(model, name))
        (tmp_path / "out" / "model.pkl").mkdir(parents=True)
        with pytest.raises(InputError, match="could not write the file") as raised:
            second_version.models.download(second_version.models.find(name), tmp_path / "out")
        assert raised.value.where == str(tmp_path / "out" / "model.pkl") and "free space" in raised.value.fix

    def test_the_first_version_has_the_same_models(
        self, second_version: Source, request: pytest.FixtureRequest, model: Path, name: str, tmp_path: Path
    ) -> None:
        pytest.importorskip("azureml.core")
        first: Source = request.getfixturevalue("first_version")
        second_version.models.register(registration(model, name))
        first.models.register(registration(saved_folder(tmp_path / "saved"), name, tags={}))
        assert [replace(one, created=None) for one in first.models.list(name)] == [
            replace(one, created=None) for one in second_version.models.list(name)
        ]
        assert files(downloaded(first.models, name, tmp_path / "one", "1").parent) == {"model.pkl": model.read_bytes()}
        assert files(downloaded(second_version.models, name, tmp_path / "two", "2")) == files(tmp_path / "saved")
