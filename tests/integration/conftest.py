"""Fixtures of the integration tests: a quick sandbox, a project, and the hub as Microsoft's SDK shows it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.other_client import OtherClient
from integration.command_line import in_this_process
from integration.forked import Forks, forks

# azureml-core reads how long it pauses between its attempts when it is imported, so before any test.
_BACKOFFS = ("AZUREML_DEFAULT_BACKOFF", "AZUREML_DEFAULT_500_BACKOFF", "AZUREML_DEFAULT_503_BACKOFF")
os.environ.update(dict.fromkeys(_BACKOFFS, "0"))

_PROJECT = """\
version: 1
workspace: {subscription_id: 5ab5c710-0000-4000-8000-000000000001, resource_group: sandbox, name: sandbox-ml}
model:
  name: best_model
  path: model.pkl
  tags: {area: anomaly, type: classification}
  description: Sample anomaly detection model
image:
  builder: package
  name: NAME
  entry_script: score.py
  conda_file: myenv.yml
  tags: {area: iot}
  description: Anomaly detection on the edge
manifest: {template: anomaly-detection, module: machinelearningmodule}
hub: {host: sandbox-hub.azure-devices.net}
target: {device: DEVICE}
"""

_READY_MADE = """\
version: 1
image: {builder: none, reference: "REFERENCE"}
manifest: {template: anomaly-detection, module: machinelearningmodule}
hub: {host: sandbox-hub.azure-devices.net}
target: {device: DEVICE}
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class ProjectFolder:
    """A project on disk."""

    root: Path
    device: str

    def __fspath__(self) -> str:
        return str(self.root)

    def __str__(self) -> str:
        return str(self.root)

    @property
    def file(self) -> Path:
        return self.root / "manifestgen.yaml"

    def edit(self, before: str, after: str) -> None:
        """Change the project file."""
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands as forks of one process, which has imported the SDKs."""
    with forks(tmp_path_factory.mktemp("forked")) as running:
        yield running


@pytest.fixture
def quick(sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A sandbox whose builds and devices do not dawdle, and commands in this process that ask often."""
    from manifestgen.device import apply
    from manifestgen.images import build as image
    from manifestgen.sandbox.world import Pace
    from manifestgen.target import Patience

    monkeypatch.setattr(image, "PATIENCE", Patience(1800.0, first=0.1, longest=0.1))
    monkeypatch.setattr(apply, "PATIENCE", Patience(600.0, 60.0, 0.05, 0.5))
    monkeypatch.setattr(sandbox.world, "pace", Pace(image_build=0.1, pull=0.0, start=0.0, retry=0.05))
    for name in _BACKOFFS:
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    return sandbox


@pytest.fixture
def new_device(quick: Any) -> Callable[[], str]:
    """Registers another edge device, so that no test finds what a previous one left on it."""

    def register() -> str:
        device = f"edge-test-{next(_numbers)}"
        registered = in_this_process("device", "register", device, "-q")
        assert registered.code == 0, registered
        return device

    return register


@pytest.fixture
def project(tmp_path: Path, new_device: Callable[[], str]) -> ProjectFolder:
    """A project that builds an image, with a device of its own."""
    root = tmp_path / "project"
    root.mkdir()
    device = new_device()
    (root / "manifestgen.yaml").write_text(_PROJECT.replace("DEVICE", device).replace("NAME", f"image-of-{device}"))
    # Contents of its own: models of other tests are in the same workspace.
    (root / "model.pkl").write_bytes(b"model for " + device.encode())
    (root / "score.py").write_text("def init(): pass\n\n\ndef run(input_data): return input_data\n")
    (root / "myenv.yml").write_text("dependencies: [python=3.11, {pip: [azureml-defaults]}]\n")
    return ProjectFolder(root, device)


@pytest.fixture
def ready_made(tmp_path: Path, quick: Any, new_device: Callable[[], str]) -> ProjectFolder:
    """A project whose image is in the sandbox's registry already, so that only the device is left to do."""
    root = tmp_path / "project"
    root.mkdir()
    device = new_device()
    host = quick.world.names.login_server
    quick.admin("PUT", f"/images/{host}/scorer:1", {})
    text = _READY_MADE.replace("DEVICE", device).replace("REFERENCE", f"{host}/scorer:1")
    (root / "manifestgen.yaml").write_text(text)
    return ProjectFolder(root, device)


@dataclass(frozen=True)
class Asked:
    """The sandbox's log of requests, as counts."""

    sandbox: Any

    def times(self, method: str, path: str, *, answered: bool = True) -> int:
        """How many requests with this method and this part in their path were made."""
        return sum(
            entry["method"] == method and path in entry["path"] and (not answered or 200 <= entry["status"] < 300)
            for entry in self.sandbox.admin("GET", "/requests")
        )

    def _accepted(self, *ends: str) -> int:
        """How many POSTs to a path that ends so were taken, whether or not the client got to know."""
        return sum(
            entry["method"] == "POST" and entry["path"].endswith(ends) and entry["status"] < 300
            for entry in self.sandbox.admin("GET", "/requests")
        )

    @property
    def registered(self) -> int:
        """Models registered."""
        return self._accepted("/models")

    @property
    def built(self) -> int:
        """Builds started."""
        return self._accepted("/images", "/packages")

    @property
    def applied(self) -> int:
        """Times that modules were set, whether or not the client got to know."""
        return self.times("POST", "/applyConfigurationContent", answered=False)


@pytest.fixture
def asked(quick: Any) -> Asked:
    return Asked(quick)


@pytest.fixture
def hub(quick: Any) -> Any:
    """The hub, through Microsoft's SDK."""
    pytest.importorskip("uamqp", reason="Microsoft's SDK for IoT Hub is not installed")
    from azure.iot.hub import IoTHubConfigurationManager

    return IoTHubConfigurationManager.from_connection_string(quick.environment["IOTHUB_CONNECTION_STRING"]).protocol


@pytest.fixture
def desired(quick: Any) -> Callable[[str], Mapping[str, Any]]:
    """What a device's edgeAgent should run, read with another client."""
    return OtherClient(quick.environment["IOTHUB_CONNECTION_STRING"]).desired
