"""azure-ai-ml, the SDK of Azure ML's second API, azureml-core and manifestgen see the same models of the sandbox."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.acr_tasks import Registry
from fakes.wheels import make_wheel, package_index

from manifestgen.sandbox.world import Pace

pytestmark = pytest.mark.skipif(importlib.util.find_spec("azure.ai.ml") is None, reason="azure-ai-ml is not installed")

HOST = "sandboxmodels.azurecr.io"

_CLIENT = """\
import json, os, sys
from pathlib import Path
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model
from azure.identity import EnvironmentCredential
client = MLClient(EnvironmentCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in (
    "SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")), enable_telemetry=False)
"""
_BY_V1 = """\
import json, sys
from azureml.core import Workspace
from azureml.core.model import Model
workspace = Workspace.from_config()
"""


# Runs each program that it is sent as a line of JSON, in the folder that comes with it, after the same beginning.
_LOOP = """\
import json, os, sys
os.chdir(sys.argv[1])
exec(sys.argv[2])
for line in sys.stdin:
    folder, program = json.loads(line)
    os.chdir(folder)
    exec(program)
    print("ended", flush=True)
"""


class _Python:
    """A process with an SDK: importing it takes longer than all of its requests."""

    def __init__(self, sandbox: Any, folder: Path, beginning: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _LOOP, str(folder), beginning],
            env={**os.environ, **sandbox.environment, "HOME": str(sandbox.sandbox.home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, program: str) -> Any:
        """Run a program in a folder; the JSON that it prints last."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps([str(folder), program]), file=self.process.stdin, flush=True)
        said: list[str] = []
        for line in self.process.stdout:
            if line == "ended\n":
                return json.loads(said[-1])
            said.append(line)
        raise AssertionError(f"the process ended: {said}")  # why, it wrote to stderr


@contextmanager
def _python(sandbox: Any, folder: Path, beginning: str) -> Iterator[_Python]:
    python = _Python(sandbox, folder, beginning)
    with python.process:
        try:
            yield python
        finally:
            python.process.kill()


@pytest.fixture(scope="module")
def v2(shared_sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Python]:
    """azure-ai-ml, with a client of the sandbox's workspace."""
    with _python(shared_sandbox, tmp_path_factory.mktemp("v2"), _CLIENT) as python:
        yield python


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_and_folders_are_registered_found_listed_and_downloaded(
    sandbox: Any, v2: _Python, tmp_path: Path
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"a model" * 100_000)
    folder = tmp_path / "mlmodel"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "data" / "model.bin").write_bytes(bytes(range(256)))
    (folder / "data" / "empty").write_bytes(b"")
    program = """
from azure.identity import ClientSecretCredential
one = Model(
    path="model.pkl", name="v2-file", tags={"area": "pumps"}, description="A pump.", properties={"by": "a test"})
made = client.models.create_or_update(one)
again = client.models.create_or_update(Model(path="model.pkl", name="v2-file"))
latest = client.models.get("v2-file", label="latest")
first = client.models.get("v2-file", version="1")
client.models.create_or_update(Model(path="mlmodel", name="v2-folder"))
for name in ("v2-file", "v2-folder"):
    client.models.download(name, version="1", download_path="out")
credential = ClientSecretCredential(os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], "wrong")
wrong = MLClient(credential, client.subscription_id, client.resource_group_name, client.workspace_name)
try:
    wrong.models.get("v2-file", version="1")
except Exception as error:
    rejected = type(error).__name__
print(json.dumps({"versions": [made.version, again.version, latest.version], "first": [first.tags, first.description,
    first.properties], "listed": sorted(model.version for model in client.models.list(name="v2-file")),
    "names": sorted(model.name for model in client.models.list()), "rejected": rejected}))
"""
    assert v2.run(tmp_path, program) == {
        "versions": ["1", "2", "2"],
        "first": [{"area": "pumps"}, "A pump.", {"by": "a test"}],
        "listed": ["1", "2"],
        "names": ["v2-file", "v2-folder"],
        "rejected": "ClientAuthenticationError",
    }
    assert _tree(tmp_path / "out" / "v2-file") == {"model.pkl": b"a model" * 100_000}
    assert _tree(tmp_path / "out" / "v2-folder" / "mlmodel") == _tree(folder)
    assert sandbox.admin("GET", "/unserved") == []


