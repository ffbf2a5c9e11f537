"""Clients that others wrote: azure-iot-device, and mosquitto's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from edge.hubs import Hub, running, wait
from edge.raw import token, user_name
from runner.oracle import PACKAGES, redirect

from manifestgen.edge.hub import Limits
from manifestgen.edge.workload import Workload

CLIENT = Path(__file__).with_name("azure_device.py")
ROUTES = (
    'FROM /messages/modules/a/outputs/out WHERE $body.t > 0 INTO BrokeredEndpoint("/modules/b/inputs/warm")',
    "FROM /messages/modules/a/* INTO $upstream",
)


class _Process:
    """A process whose lines are JSON."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.lines: list[Any] = []
        self._process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def wait(self) -> int:
        code = self._process.wait(60)
        self._reader.join(10)
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def azure_iot_device(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has it: it needs another paho-mqtt than the runner."""
    folder = tmp_path_factory.mktemp("azure-iot-device")
    uv = [sys.executable, "-m", "uv"]
    python = str(folder / "bin" / "python")
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    # From the index of the machine: the suite leads uv to one that does not exist.
    environment = {name: value for name, value in os.environ.items() if name != "UV_DEFAULT_INDEX"}
    install = [*uv, "pip", "install", "--quiet", "--python", python, *PACKAGES]
    made = subprocess.run(install, env=environment, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"azure-iot-device cannot be installed: {made.stderr.strip()[-200:]}")
    return python


@pytest.mark.slow
def test_azure_iot_device_is_a_module_and_another_one_by_route(azure_iot_device: str, tmp_path: Path) -> None:
    with running(Limits()) as hub, ExitStack() as stack:
        hub.routes(*ROUTES)
        redirect(tmp_path, hub.hub.port)

        def start(module: str, role: str) -> _Process:
            workload = Workload(hub.identity, module, "1", tmp_path / f"{module}.sock")
            workload.start()
            stack.callback(workload.stop)
            variables = hub.identity.environment(module, "1", workload.uri)
            process = _Process(
                [azure_iot_device, str(CLIENT), role], {**os.environ, **variables, "PYTHONPATH": str(tmp_path)}
            )
            stack.callback(process.close)
            return process

        receiver = start("b", "receiver")
        wait(lambda: receiver.lines, 30)
        sender = start("a", "sender")
        wait(lambda: {"sent": 3} in sender.lines, 30)
        answer = hub.hub.invoke("a", "ping", {"n": 1}, connect_timeout=30)
        assert (answer.status, answer.payload) == (200, {"echo": {"n": 1}})
        version = hub.cloud.desire("a", {"threshold": 2})
        hub.hub.desired_changed("a", {"threshold": 2}, version)
        assert (sender.wait(), receiver.wait()) == (0, 0)
        assert sender.lines[0] == {"twin": {"desired": {"threshold": 1, "$version": 1}, "reported": {"$version": 1}}}
        assert sender.lines[-1] == {"patch": {"threshold": 2, "$version": 2}}
        assert receiver.lines[1:] == [
            {"input": "warm", "body": {"t": number}, "id": f"m{number}", "site": "Köln / 3"} for number in (1, 2)
        ]
        assert [json.loads(message.body)["t"] for message in hub.upstream(3)] == [0, 1, 2]
        assert hub.cloud.twin("a").reported == {"state": "ready"}
        wait(lambda: not hub.hub.waiting())


@pytest.fixture
def trust(hub: Hub, tmp_path: Path) -> Iterator[Path]:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto-clients is not installed")
    path = tmp_path / "ca.pem"
    path.write_text(hub.identity.trust_bundle)
    yield path


def _mosquitto(hub: Hub, trust: Path, program: str, module: str, password: str, *arguments: str) -> list[str]:
    who = ["-i", f"edge-1/{module}", "-u", user_name(hub.identity, module), "-P", password]
    where = ["-h", "localhost", "-p", str(hub.hub.port), "--cafile", str(trust), "-V", "mqttv311"]
    return [program, *where, *who, "-q", "1", *arguments]


def test_mosquitto_s_clients_send_and_receive_with_the_right_token(hub: Hub, trust: Path) -> None:
    hub.routes('FROM /messages/modules/a/* INTO BrokeredEndpoint("/modules/b/inputs/in")')
    topic = "devices/edge-1/modules/b/inputs/#"
    listen = _mosquitto(hub, trust, "mosquitto_sub", "b", token(hub.identity, "b"), "-t", topic, "-C", "1", "-W", "20")
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as subscriber:
        events = "devices/edge-1/modules/a/messages/events/%24.on=out"
        publish = _mosquitto(hub, trust, "mosquitto_pub", "a", token(hub.identity, "a"), "-t", events, "-m", "hello")
        assert subprocess.run(publish, capture_output=True, timeout=20).returncode == 0
        assert subscriber.communicate(timeout=20)[0] == "hello\n"


def test_mosquitto_s_client_is_refused_with_a_wrong_token(hub: Hub, trust: Path) -> None:
    events = "devices/edge-1/modules/a/messages/events/"
    wrong = token(hub.identity, "a", key=b"guessed")
    publish = _mosquitto(hub, trust, "mosquitto_pub", "a", wrong, "-t", events, "-m", "hello")
    refused = subprocess.run(publish, capture_output=True, text=True, timeout=20)
    assert refused.returncode == 5
    assert "not authorised" in refused.stderr.lower()
