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
    begun = _run(sys.executable, "-m", "manifestgen", "sandbox", "start", environment=bare, cwd=tmp_path)
    assert begun.code == 0, begun
    printed = [shlex.split(line) for line in begun.stdout.splitlines()]
    assert all(words[0] == "export" and len(words) == 2 for words in printed), begun.stdout
    environment = {**bare, **dict(words[1].split("=", 1) for words in printed)}
    try:
        yield environment
    finally:
        stopped = _run(sys.executable, "-m", "manifestgen", "sandbox", "stop", environment=environment, cwd=tmp_path)
        assert stopped.code == 0, stopped
        again = _run(sys.executable, "-m", "manifestgen", "sandbox", "stop", environment=environment, cwd=tmp_path)
        assert again.code == 3, again


def test_microsofts_sdks_read_back_what_the_command_line_deployed(started: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("azureml.core")
    import shutil

    project = tmp_path / "project"
    shutil.copytree(_SAMPLE, project)
    command = (sys.executable, "-m", "manifestgen", "deploy", str(project), "--yes")
    deployed = _run(*command, environment=started, cwd=tmp_path)
    assert deployed.code == 0, deployed

    seen = _run(sys.executable, "-W", "ignore", "-c", _SCRIPT, environment=started, cwd=tmp_path)
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
