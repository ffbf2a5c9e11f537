"""The whole runner within the test's process, where its lines are measured; other tests start it as a device does."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runner.broker import Mosquitto, free_port
from runner.proxy import CONNACK, CONNECT, proxy
from runner.test_http import Server, ask

from manifestgen.runner.__main__ import main
from manifestgen.runner.edge import EdgeModule
from manifestgen.runner.handler import Receipt

SCRIPT = """\
import json

factor = 1

def init():
    pass

def configure(factor=1):
    if factor == 13:
        raise ValueError("unlucky")
    globals().update(factor=factor)

def run(data):
    value = json.loads(data)
    if isinstance(value, list):
        return [one * factor for one in value]
    if value == 0:
        return None
    return value * factor
"""


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """Undo what a process that runs the runner alone does not have to."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    path, finders, module = sys.path[:], sys.meta_path[:], sys.modules.get("entry_module")
    loggers = [logging.getLogger(), logging.getLogger("runner")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, found) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = found
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)
    sys.path[:], sys.meta_path[:] = path, finders
    sys.modules.pop("entry_module", None)
    if module is not None:
        sys.modules["entry_module"] = module


def during(environment: dict[str, str], act: Callable[[], None], *arguments: str, stop: bool = True) -> int:
    """Run the runner in this thread, and `act` in another; the exit code. What ends by itself must not be stopped."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals need the main thread")
    problems: list[BaseException] = []

    def other() -> None:
        try:
            act()
        except BaseException as error:
            problems.append(error)
        finally:
            if stop:
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        code = main(list(arguments), environment)
    finally:
        thread.join(30)
    if problems:
        raise problems[0]
    return code


def variables(edge_hub: Mosquitto, tmp_path: Path, **more: str) -> dict[str, str]:
    (tmp_path / "score.py").write_text(SCRIPT)
    return {**edge_hub.environment(), "AML_APP_ROOT": str(tmp_path), **more}


def wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_at_least_once_with_everything_switched_on(edge_hub: Mosquitto, tmp_path: Path) -> None:
    http, metrics = free_port(), free_port()

    def act() -> None:
        edge_hub.send(b"2", {"$.mid": "m"})
        assert edge_hub.result().json == 2
        version = edge_hub.desire({"factor": 10, "other": 1, "runTimeout": 100})
        wait(lambda: edge_hub.reported.get("factor", {}).get("av") == version)
        edge_hub.send(b"0")
        edge_hub.send(b"{")
        edge_hub.send(b"\xff")
        edge_hub.send(b"5", name="other")
        edge_hub.send(b"3")
        assert [edge_hub.result().output for _ in range(2)] == ["errors", "errors"]
        assert edge_hub.result().json == 30
        edge_hub.desire({"factor": 13})
        wait(lambda: "unlucky" in edge_hub.reported["factor"].get("ad", ""))
        assert edge_hub.call("score", b"4") == (200, 40)
        assert edge_hub.call("score", b'"x')[0] == 400
        assert edge_hub.call("reload", b"null")[0] == 200
        assert edge_hub.call("status", b"null")[1]["counts"]["filtered"] == 1
        assert edge_hub.call("none", b"null")[0] == 404
        assert ask(http, body=b"5")[1] == b"5"  # after the reload `configure` still rejects 13
        assert ask(http, body=b"{")[0] == 500
        assert b"runner_connected 1" in ask(metrics, "GET", "/metrics")[1]
        edge_hub.cut()
        edge_hub.send(b"6")
        assert edge_hub.result(20).json == 6

    environment = variables(
        edge_hub,
        tmp_path,
        RUNNER_HTTP=str(http),
        RUNNER_METRICS=str(metrics),
        RUNNER_SAMPLES=str(tmp_path / "samples"),
        RUNNER_SAMPLE_EVERY="1",
        AZUREML_MODEL_DIR=str(tmp_path),
    )
    assert during(environment, act) == 0


def test_at_most_once_and_batches(edge_hub: Mosquitto, tmp_path: Path) -> None:
    def act() -> None:
        for number in range(20):
            edge_hub.send(b"%d" % (number + 1))
        assert [edge_hub.result().json for _ in range(20)] == list(range(1, 21))
        edge_hub.desire({"batch": {"max": 5, "wait_ms": 50}, "factor": 2})
        wait(lambda: "batch" in edge_hub.reported)
        for number in range(10):
            edge_hub.send(b"%d" % number)
        assert [edge_hub.result().json for _ in range(10)] == [number * 2 for number in range(10)]

    environment = variables(edge_hub, tmp_path, RUNNER_DELIVERY="at-most-once", RUNNER_QUEUE="3")
    assert during(environment, act) == 0


def test_a_connection_that_breaks_before_a_write_is_made_again(
    edge_hub: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    received = EdgeModule.received
    breaks = [True]

    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:

        def late(module: EdgeModule, topic: str, payload: bytes, receipt: Receipt) -> None:
            if "/inputs/other" in topic and breaks:
                breaks.clear()
                recorder.cut(reset=True)
                time.sleep(0.3)
            # Acknowledged within this call: the write that fails.
            received(module, topic, payload, receipt)

        monkeypatch.setattr(EdgeModule, "received", late)

        def act() -> None:
            # Nothing else is under way: the reset is met by a write, not by a read.
            wait(lambda: "runner" in edge_hub.reported)
            time.sleep(0.5)
            edge_hub.send(b"0", name="other")
            edge_hub.send(b"1")
            assert edge_hub.result().json == 1

        assert during(variables(edge_hub, tmp_path, RUNNER_PORT=str(recorder.port)), act) == 0
    printed = capsys.readouterr().out
    assert "lost the connection to edgeHub" in printed
    assert "unexpectedly" not in printed


def test_an_edge_hub_that_does_not_answer_the_connect_is_left(
    edge_hub: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("manifestgen.runner.session._CONNECT_TIMEOUT", 1.0)
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        silent = [True]
        recorder.hold = lambda packet: packet.kind == CONNACK and bool(silent)

        def act() -> None:
            edge_hub.send(b"1")
            recorder.wait_for("module", CONNECT, 2)
            silent.clear()
            assert edge_hub.result().json == 1

        assert during(variables(edge_hub, tmp_path, RUNNER_PORT=str(recorder.port)), act) == 0
    printed = capsys.readouterr().out
    assert "did not answer within 1 s" in printed
    assert "unexpectedly" not in printed


def test_the_bridge(edge_hub: Mosquitto, tmp_path: Path) -> None:
    port = free_port()
    servers: list[Server] = []

    def act() -> None:
        edge_hub.send(b"1")
        edge_hub.cloud.wait(lambda: edge_hub.reported)  # by then it has subscribed to methods
        assert edge_hub.call("score", b"1")[0] == 503
        servers.append(Server(lambda body: (200, json.dumps([body]).encode()) if body != 2 else (400, b"no"), port))
        assert edge_hub.result().json == [1]
        edge_hub.send(b"2")
        assert edge_hub.result().json["error"] == "the server answered with status 400: no"

    assert during(edge_hub.environment(), act, "--forward", f"http://127.0.0.1:{port}/") == 0
    for server in servers:
        server.stop()


def test_too_many_errors(edge_hub: Mosquitto, tmp_path: Path) -> None:
    edge_hub.send(b"{")
    environment = variables(edge_hub, tmp_path, RUNNER_MAX_ERRORS="1")
    assert during(environment, lambda: None, stop=False) == 4
    assert "maxErrors (1) reached" in edge_hub.reported["runner"]["error"]


@pytest.mark.parametrize(("text", "code"), [("", 3), (None, 3)])
def test_a_script_that_cannot_be_used(edge_hub: Mosquitto, tmp_path: Path, text: str | None, code: int) -> None:
    environment = variables(edge_hub, tmp_path)
    if text is None:
        (tmp_path / "score.py").unlink()
    else:
        (tmp_path / "score.py").write_text(text)
    assert during(environment, lambda: None, stop=False) == code
    assert "score.py" in edge_hub.reported["runner"]["error"]


@pytest.mark.parametrize("name", ["RUNNER_QUEUE", "RUNNER_PORT"])
def test_a_variable_that_cannot_be_used(name: str) -> None:
    assert main([], {name: "many"}) == 2


def test_the_connection_string_of_a_module_will_do_for_debugging(edge_hub: Mosquitto, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(edge_hub.workload.trust_bundle)
    key = "bm9ib2R5J3Mga2V5"
    identity = "HostName=acme.azure-devices.net;DeviceId=edge-1;ModuleId=scorer"
    text = f"{identity};SharedAccessKey={key};GatewayHostName=localhost"
    environment = {
        "EdgeHubConnectionString": text,
        "EdgeModuleCACertificateFile": str(authority),
        "RUNNER_PORT": str(edge_hub.port),
        "AML_APP_ROOT": str(tmp_path),
    }
    (tmp_path / "score.py").write_text(SCRIPT)

    def act() -> None:
        edge_hub.send(b"1")
        assert edge_hub.result().json == 1

    assert during(environment, act) == 0
    assert edge_hub.workload.requests == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EdgeHubConnectionString": "HostName=a;DeviceId=b"}, "has no ModuleId and no SharedAccessKey"),
        ({"EdgeHubConnectionString": "HostName=a;DeviceId=b;ModuleId=c;SharedAccessKey=%%"}, "is not base64"),
        ({"EdgeModuleCACertificateFile": ""}, "EdgeModuleCACertificateFile is not set"),
        ({"EdgeModuleCACertificateFile": "/nowhere"}, "EdgeModuleCACertificateFile '/nowhere' cannot be read"),
        ({"EdgeHubConnectionString": "", "IOTEDGE_DEVICEID": "d"}, "IOTEDGE_IOTHUBHOSTNAME is not set"),
    ],
)
def test_a_connection_string_that_cannot_be_used(
    change: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = {
        "EdgeHubConnectionString": "HostName=a;DeviceId=b;ModuleId=c;SharedAccessKey=YQ==",
        "EdgeModuleCACertificateFile": __file__,
    }
    assert main([], {**complete, **change}) == 2
    printed = capsys.readouterr().out
    assert words in printed
    assert "YQ==" not in printed
