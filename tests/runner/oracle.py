"""Keeps the packets that Microsoft's azure-iot-device sends: `python oracle.py [PYTHON] > oracle.json`.

azure-iot-device 2.14 needs paho-mqtt < 2, so it cannot be installed beside the runner. Without PYTHON a virtual
environment is made for it, which downloads it from PyPI. The packets are kept in `oracle.json`; the tests compare the
runner's with them, and a slow one makes them anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from runner.broker import EVENTS, Certificates, Mosquitto, module_environment
from runner.proxy import CONNECT, PUBLISH, SUBSCRIBE, Packet, Proxy, proxy
from runner.workload_server import workload_socket

PACKAGES = ("azure-iot-device==2.14.0",)

# What differs each time, and what stands for it.
_PASSING = (
    (re.compile(rb"(?<=\$rid=)[^&]+"), b"RID"),
    (re.compile(rb"(?<=&sig=)[^&]+"), b"SIGNATURE"),
    (re.compile(rb"(?<=&se=)\d+"), b"EXPIRY"),
    (re.compile(rb"(?<=DeviceClientType=).+"), b"CLIENT"),
)


def _lasting(data: bytes) -> str:
    for pattern, word in _PASSING:
        data = pattern.sub(word, data)
    return data.decode("latin-1")


def essence(packets: list[Packet]) -> dict[str, Any]:
    """What a module sent, without packet IDs and without what differs each time."""
    (connect, *_) = [packet for packet in packets if packet.kind == CONNECT]
    head, client, user, password = connect.connect
    published: dict[str, Any] = {}
    for packet in (p for p in packets if p.kind == PUBLISH):
        topic = _lasting(packet.topic.encode())
        name = "result" if topic.startswith(EVENTS) else topic.partition("?")[0]
        content = None if "reported" in topic else packet.payload.decode()
        published[name] = {"topic": topic, "first byte": packet.first, "payload": content}
    return {
        "connect": {
            "first byte": connect.first,
            "head": head.hex(),
            "client id": client.decode(),
            "user name": _lasting(user),
            "password": _lasting(password),
        },
        "subscribe": sorted(
            [[packet.first, *filter] for packet in packets if packet.kind == SUBSCRIBE for filter in packet.filters]
        ),
        "filters in a packet": sorted({len(p.filters) for p in packets if p.kind == SUBSCRIBE}),
        "publish": published,
    }


def play(broker: Mosquitto, recorder: Proxy) -> None:
    """What happens to the module: an input, a method, a patch. It has to answer the first two and report."""
    broker.send(b'{"a": 1}', {"$.mid": "m 1", "$.cdid": "camera", "site": "K\u00f6ln / 3", "odd &=?": "x+y~"})
    broker.desire({"logLevel": "info"})
    assert broker.call("ping", b"null")[0] == 200
    broker.result()
    broker.cloud.wait(lambda: broker.cloud.reports)


def record(python: str, folder: Path) -> dict[str, Any]:
    """What azure-iot-device sends."""
    certificates = Certificates(folder / "certificates")
    with workload_socket(folder / "workload.sock", certificates.bundle) as workload:
        broker = Mosquitto(folder, workload, certificates)
        broker.start()
        broker.cloud.connect()
        try:
            with proxy(broker.plain_port, certificates.server_context()) as recorder:
                variables = {**os.environ, **module_environment(workload, recorder.port)}
                redirect(folder, recorder.port)
                variables["PYTHONPATH"] = str(folder)
                client = str(Path(__file__).with_name("oracle_client.py"))
                with subprocess.Popen([python, client], env=variables, stdout=subprocess.PIPE, text=True) as process:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "ready\n"
                    play(broker, recorder)
                    assert process.wait(60) == 0
                return essence([packet for packet in recorder.packets if packet.sender == "module"])
        finally:
            broker.cloud.close()
            broker.stop()


def redirect(folder: Path, port: int) -> None:
    """Let a process with this folder in PYTHONPATH connect to this port: azure-iot-device has no setting for it."""
    (folder / "sitecustomize.py").write_text(
        "import socket\n"
        "original = socket.create_connection\n"
        "def connect(address, *rest, **named):\n"
        f"    return original((address[0], {port} if address[1] == 8883 else address[1]), *rest, **named)\n"
        "socket.create_connection = connect\n"
    )


def install(folder: Path) -> str:
    """A virtual environment with azure-iot-device in it; its interpreter."""
    venv.create(folder)
    python = str(folder / "bin" / "python")
    # Pip is here already; and most of what is installed is never imported.
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", *PACKAGES]
    subprocess.run(command, check=True)
    return python


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        interpreter = sys.argv[1] if len(sys.argv) > 1 else install(Path(made) / "venv")
        (Path(made) / "broker").mkdir()
        json.dump({"packages": PACKAGES, **record(interpreter, Path(made) / "broker")}, sys.stdout, indent=1)
        sys.stdout.write("\n")
