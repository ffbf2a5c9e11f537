"""The context of a project, made with uv and a package index on loopback."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.services import FakeServices
from fakes.wheels import AMD64, ARM64, index_in_use, installed_wheel, make_wheel

from manifestgen.cloud import Context, RegisteredModel
from manifestgen.context.make import choose, gather
from manifestgen.context.packages import write_lock
from manifestgen.errors import InputError
from manifestgen.project.inputs import inputs_hash, requirements_lock
from manifestgen.project.load import Project, load
from manifestgen.project.lock import LockedModel

_PROJECT = """\
version: 1
model: {name: scale, path: MODEL}
image: {builder: local, name: n, entry_script: score.py, requirements: requirements.txt, registry: acme.azurecr.io,
        platforms: PLATFORMS, MORE}
"""
_MODEL = RegisteredModel("scale", "v$1")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    installed_wheel(folder, "paho-mqtt", ["py3-none-any"])
    make_wheel(folder, "pure", "1.0", {"pure.py": b"x = 1\n"}, scripts=["pure-tool"])
    for tag, code in ((AMD64, b"amd64"), (ARM64, b"arm64")):
        make_wheel(folder, "native", "1.0", {"native.so": code}, tag=f"py3-none-{tag}")
    return folder


@pytest.fixture(autouse=True)
def _index(index: Path, tmp_path: Path) -> Iterator[None]:
    with index_in_use(index, tmp_path / "cache"):
        yield


def project(
    folder: Path, *, platforms: str = "[linux/amd64]", model: str = "model.bin", more: str = "tags: {}"
) -> Project:
    folder.mkdir(exist_ok=True)
    text = _PROJECT.replace("MODEL", model).replace("PLATFORMS", platforms).replace("MORE", more)
    (folder / "manifestgen.yaml").write_text(text)
    (folder / "score.py").write_text("def init(): pass\ndef run(data): pass\n")
    (folder / "requirements.txt").write_text("pure\n")
    if model == "model.bin":
        (folder / "model.bin").write_bytes(b"weights")
    return load(folder)


def context_of(made: Project) -> Context:
    services = FakeServices()
    services.distribution.push("docker.io/library/python:3.12-slim", "linux/amd64", "linux/arm64", "linux/arm/v7")
    assert made.model is not None and made.model.path is not None
    parts = gather(made, choose(made, services, made.model.path), services)
    return parts.context(_MODEL, made.model.path, "0" * 64)


def names(context: Context) -> set[str]:
    return {file.name for file in context.files}


def test_it_has_the_layout_that_the_runner_documents(tmp_path: Path) -> None:
    found = context_of(project(tmp_path))
    expected = "Dockerfile requirements.lock runner/manifestgen_runner/__main__.py app/score.py model/model.bin"
    packages = "packages/linux-amd64/pure.py packages/linux-amd64/paho/mqtt/client.py"
    assert {*expected.split(), *packages.split()} <= names(found)
    text = next(file.content for file in found.files if file.name == "Dockerfile")
    assert isinstance(text, bytes)
    assert b'manifestgen.model.version="v\\$1"' in text and b'RUNNER_MODEL_VERSION="v\\$1"' in text


def test_programs_of_packages_are_left_out_also_from_their_records(tmp_path: Path) -> None:
    found = context_of(project(tmp_path))
    assert not [name for name in names(found) if "/bin/" in name]
    (record,) = (file for file in found.files if file.name.endswith("pure-1.0.dist-info/RECORD"))
    text = b"".join(record.pieces()).decode()
    assert "pure.py" in text and "bin/" not in text


def test_a_model_that_is_a_folder_lies_there_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "mlmodel" / "data").mkdir(parents=True)
    (tmp_path / "mlmodel" / "data" / "w").write_bytes(b"1")
    assert "model/mlmodel/data/w" in names(context_of(project(tmp_path, model="mlmodel")))


def test_the_lock_is_kept_and_used_until_the_requirements_change(tmp_path: Path) -> None:
    made, said = project(tmp_path), list[str]()
    first = choose(made, FakeServices(), None, said.append)
    assert said == ["choosing versions of the packages in requirements.txt, for linux/amd64"]
    assert not requirements_lock(made).exists()
    write_lock(made, first.lock)
    assert choose(made, FakeServices(), None, said.append).lock == first.lock
    assert len(said) == 1
    assert "pure==1.0 \\\n    --hash=sha256:" in first.lock
    before = inputs_hash(made, LockedModel(name="scale", sha256="a"))
    (tmp_path / "requirements.txt").write_text("pure==1.0\nnative\n")
    again = choose(made, FakeServices(), None, said.append)
    assert len(said) == 2
    write_lock(made, again.lock)
    assert inputs_hash(made, LockedModel(name="scale", sha256="a")) != before


def test_compiled_code_for_arm_v7_is_rejected_and_pure_code_is_not(tmp_path: Path) -> None:
    made = project(tmp_path, platforms="[linux/arm/v7]")
    assert "packages/linux-arm/pure.py" in names(context_of(made))
    (tmp_path / "requirements.txt").write_text("native\n")
    with pytest.raises(InputError) as caught:
        context_of(made)
    assert "native" in caught.value.what and "has no wheel for linux/arm/v7" in caught.value.what


def test_a_dockerfile_of_the_users_own_has_its_folder_and_ours_beside_it(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM x\nCOPY manifestgen /m\nCMD python -m manifestgen_runner\n")
    (tmp_path / "docker" / "extra.sh").write_text("")
    (tmp_path / "docker" / "extra.sh").chmod(0o700)
    (tmp_path / "docker" / "secret.env").write_text("canary")
    (tmp_path / "docker" / ".dockerignore").write_text("*\n!extra.sh\n")
    made = project(tmp_path, more="dockerfile: docker/Dockerfile")
    found = context_of(made)
    own = {name for name in names(found) if not name.startswith("manifestgen/")}
    assert own == {"Dockerfile", "extra.sh"}
    assert {file.name: file.executable for file in found.files}["extra.sh"]
    ours = ("app/score.py", "model/model.bin", "requirements.lock", "packages/linux-amd64/pure.py")
    assert {f"manifestgen/{name}" for name in (*ours, "runner/manifestgen_runner/log.py")} <= names(found)


def test_a_dockerfile_without_the_runner_is_said(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM x\n")
    made, said = project(tmp_path, more="dockerfile: docker/Dockerfile"), list[str]()
    gather(made, choose(made, FakeServices(), None), FakeServices(), report=said.append)
    assert said[-1] == (
        "Dockerfile does not start manifestgen_runner: a module of this image gets no messages from edgeHub"
    )


@pytest.mark.slow
def test_a_large_model_needs_no_memory(tmp_path: Path) -> None:
    """Half a gigabyte is read to compute the context, and a file of more than two is begun to be sent."""
    made = project(tmp_path)
    with (tmp_path / "model.bin").open("wb") as stream:
        stream.truncate(512 << 20)
    tracemalloc.start()
    try:
        found = context_of(made)
        assert found.size > 512 << 20
        with (tmp_path / "model.bin").open("r+b") as stream:
            stream.truncate((2 << 30) + 1)
        sent = 0
        for piece in found.tar():
            sent += len(piece)
            if sent > 256 << 20:
                break
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.size > 2 << 30
    assert peak < 32 << 20


@pytest.mark.slow
def test_a_folder_of_thousands_of_files_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12_500):
        descriptor = os.open(folder / f"{number:05d}", os.O_WRONLY | os.O_CREAT)
        os.close(descriptor)
    found = context_of(project(tmp_path, model="many"))
    assert sum(name.startswith("model/many/") for name in names(found)) == 12_500
    assert sum(1 for _ in found.tar()) > 12_500


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_what_is_not_a_file_in_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_bytes(b"1")
    (tmp_path / "model" / "gone").symlink_to("nowhere")
    with pytest.raises(InputError, match="neither a file nor a folder, or a link to nothing"):
        context_of(project(tmp_path, model="model"))
