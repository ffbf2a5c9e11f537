"""How fast, how large and how even the runner is: `python tests/bench/runner.py [--oracle PYTHON] [--messages 100000]`.

A mosquitto on loopback, TLS, and the runner as a process of its own with a `run()` that does nothing. Yardsticks in the
same run: `run()` called bare, a loop with nothing but paho (the ceiling), and azure-iot-device's handler (the oracle;
without --oracle a virtual environment is made for it, which needs PyPI). Ratios count; a shared machine is noisy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

sys.path[0] = str(Path(__file__).parents[1])  # this folder has a runner.py of its own: this one

from runner import oracle
from runner.broker import DEVICE, EVENTS, INPUTS, MODULE, Mosquitto, mosquitto
from runner.process import RunnerProcess

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return 1\n"

# The least that a module can do: take a message, send a result. Topics, bodies and QoS are the runner's, and paho's own
# limit of messages in flight holds for both. Without TCP_NODELAY, which the runner sets: with it, and one message in
# flight, the order of this loop's packets makes mosquitto wait 40 ms for each. Arguments: a port, a CA file.
CEILING = f"""\
import socket, ssl, sys
import paho.mqtt.client as mqtt
PROPERTIES = "%24.on=amlOutput&%24.mid={{0}}%3A{MODULE}&%24.cid={{0}}&%24.ct=application%2Fjson&%24.ce=utf-8"
def answer(client, data, message):
    client.publish("{EVENTS}" + PROPERTIES.format(message.topic.rpartition("=")[2]), b"1", 1)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="{DEVICE}/{MODULE}", clean_session=False)
client.tls_set_context(ssl.create_default_context(cafile=sys.argv[2]))
def connected(*_):
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.subscribe("{INPUTS}#", 1)
client.on_connect = connected
client.on_message = answer
client.connect("localhost", int(sys.argv[1]))
client.loop_forever()
"""

ORACLE = """\
import sys, threading
from azure.iot.device import IoTHubModuleClient, Message
client = IoTHubModuleClient.create_from_edge_environment()
client.on_message_received = lambda message: client.send_message_to_output(Message("1"), "amlOutput")
client.connect()
threading.Event().wait()
"""


class Counter:
    """Notes when each result arrives. Subscribed with QoS 0: one message in flight is the module's limit, not ours."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="counter")
        self._client.on_connect = lambda client, *_: client.subscribe(f"{EVENTS}#", 0)
        self._client.on_message = lambda *_: self.times.append(time.perf_counter())
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def wait(self, number: int, timeout: float = 900) -> None:
        deadline = time.monotonic() + timeout
        while len(self.times) < number:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(self.times)} of {number} results")
            time.sleep(0.02)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def filled(folder: Path, inflight: int, number: int) -> Iterator[tuple[Mosquitto, Counter]]:
    """A broker with this many inputs waiting for the module."""
    folder.mkdir()
    with mosquitto(folder, inflight=inflight, quiet=True) as broker:
        counter = Counter(broker.plain_port)
        fill(broker, number)
        yield broker, counter
        counter.close()


def fill(broker: Mosquitto, number: int) -> None:
    producer = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="producer")
    producer.max_inflight_messages_set(1000)
    producer.connect("127.0.0.1", broker.plain_port)
    producer.loop_start()
    sent = [producer.publish(f"{INPUTS}amlInput/%24.mid=m{n}", b'{"temperature":21.5}', 1) for n in range(number)]
    for info in sent:
        info.wait_for_publish(120)
    producer.disconnect()
    producer.loop_stop()


def rate(times: list[float]) -> float:
    """Messages a second, from the tenth on."""
    return (len(times) - 11) / (times[-1] - times[10])


def resident(pid: int) -> float:
    """MiB that a process has in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def busy(pid: int) -> float:
    """Seconds of CPU that a process has used: what a shared machine does not change much."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare() -> float:
    """Seconds that a call of `run()` takes."""
    room: dict[str, Any] = {}
    exec(SCRIPT, room)  # noqa: S102 - our own script
    started = time.perf_counter()
    for _ in range(100_000):
        room["run"]("{}")
    return (time.perf_counter() - started) / 100_000


