"""What another client sees: only Microsoft's SDKs, and nothing but the environment that `sandbox start` prints."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from integration.command_line import Completed

pytestmark = [
    pytest.mark.no_cover,  # the clients are processes of their own
    pytest.mark.azureml,
    pytest.mark.skipif(os.name != "posix", reason="evaluates what is printed for a POSIX shell"),
]

_SAMPLE = Path(__file__).parents[2] / "samples" / "anomaly-detection"

_SCRIPT = """\
import json, os
from azure.iot.hub import IoTHubRegistryManager
from azureml.core import Model, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication as Login

hub = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_CONNECTION_STRING"])
device = os.environ["IOTHUB_DEVICE_ID"]
modules = sorted(module.module_id for module in hub.get_modules(device))
agent = hub.get_module_twin(device, "$edgeAgent").properties
running = {name: module["runtimeStatus"] for name, module in agent.reported["modules"].items()}
login = Login(*(os.environ[f"AZURE_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")))
place = {name: os.environ[f"AZUREML_ARM_{variable}"] for name, variable in (
    ("subscription_id", "SUBSCRIPTION"), ("resource_group", "RESOURCEGROUP"), ("name", "WORKSPACE_NAME"))}
(model,) = Model.list(Workspace.get(auth=login, **place))
print(json.dumps({"modules": modules, "running": running, "model": [model.name, model.version, model.tags,
    model.description], "address": [c["address"] for c in
    agent.desired["runtime"]["settings"]["registryCredentials"].values()]}))
"""


# The main job as a data scientist does it by hand, with the SDK alone: workspace, model, image, credentials.
_BY_HAND = """\
from azureml.core import Workspace
from azureml.core.image import ContainerImage
from azureml.core.model import Model

workspace = Workspace.from_config()
Model.register(workspace, model_path="model.pkl", model_name="pump", tags={"area": "pumps"}, description="A pump.")
model = Model(workspace, "pump")
settings = ContainerImage.image_configuration(
    runtime="python", execution_script="score.py", conda_file="myenv.yml", tags={"kind": "edge"}, description="Scores.")
image = ContainerImage.create(name="pump-image", models=[model], image_config=settings, workspace=workspace)
image.wait_for_creation()
print("image:", image.creation_state, image.image_location, image.tags)
print("model:", model.id, model.tags, model.description)
print("registry:", workspace.get_details()["containerRegistry"].rpartition("/")[2])
"""


def _run(*command: str, environment: Mapping[str, str], cwd: Path) -> Completed:
    ended = subprocess.run(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Completed(ended.stdout, ended.stderr, ended.returncode)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The whole environment of a client: what a shell has after `eval "$(manifestgen sandbox start)"`, and a HOME."""
    home = tmp_path / "home"
    home.mkdir()
    bare = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    # Without an index, the sandbox says that it installs nothing.
    bare |= {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    bare["UV_CACHE_DIR"] = str(tmp_path / "uv")
    begun = _run(sys.executable, "-m", "manifestgen", "sandbox", "start", environment=bare, cwd=tmp_path)
    assert begun.code == 0, begun
    printed = [shlex.split(line) for line in begun.stdout.splitlines()]
    assert all(words[0] == "export" and len(words) == 2 for words in printed), begun.stdout
    environment = {**bare, **dict(words[1].split("=", 1) for words in printed)}
    try:
        yield environment
        assert _files_below(home) == []
    finally:
        stopped = _run(sys.executable, "-m", "manifestgen", "sandbox", "stop", environment=environment, cwd=tmp_path)
        assert stopped.code == 0, stopped
        again = _run(sys.executable, "-m", "manifestgen", "sandbox", "stop", environment=environment, cwd=tmp_path)
        assert again.code == 3, again


def _at_home(environment: dict[str, str]) -> dict[str, str]:
    """For azureml-core, which has no other setting for the folder in which it caches the addresses of services."""
    return {**environment, "HOME": environment["MANIFESTGEN_SANDBOX_HOME"]}


def _files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_main_job_by_hand_needs_no_login(started: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("azureml.core")
    work = tmp_path / "work"
    work.mkdir()
    names = {"subscription_id": "SUBSCRIPTION", "resource_group": "RESOURCEGROUP", "workspace_name": "WORKSPACE_NAME"}
    config = {key: started[f"AZUREML_ARM_{variable}"] for key, variable in names.items()}
    (work / "config.json").write_text(json.dumps(config))
    (work / "model.pkl").write_bytes(b"a model")
    (work / "score.py").write_text("def init(): pass\n\n\ndef run(data): return data\n")
    (work / "myenv.yml").write_text("dependencies: [python=3.9, {pip: [scikit-learn==1.0.2]}]\n")
    (work / "by_hand.py").write_text(_BY_HAND)
    done = _run(sys.executable, "-W", "ignore", "by_hand.py", environment=_at_home(started), cwd=work)
    assert done.code == 0, done
    assert done.stdout.splitlines()[-3:] == [
        "image: Succeeded sandboxmodels.azurecr.io/pump-image:1 {'kind': 'edge'}",
        "model: pump:1 {'area': 'pumps'} A pump.",
        "registry: sandboxmodels",
    ]


def test_microsofts_sdks_read_back_what_the_command_line_deployed(started: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("azureml.core")
    import shutil

    project = tmp_path / "project"
    shutil.copytree(_SAMPLE, project)
    command = (sys.executable, "-m", "manifestgen", "deploy", str(project), "--yes")
    deployed = _run(*command, environment=started, cwd=tmp_path)
    assert deployed.code == 0, deployed
    seen = _run(sys.executable, "-W", "ignore", "-c", _SCRIPT, environment=_at_home(started), cwd=tmp_path)
    assert seen.code == 0, seen
    assert json.loads(seen.stdout.splitlines()[-1]) == {
        "modules": ["$edgeAgent", "$edgeHub", "machinelearningmodule", "tempSensor"],
        "running": {"machinelearningmodule": "running", "tempSensor": "running"},
        "model": [
            "best_model",
            1,
            {"area": "anomaly", "type": "classification"},
            "Sample anomaly detection model",
        ],
        "address": ["sandboxmodels.azurecr.io"],
    }

    device = ("--device", started["IOTHUB_DEVICE_ID"])
    manifest = tmp_path / "manifest.json"
    exported = _run(*command[:3], "export", *device, "-o", str(manifest), environment=started, cwd=tmp_path)
    assert exported.code == 0, exported
    manifest.write_text(manifest.read_text().replace("tempSensor", "otherSensor"))
    applied = _run(
        *command[:3],
        "apply",
        str(manifest),
        *device,
        "--yes",
        "--prune",
        "--no-wait",
        environment=started,
        cwd=tmp_path,
    )
    assert applied.code == 0, applied
    # All of it in the sandbox, and nothing in the user's home: see `started`.
    kept = _files_below(Path(started["MANIFESTGEN_SANDBOX_HOME"]))
    assert {name.split("/")[0] for name in kept} == {".azureml", "manifestgen"}
    assert any(name.startswith("manifestgen/snapshots/") for name in kept)
