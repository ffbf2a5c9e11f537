"""The builder `local` without an engine: what it checks and says before it builds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.services import FakeServices

from manifestgen.cloud import Build, BuildRequest, RegisteredModel
from manifestgen.doctor import examine
from manifestgen.errors import InputError, NotFoundError
from manifestgen.images.local import open_builder
from manifestgen.project.load import Project, load

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")

_PROJECT = """\
version: 1
model: {path: model.pkl}
image: {builder: local, name: n, entry_script: score.py, requirements: requirements.txt, registry: acme.azurecr.io}
registry: {credentials: env}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "manifestgen.yaml").write_text(_PROJECT)
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): pass\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    (tmp_path / "model.pkl").write_bytes(b"x")
    return load(tmp_path)


def rows(project: Project) -> dict[str, tuple[str, str, str]]:
    services = FakeServices()
    services.builder = open_builder(project, services)
    found = examine(project, services, lambda: None, environ={})
    return {row.subject: (row.state, row.words, row.fix) for row in found}


def test_doctor_names_the_engine_and_uv(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "podman").write_text("#!/bin/sh\necho podman version 5\n")
    (tmp_path / "bin" / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = rows(project)
    assert found["engine"][:2] == ("ok", "podman version 5")
    assert found["uv"][0] == "ok"
    assert found["entry script and requirements"][0] == "ok"
    assert "workspace" not in found and "azureml-core" not in found


def test_doctor_says_what_is_missing(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "requirements.txt").unlink()
    found = rows(project)
    assert found["engine"][0] == "failed" and "no container engine" in found["engine"][1]
    state, words, fix = found["entry script and requirements"]
    assert state == "failed" and "requirements file not found" in words and "image.requirements" in fix


def test_doctor_says_how_much_disk_is_free(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "layers").mkdir()
    (tmp_path / "bin" / "buildah").write_text(f"""#!/bin/sh\necho '    "GraphRoot": "{tmp_path}/layers",'\n""")
    (tmp_path / "bin" / "buildah").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    free = {tmp_path: 5_000_000_000, tmp_path / "layers": 3_000_000_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free[Path(folder)]))
    assert rows(project)["disk"] == ("ok", "5.0 GB free for the build context, 3.0 GB free for the engine's layers", "")
    (tmp_path / "model.pkl").unlink()
    with (tmp_path / "model.pkl").open("wb") as model:
        model.truncate(1_500_000_000)  # without contents, so no disk is needed for it
    state, words, fix = rows(project)["disk"]
    assert state == "failed" and "3.0 GB are free for the engine's layers, and a build needs about 4.0 GB" in words
    assert "buildah prune" in fix


def test_doctor_reads_the_workspace_that_a_model_comes_from(project: Project) -> None:
    text = "\nworkspace: {subscription_id: s, resource_group: g, name: w}\n"
    project.path.write_text(_PROJECT.replace("{path: model.pkl}", "{name: best}") + text)
    assert rows(load(project.root))["workspace"] == ("ok", "readable, 0 registered versions of model best", "")


def test_nothing_is_built_without_an_engine(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    builder = open_builder(project, FakeServices())
    builder.check_inputs()
    with pytest.raises(InputError, match="no container engine is installed"):
        builder.check_ready()


def test_a_build_of_another_process_is_not_there(project: Project) -> None:
    builder = open_builder(project, FakeServices())
    request = BuildRequest("n", "1", RegisteredModel("m", "1"), "ab")
    assert builder.find(request) is None
    assert builder.registry_id() is None
    with pytest.raises(NotFoundError, match="has ended"):
        builder.status(Build("0123"))
    with pytest.raises(ValueError, match="from a context"):
        builder.start(request)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (", registry: acme.azurecr.io", "", "image.registry is missing; builder local needs it"),
        ("entry_script: score.py, ", "", "image.entry_script is missing; builder local needs it"),
        ("registry: acme", "platforms: [linux/riscv64], registry: acme", "cannot build for 'linux/riscv64'"),
        ("registry: acme", "platforms: [linux/arm64, linux/arm64], registry: acme", "a platform is listed twice"),
        ("registry: acme", "conda_file: e.yml, registry: acme", "both requirements and conda_file"),
        ("builder: local", "builder: package", "image.conda_file is missing; builder package needs it"),
        (
            "builder: local, name: n",
            "builder: package, name: n, conda_file: e.yml",
            "builder package does not use image.requirements",
        ),
    ],
)
def test_the_section_image_is_checked(project: Project, before: str, after: str, what: str) -> None:
    assert before in _PROJECT
    project.path.write_text(_PROJECT.replace(before, after))
    with pytest.raises(InputError) as caught:
        load(project.root)
    assert what in caught.value.what
    assert caught.value.where.startswith(f"{project.path}:")