def at_least_once(folder: Path, number: int) -> float:
    with filled(folder / "alo", 1, number) as (broker, counter):
        started = time.perf_counter()
        runner = RunnerProcess(broker.environment(), SCRIPT, folder=folder)
        counter.wait(1)
        print(f"start to first result           {(counter.times[0] - started) * 1000:8.0f} ms   (goal 500)")
        counter.wait(number)
        runner.stop()
        gaps = [b - a for a, b in zip(counter.times[10:], counter.times[11:], strict=False)]
        median = statistics.median(gaps) - bare()
        print(f"at least once                   {rate(counter.times):8.0f} /s   (goal 400)")
        print(
            f"overhead a message, median      {median * 1000:8.2f} ms   (goal 2.5; run() itself {bare() * 1e6:.2f} µs)"
        )
        return rate(counter.times)


def at_most_once(folder: Path, number: int, inflight: int, python: str) -> None:
    rates: dict[str, float] = {}
    costs: dict[str, float] = {}
    with filled(folder / f"amo{inflight}", inflight, 0) as (broker, counter):

        def measure(name: str, pid: int, count: int) -> None:
            counter.wait(1)
            cpu = busy(pid)
            counter.wait(count)
            rates[name], costs[name] = rate(counter.times), (busy(pid) - cpu) / count * 1e6
            counter.times.clear()

        fill(broker, number)
        runner = RunnerProcess({**broker.environment(), "RUNNER_DELIVERY": "at-most-once"}, SCRIPT, folder=folder)
        measure("runner", runner.pid, number)
        runner.stop()
        authority = folder / f"ca{inflight}.pem"
        authority.write_text(broker.workload.trust_bundle)
        fill(broker, number)
        with subprocess.Popen([sys.executable, "-c", CEILING, str(broker.port), str(authority)]) as process:
            measure("paho", process.pid, number)
            process.terminate()
        fewer = max(200, number // 5)
        fill(broker, fewer)
        environment = {**broker.environment(), "PYTHONPATH": str(folder)}
        oracle.redirect(folder, broker.port)
        with subprocess.Popen([python, "-c", ORACLE], env=environment, stderr=subprocess.DEVNULL) as process:
            measure("azure-iot-device", process.pid, fewer)
            process.terminate()
    for name in rates:
        ratio = f"ratio {rates['runner'] / rates[name]:5.2f}, CPU {costs[name] / costs['runner']:5.2f}"
        where = f"at most once, {inflight:2d} in flight, {name}"
        print(f"{where:48}{rates[name]:7.0f} /s, {costs[name]:5.0f} µs of CPU   {ratio}")


def memory(folder: Path, number: int) -> None:
    idle = subprocess.Popen([sys.executable, "-c", SCRIPT + "\nimport json, time\ntime.sleep(600)"])
    time.sleep(0.5)
    floor = resident(idle.pid)
    idle.kill()
    idle.wait()
    with filled(folder / "memory", 20, 0) as (broker, counter):
        runner = RunnerProcess({**broker.environment(), "RUNNER_DELIVERY": "at-most-once"}, SCRIPT, folder=folder)
        runner.wait_for("desired properties")
        time.sleep(0.5)
        print(f"resident, interpreter alone     {floor:8.1f} MiB")
        print(f"resident, runner above it       {resident(runner.pid) - floor:8.1f} MiB  (goal 25)")
        step = max(1, number // 10)
        sizes = []
        for done in range(step, number + 1, step):
            fill(broker, step)
            counter.wait(done)
            sizes.append(resident(runner.pid))
        listed = " ".join(f"{size - floor:.1f}" for size in sizes)
        print(f"  after each of 10 x {step:,}: {listed}")
        print(f"  growth from the second to the last {sizes[-1] - sizes[1]:7.2f} MiB")
        runner.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", metavar="PYTHON", help="an interpreter that has azure-iot-device")
    parser.add_argument("--messages", type=int, default=100_000, help="for the growth of memory")
    options = parser.parse_args()
    if Mosquitto.program is None:
        print("mosquitto is not installed: nothing measured")
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        python = options.oracle or oracle.install(folder / "venv")
        at_least_once(folder, 3000)
        for inflight in (1, 20):
            at_most_once(folder, 10_000, inflight, python)
        memory(folder, options.messages)


if __name__ == "__main__":
    main()
