"""A project's modules and routes on this machine, with this Python's own packages."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.services import FakeServices

from manifestgen.edge.message import Message
from manifestgen.errors import FoundError, InputError
from manifestgen.project.load import load
from manifestgen.run.layout import Layout, Origin, lay_out_project, watched
from manifestgen.run.run import Observer, bodies, run, serve, shown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modules need Unix sockets")

PROJECT = """\
version: 1
model: {name: adder, path: model.txt}
image: {builder: local, name: adder, entry_script: score.py, requirements: requirements.txt, registry: acme.azurecr.io}
manifest: {template: anomaly-detection}
target: {device: edge-01}
"""
SCORE = """\
import json, os, pathlib
def init():
    global addend
    (path,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
    addend = int(path.read_text())
def run(data):
    return {"sum": json.loads(data)["x"] + addend, "version": 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "model.txt").write_text("40")
    return tmp_path


@pytest.fixture(autouse=True)
def reaches_out() -> None:
    """Start a process here, so that `--fast` skips the test, and not a thread of the device."""
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)


@pytest.fixture
def make(folder: Path) -> Callable[[], Layout]:
    space = folder / "space"
    space.mkdir()
    return lambda: lay_out_project(load(folder), FakeServices(), space, here=True)


def test_a_project_is_laid_out_as_its_image(make: Callable[[], Layout]) -> None:
    layout = make()
    assert [module.name for module in layout.modules] == ["tempSensor", "adder"]
    assert (layout.own, layout.left_out) == (("adder",), {})
    root = layout.modules[1].code.root
    assert root is not None
    assert (root / "opt/manifestgen/model/model.txt").read_text() == "40"
    assert layout.origin("") == Origin("tempSensor", "temperatureOutput")
    assert layout.origin("camera/frames") == Origin("camera", "frames")
    assert set(layout.hub["routes"]) == {"sensorToModel", "modelToUpstream"}


def test_an_image_that_is_built_elsewhere_is_left_out(folder: Path) -> None:
    project = PROJECT.replace(PROJECT.splitlines()[2], 'image: {builder: none, reference: "acme.azurecr.io/scorer:1"}')
    (folder / "manifestgen.yaml").write_text(project.replace("model: {name: adder, path: model.txt}\n", ""))
    layout = lay_out_project(load(folder), FakeServices(), folder, here=True)
    assert layout.left_out == {"scorer": "acme.azurecr.io/scorer:1"}
    with pytest.raises(InputError, match="no module has the model"):
        layout.origin("")


def test_messages_of_a_file_go_where_the_routes_lead_and_then_it_ends(make: Callable[[], Layout]) -> None:
    found: list[dict[str, Any]] = []
    said: list[str] = []
    observer = Observer(message=found.append, progress=said.append)
    sent = [json.dumps({"x": x}).encode() for x in range(50)]
    assert run(make, messages=iter(sent), observer=observer) == 50
    assert [message["body"]["sum"] for message in found] == list(range(40, 90))
    assert {(message["module"], message["output"]) for message in found} == {("adder", "amlOutput")}
    assert "messages are sent as from module 'tempSensor', output 'temperatureOutput'" in said
    assert threading.active_count() < 10


def test_a_model_that_does_not_load_ends_it_with_its_last_lines(make: Callable[[], Layout], folder: Path) -> None:
    (folder / "model.txt").write_text("no number")
    with pytest.raises(FoundError, match="module 'adder' ended with exit code") as caught:
        run(make, messages=iter([b"{}"]))
    assert any("invalid literal for int" in line for line in caught.value.detail)


def test_what_it_watches_is_what_it_runs(folder: Path) -> None:
    (folder / "features.py").write_text("")
    names = {path.name for path in watched(load(folder))}
    assert names == {"manifestgen.yaml", "score.py", "features.py", "requirements.txt", "model.txt"}


def test_it_watches_the_packages_beside_the_script_too(folder: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units/__init__.py").write_text("")
    (folder / "units/table.csv").write_text("")
    (folder / "score.py").write_text("import units\n" + SCORE)
    assert {folder / "units/__init__.py", folder / "units/table.csv"} <= set(watched(load(folder)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'[{"a": 1}, 2]', [b'{"a": 1}', b"2"]),
        (b'{"a":\n 1}', [b'{"a": 1}']),
        (b'{"a": 1}\n\n{"a": 2}\n', [b'{"a": 1}', b'{"a": 2}']),
        (b"hot\ncold", [b"hot", b"cold"]),
    ],
)
def test_a_file_is_an_array_lines_or_one_message(text: bytes, found: list[bytes]) -> None:
    assert list(bodies(text)) == found


class Started:
    """`manifestgen run` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "manifestgen", "run", str(folder), "--here", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self.threads = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self.lines]
        for thread in self.threads:
            thread.start()

    def _read(self, name: str) -> None:
        with contextlib.closing(getattr(self.process, name)) as stream:
            for line in stream:
                self.lines[name].append(line)

    def until(self, name: str, words: str) -> None:
        deadline = time.monotonic() + 60
        while not any(words in line for line in self.lines[name]):
            assert time.monotonic() < deadline and self.process.poll() is None, (words, self.lines)
            time.sleep(0.02)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        for thread in self.threads:
            thread.join(10)
        return code


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[..., Started]]:
    running: list[Started] = []

    def start(*arguments: str) -> Started:
        running.append(Started(folder, *arguments))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()


def test_a_change_starts_the_modules_again_and_ctrl_c_ends_all(started: Callable[..., Started], folder: Path) -> None:
    (folder / "score.py").write_text(SCORE.replace('json.loads(data)["x"]', "0"))
    run = started("--watch", "--set", "sensor_image=mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5")
    run.until("stdout", '"version": 1')
    (folder / "score.py").write_text(
        SCORE.replace('json.loads(data)["x"]', "0").replace('"version": 1', '"version": 2')
    )
    run.until("stdout", '"version": 2')
    assert any("changed: score.py" in line for line in run.lines["stderr"])
    assert run.interrupt() == 130
    assert json.loads(run.lines["stdout"][0])["module"] == "adder"
    assert "stopped, with everything that it started\n" in run.lines["stderr"]


def test_the_http_contract_alone_is_served(started: Callable[..., Started], free_port: int) -> None:
    run = started("--serve", str(free_port))
    run.until("stderr", "listening at")
    request = urllib.request.Request(f"http://127.0.0.1:{free_port}/score", b'{"x": 2}')
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert json.loads(response.read())["sum"] == 42
    assert run.interrupt() == 130


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(InputError, match=f"port {port} cannot be used: address already in use"):
            serve(lambda: pytest.fail("nothing is laid out"), port, tmp_path)


@pytest.mark.parametrize(
    ("body", "found"),
    [(b"[1]", {"body": [1]}), (b"NaN", {"text": "NaN"}), (b"[" * 100_000, {"text": "[" * 100_000})],
)
def test_what_is_shown_of_a_message_is_json(body: bytes, found: dict[str, Any]) -> None:
    assert found.items() <= shown(Message(body, module="m", output="o")).items()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
