"""What the conformance suite needs of an edgeHub, and mosquitto in the place of one.

Mosquitto is a broker: the queue, the redelivery and the packets are real. Twins, methods and routes are played by a
client of the test (`Cloud`), with QoS 0: mosquitto's one message in flight would hold an answer back behind an input
that is in work, and edgeHub's lock is for inputs alone. It cannot show SAS tokens being checked, the repetition after
30 seconds, routes, time to live and edgeHub's limit of 256 KiB.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

import paho.mqtt.client as mqtt
import trustme
from paho.mqtt.enums import CallbackAPIVersion
from runner.workload_server import Workload, workload_socket

HUB, DEVICE, MODULE, GENERATION = "acme.azure-devices.net", "edge-1", "scorer", "638 genid"
EVENTS = f"devices/{DEVICE}/modules/{MODULE}/messages/events/"
INPUTS = f"devices/{DEVICE}/modules/{MODULE}/inputs/"


@dataclass(frozen=True)
class Result:
    """A message that a module sent."""

    properties: dict[str, str]
    body: bytes

    @property
    def output(self) -> str:
        return self.properties["$.on"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Broker(Protocol):
    """An edgeHub with one module, and the cloud behind it."""

    def environment(self) -> dict[str, str]:
        """The variables that IoT Edge gives the module."""
        ...

    def send(self, body: bytes, properties: Mapping[str, str] = {}, name: str = "amlInput") -> None:
        """Route a message to an input of the module."""
        ...

    def result(self, timeout: float = 30) -> Result:
        """The next message that the module sent."""
        ...

    def no_result(self, seconds: float = 0.5) -> None:
        """Assert that the module sends nothing."""
        ...

    def desire(self, patch: Mapping[str, Any]) -> int:
        """Patch the desired properties; the new version."""
        ...

    @property
    def reported(self) -> dict[str, Any]:
        """The reported properties."""
        ...

    def call(self, name: str, payload: bytes, timeout: float = 30) -> tuple[int, Any]:
        """Call a direct method: status and payload."""
        ...

    def cut(self) -> None:
        """Break the module's connection."""
        ...

    def stop(self) -> None:
        """Take the broker away. Sessions survive."""
        ...

    def start(self) -> None:
        """Bring it back."""
        ...


# Below those that systems give to connections, which other tests make all the time; each worker begins elsewhere.
_PORTS: Final = itertools.cycle(range(20000, 32000))
for _ in range(os.getpid() * 101 % 12000):
    next(_PORTS)


def free_port() -> int:
    """A port of loopback that is free now, and that this process has not named before."""
    for port in _PORTS:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports never end")


class Certificates:
    """A throw-away CA, and a certificate of its for localhost."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        certificate = authority.issue_cert(name)
        self.bundle = authority.cert_pem.bytes().decode()
        self.authority_file, self.chain_file, self.key_file = (folder / n for n in ("ca.pem", "chain.pem", "key.pem"))
        self.authority_file.write_text(self.bundle)
        self.chain_file.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self.key_file.write_bytes(certificate.private_key_pem.bytes())

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        return context


def leave(client: mqtt.Client) -> None:
    """Disconnect, and close the socket even if the client's thread has ended before it came to that."""
    client.disconnect()
    client.loop_stop()
    sock = client.socket()
    if sock is not None:
        sock.close()


