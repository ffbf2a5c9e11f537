"""The MQTT session where a broker alone does not show it: WebSocket, and a clock that is set."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from runner.broker import Mosquitto
from runner.conftest import ECHO, Run


def test_it_speaks_mqtt_over_websocket(edge_hub: Mosquitto, run: Run) -> None:
    environment = {"RUNNER_TRANSPORT": "websocket", "RUNNER_PORT": str(edge_hub.websocket_port)}
    runner = run({**edge_hub.environment(), **environment})
    runner.wait_for("connected to edgeHub")
    edge_hub.send(b"1")
    assert edge_hub.result().json == {"echo": 1}
    assert runner.stop() == 0


CLOCK = """\
import pathlib, time

_real = time.time
_file = pathlib.Path(__file__).with_name("offset")
time.time = lambda: _real() + float(_file.read_text())
"""


@pytest.mark.parametrize("day", [-86_400, 86_400])
def test_a_clock_that_is_set_by_a_day_costs_one_rejected_token_at_the_most(
    edge_hub: Mosquitto, run: Run, tmp_path: Path, day: int
) -> None:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCK)
    (folder / "offset").write_text("0")
    runner = run({**edge_hub.environment(), "PYTHONPATH": f"{folder}:{Path.cwd()}"}, ECHO)
    runner.wait_for("desired properties")
    (folder / "offset").write_text(str(day))
    edge_hub.send(b"1")
    assert edge_hub.result().json == {"echo": 1}
    # edgeHub has the new time, too: it drops the connection at its next check of tokens, and rejects old ones.
    edge_hub.stop()
    edge_hub.start(accept=False)
    runner.wait_for("rejected the connection: not authorized; next attempt in 0.0 s", 20)
    edge_hub.stop()
    edge_hub.start()
    edge_hub.send(b"2")
    # The acknowledgement of the first result may have been lost with the connection: then it comes twice.
    while (result := edge_hub.result(20).json) == {"echo": 1}:
        pass
    assert result == {"echo": 2}
    expiry = int(edge_hub.workload.signed.decode().rpartition("\n")[2])
    assert abs(expiry - (time.time() + day + 3600)) < 60
    # Nothing that is paced waits for the wall clock.
    version = edge_hub.desire({"logLevel": "debug"})
    deadline = time.monotonic() + 15
    while edge_hub.reported.get("logLevel", {}).get("av") != version:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert runner.stop() == 0