_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PROJECT = f"""\
version: 1
workspace: {{config: config.json}}
model: {{name: shared}}
image:
  builder: acr
  name: from-v2
  entry_script: score.py
  requirements: requirements.txt
  registry: {HOST}
  base: {HOST}/base/python:{_PYTHON}-slim
"""
_WITHOUT_THE_FIRST = """\
import sys
sys.modules["azureml"] = None
from manifestgen.cli import run
sys.exit(run(sys.argv[1:]))
"""


def _build(sandbox: Any, folder: Path) -> Any:
    """What `image` prints in a process that has azure-ai-ml, and no azureml-core."""
    (folder / "wheels").mkdir(exist_ok=True)
    make_wheel(folder / "wheels", "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    with package_index(folder / "wheels", folder / "uv") as packages:
        ended = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                _WITHOUT_THE_FIRST,
                "image",
                str(folder / "project"),
                "--output",
                "json",
            ],
            env={**os.environ, **sandbox.environment, **packages, "HOME": str(sandbox.sandbox.home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _each_reads(v1: _Python, v2: _Python, tmp_path: Path) -> None:
    """Version 1 by azureml-core, version 2 by azure-ai-ml."""
    register = """
made = Model.register(workspace, model_path="old.pkl", model_name="shared", tags={"by": "v1"}, description="old")
print(json.dumps(made.version))
"""
    assert v1.run(tmp_path, register) == 1
    program = """
old = client.models.get("shared", version="1")
client.models.download("shared", version="1", download_path="of-v1")
new = client.models.create_or_update(Model(path="new.pkl", name="shared", tags={"by": "v2"}, description="new"))
print(json.dumps([old.tags, old.description, new.version]))
"""
    assert v2.run(tmp_path, program) == [{"by": "v1"}, "old", "2"]
    assert _tree(tmp_path / "of-v1") == {"shared/old.pkl": b"by azureml-core"}
    read = """
new = Model(workspace, "shared")
new.download(target_dir="of-v2")
print(json.dumps([new.version, new.tags, new.description]))
"""
    assert v1.run(tmp_path, read) == [2, {"by": "v2"}, "new"]
    assert _tree(tmp_path / "of-v2") == {"new.pkl": b"by azure-ai-ml"}


def test_each_sdk_reads_what_the_other_registered_and_manifestgen_builds_from_it(
    sandbox: Any, v2: _Python, tmp_path: Path
) -> None:
    pytest.importorskip("azureml.core")
    pytest.importorskip("uv")
    names = {"subscription_id": "SUBSCRIPTION", "resource_group": "RESOURCEGROUP", "workspace_name": "WORKSPACE_NAME"}
    config = {key: sandbox.environment[f"AZUREML_ARM_{variable}"] for key, variable in names.items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "old.pkl").write_bytes(b"by azureml-core")
    (tmp_path / "new.pkl").write_bytes(b"by azure-ai-ml")
    with _python(sandbox, tmp_path, _BY_V1) as v1:
        _each_reads(v1, v2, tmp_path)

    sandbox.world.pace = Pace(image_build=0.06)
    sandbox.admin("PUT", f"/images/{HOST}/base/python:{_PYTHON}-slim", {"platforms": ["linux/amd64"]})
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "manifestgen.yaml").write_text(_PROJECT)
    (folder / "score.py").write_text("def init():\n    pass\n\n\ndef run(data):\n    return data\n")
    (folder / "requirements.txt").write_text("")
    done = _build(sandbox, tmp_path)
    assert done["model"] == {"name": "shared", "version": "2"}
    image = Registry(sandbox).image(done["image"].partition("/")[2])
    assert image.files["opt/manifestgen/model/new.pkl"] == b"by azure-ai-ml"
    assert image.config["config"]["Labels"]["manifestgen.model.version"] == "2"
    assert sandbox.admin("GET", "/unserved") == []