class Cloud:
    """Plays what is behind edgeHub: routes messages to inputs, holds the twin, calls methods."""

    def __init__(self, port: int) -> None:
        self.results: list[Result] = []
        self.desired: dict[str, Any] = {}
        self.version = 1
        self.reported: dict[str, Any] = {}
        self.reports: list[dict[str, Any]] = []
        self.gets = 0
        self.answer_twin = True
        self.methods: dict[str, tuple[int, bytes]] = {}
        self._changed = threading.Condition()
        self._taken = 0
        self._port = port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="cloud", clean_session=False)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def connect(self) -> None:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def close(self) -> None:
        leave(self._client)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        topics = (
            f"{EVENTS}#",
            "$iothub/twin/GET/#",
            "$iothub/twin/PATCH/properties/reported/#",
            "$iothub/methods/res/#",
        )
        client.subscribe([(topic, 1) for topic in topics])

    def _on_message(self, client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self._take(message)
            self._changed.notify_all()

    def _take(self, message: mqtt.MQTTMessage) -> None:
        topic = message.topic
        if topic.startswith(EVENTS):
            pairs = (pair.partition("=") for pair in topic[len(EVENTS) :].split("&") if pair)
            properties = {unquote(name): unquote(value) for name, _, value in pairs}
            self.results.append(Result(properties, bytes(message.payload)))
            return
        request = topic.rpartition("$rid=")[2]
        if topic.startswith("$iothub/methods/res/"):
            self.methods[request] = (int(topic.split("/")[3]), bytes(message.payload))
        elif topic.startswith("$iothub/twin/GET/"):
            self.gets += 1
            if self.answer_twin:
                twin = {
                    "desired": {**self.desired, "$version": self.version},
                    "reported": {**self.reported, "$version": 1},
                }
                self._client.publish(f"$iothub/twin/res/200/?$rid={request}", json.dumps(twin), qos=0)
        else:
            patch = json.loads(message.payload)
            self.reports.append(patch)
            self.reported = _merged(self.reported, patch)
            self._client.publish(f"$iothub/twin/res/204/?$rid={request}&$version=2", b"", qos=0)

    def wait(self, condition: Any, timeout: float = 30) -> Any:
        """Wait until the condition holds, and return what it returned."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, "timed out"
                self._changed.wait(min(left, 0.2))
        return value

    def send(self, topic: str, body: bytes) -> None:
        self._client.publish(topic, body, qos=1)

    def next_result(self, timeout: float) -> Result:
        self.wait(lambda: len(self.results) > self._taken, timeout)
        self._taken += 1
        return self.results[self._taken - 1]

    def desire(self, patch: Mapping[str, Any], *, tell: bool = True) -> int:
        with self._changed:
            self.desired = _merged(self.desired, patch)
            self.version += 1
            if tell:
                # Not kept for a module that is away: QoS 0.
                topic = f"$iothub/twin/PATCH/properties/desired/?$version={self.version}"
                self._client.publish(topic, json.dumps({**patch, "$version": self.version}), qos=0)
            return self.version

    def call(self, name: str, payload: bytes, timeout: float) -> tuple[int, Any]:
        request = f"r{time.monotonic_ns()}"
        self._client.publish(f"$iothub/methods/POST/{quote(name)}/?$rid={request}", payload, qos=0)
        status, content = self.wait(lambda: self.methods.get(request), timeout)
        return status, json.loads(content)


def _merged(base: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merged(merged[key] if isinstance(merged.get(key), dict) else {}, value)
        else:
            merged[key] = value
    return merged


class Mosquitto:
    """Debian's mosquitto: TLS, and one message in flight."""

    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")

    def __init__(
        self, folder: Path, workload: Workload, certificates: Certificates, *, inflight: int = 1, quiet: bool = False
    ) -> None:
        self.workload = workload
        self.port, self.plain_port, self.websocket_port = free_port(), free_port(), free_port()
        self._certificates, self._folder, self._inflight = certificates, folder, inflight
        self._log = [] if quiet else ["-v"]
        self._process: subprocess.Popen[bytes] | None = None
        self.cloud = Cloud(self.plain_port)

    def environment(self) -> dict[str, str]:
        return module_environment(self.workload, self.port)

    def server_context(self) -> ssl.SSLContext:
        """For whoever stands in for this broker: its certificate."""
        return self._certificates.server_context()

    def start(self, *, accept: bool = True) -> None:
        """Start it; one that does not accept rejects every module's password."""
        assert self.program, "mosquitto is not installed"
        nobody = self._folder / "passwords"
        nobody.touch()
        tls = f"certfile {self._certificates.chain_file}\nkeyfile {self._certificates.key_file}\n"
        access = "allow_anonymous true\n" if accept else f"allow_anonymous false\npassword_file {nobody}\n"
        # Settings for each listener: the cloud may always come in.
        configuration = (
            "per_listener_settings true\n"
            "set_tcp_nodelay true\n"
            f"max_inflight_messages {self._inflight}\nmax_queued_messages 0\nautosave_interval 1\n"
            f"listener {self.port} 127.0.0.1\n{tls}{access}persistence true\npersistence_location {self._folder}/\n"
            f"listener {self.websocket_port} 127.0.0.1\nprotocol websockets\n{tls}{access}"
            f"listener {self.plain_port} 127.0.0.1\nallow_anonymous true\n"
        )
        (self._folder / "mosquitto.conf").write_text(configuration)
        log = (self._folder / "mosquitto.log").open("ab")
        user = [] if os.geteuid() else ["user root\n"]
        (self._folder / "mosquitto.conf").write_text("".join(user) + configuration)
        with log:
            self._process = subprocess.Popen(
                [self.program, "-c", str(self._folder / "mosquitto.conf"), *self._log], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.plain_port), timeout=1).close()
                break
            except OSError:
                assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self) -> None:
        """Take it away, as a restart of edgeHub does; its queues are kept."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def send(self, body: bytes, properties: Mapping[str, str] = {}, name: str = "amlInput") -> None:
        text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in properties.items())
        self.cloud.send(f"{INPUTS}{quote(name, safe='')}/{text}", body)

    def result(self, timeout: float = 30) -> Result:
        return self.cloud.next_result(timeout)

    def no_result(self, seconds: float = 0.5) -> None:
        with contextlib.suppress(AssertionError):
            unexpected = self.cloud.next_result(seconds)
            raise RuntimeError(f"the module sent {unexpected}")

    def desire(self, patch: Mapping[str, Any]) -> int:
        return self.cloud.desire(patch)

    @property
    def reported(self) -> dict[str, Any]:
        return self.cloud.reported

    def call(self, name: str, payload: bytes, timeout: float = 30) -> tuple[int, Any]:
        return self.cloud.call(name, payload, timeout)

    def cut(self) -> None:
        """Break the module's connection: another client takes its identity over for a moment."""
        self._as_module(lambda client: None)

    def open_session(self) -> None:
        """Keep messages from now on, though the module has not been there yet: edgeHub's store does."""
        self._as_module(lambda client: client.subscribe(f"{INPUTS}#", 1))

    def _as_module(self, act: Callable[[mqtt.Client], object]) -> None:
        """Connect as the module, do something, and leave without having acknowledged anything."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{DEVICE}/{MODULE}",
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        done = threading.Event()
        client.on_connect = lambda *_: done.set() if act(client) is None else None
        client.on_subscribe = lambda *_: done.set()
        client.connect("127.0.0.1", self.plain_port)
        client.loop_start()
        assert done.wait(5)
        leave(client)


def module_environment(workload: Workload, port: int) -> dict[str, str]:
    """The variables that IoT Edge gives a module, and the port of this test's broker."""
    return {
        "IOTEDGE_WORKLOADURI": workload.uri,
        "IOTEDGE_AUTHSCHEME": "sasToken",
        "IOTEDGE_MODULEGENERATIONID": GENERATION,
        "IOTEDGE_IOTHUBHOSTNAME": HUB,
        "IOTEDGE_GATEWAYHOSTNAME": "localhost",
        "IOTEDGE_DEVICEID": DEVICE,
        "IOTEDGE_MODULEID": MODULE,
        "IOTEDGE_APIVERSION": "2021-12-07",
        "RuntimeLogLevel": "info",
        "RUNNER_PORT": str(port),
    }


@contextmanager
def mosquitto(folder: Path, *, inflight: int = 1, quiet: bool = False) -> Iterator[Mosquitto]:
    """A running mosquitto with the cloud connected to it, and a workload socket."""
    certificates = Certificates(folder / "certificates")
    with workload_socket(folder / "workload.sock", certificates.bundle) as workload:
        broker = Mosquitto(folder, workload, certificates, inflight=inflight, quiet=quiet)
        broker.start()
        broker.cloud.connect()
        broker.open_session()
        try:
            yield broker
        finally:
            broker.cloud.close()
            broker.stop()
