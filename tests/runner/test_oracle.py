"""The packets are those of Microsoft's azure-iot-device, byte for byte where they should be equal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from runner import oracle
from runner.broker import Mosquitto
from runner.conftest import Run
from runner.proxy import CONNECT, Packet, proxy
from runner.workload_server import KEY

KEPT = json.loads((Path(__file__).parent / "oracle.json").read_text())


@pytest.fixture
def sent(edge_hub: Mosquitto, run: Run) -> list[Packet]:
    """What the runner sends when the same happens to it."""
    with proxy(edge_hub.plain_port, edge_hub.server_context()) as recorder:
        runner = run({**edge_hub.environment(), "RUNNER_PORT": str(recorder.port)})
        runner.wait_for("desired properties")
        oracle.play(edge_hub, recorder)
        return [packet for packet in recorder.packets if packet.sender == "module"]


def test_the_packets_are_those_of_azure_iot_device(sent: list[Packet]) -> None:
    ours: dict[str, Any] = oracle.essence(sent)
    theirs = {key: deepcopy(value) for key, value in KEPT.items() if key != "packages"}
    # It asks for the twin with a blank as the payload, since its own layers take an empty one for none.
    assert theirs["publish"]["$iothub/twin/GET/"].pop("payload") == " "
    assert ours["publish"]["$iothub/twin/GET/"].pop("payload") == ""
    # It acknowledges everything at once. The runner acknowledges an input when it is scored, and what comes meanwhile
    # must not need an acknowledgement: edgeHub takes them only in the order of its messages.
    assert {qos for _, topic, qos in theirs["subscribe"] if topic.startswith("$")} == {1}
    theirs["subscribe"] = [[first, topic, 0 if topic[0] == "$" else 1] for first, topic, _ in theirs["subscribe"]]
    assert ours == theirs


def test_the_token_is_signed_by_the_workload_api_and_valid_for_an_hour(sent: list[Packet]) -> None:
    (connect,) = [packet for packet in sent if packet.kind == CONNECT]
    password = connect.connect[3].decode()
    fields = dict(pair.split("=", 1) for pair in password.removeprefix("SharedAccessSignature ").split("&"))
    assert list(fields) == ["sr", "sig", "se"]
    signed = f"{fields['sr']}\n{fields['se']}".encode()
    assert base64.b64decode(unquote(fields["sig"])) == hmac.new(KEY, signed, hashlib.sha256).digest()
    assert unquote(fields["sr"]) == "acme.azure-devices.net/devices/edge-1/modules/scorer"
    assert 3500 < int(fields["se"]) - time.time() <= 3600


@pytest.mark.slow
def test_the_kept_packets_are_what_azure_iot_device_sends_now(tmp_path: Path) -> None:
    if Mosquitto.program is None:
        pytest.skip("mosquitto is not installed")
    try:
        python = oracle.install(tmp_path / "venv")
    except subprocess.CalledProcessError:
        try:
            urllib.request.urlopen("https://pypi.org/simple/pip/", timeout=10).close()
        except (OSError, urllib.error.URLError):
            pytest.skip("PyPI is not reachable")
        raise
    (tmp_path / "broker").mkdir()
    made = oracle.record(python, tmp_path / "broker")
    assert made == {key: value for key, value in KEPT.items() if key != "packages"}
