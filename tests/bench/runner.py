"""How fast, how large and how even the runner is: `python tests/bench/runner.py [--oracle PYTHON] [--messages 100000]`.

A mosquitto on loopback, TLS, and the runner as a process of its own with a `run()` that does nothing. Yardsticks in the
same run: `run()` called bare, a loop with nothing but paho (the ceiling), and azure-iot-device's handler (the oracle;
without --oracle a virtual environment is made for it, which needs PyPI). At most once, the three take turns, and the
median of all turns counts: a shared machine is noisy, and a ratio of CPU times is steadier than one of rates.
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

# The least that a module can do: take a message, send a result. Topics, bodies, QoS and TCP_NODELAY are the runner's.
# Arguments: a port, a CA file, and paho's limit for messages in flight: 20 is its own, 0 is none, as the runner has it.
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
client.max_inflight_messages_set(int(sys.argv[3]))
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
        # Means of fifty: the counter takes what has arrived meanwhile at once.
        gaps = [(b - a) / 50 for a, b in zip(counter.times[10:-50:50], counter.times[60::50], strict=False)]
        median = statistics.median(gaps) - bare()
        print(f"at least once                   {rate(counter.times):8.0f} /s   (goal 400)")
        print(
            f"overhead a message, median      {median * 1000:8.2f} ms   (goal 2.5; run() itself {bare() * 1e6:.2f} µs)"
        )
        return rate(counter.times)


def at_most_once(folder: Path, number: int, inflight: int, python: str, rounds: int) -> None:
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    with filled(folder / f"amo{inflight}", inflight, 0) as (broker, counter):

        def measure(name: str, process: RunnerProcess | subprocess.Popen[bytes], count: int) -> None:
            counter.wait(1)
            cpu = busy(process.pid)
            counter.wait(count)
            rates.setdefault(name, []).append(rate(counter.times))
            costs.setdefault(name, []).append((busy(process.pid) - cpu) / count * 1e6)
            process.terminate()
            process.wait()
            counter.times.clear()

        authority = folder / f"ca{inflight}.pem"
        authority.write_text(broker.workload.trust_bundle)
        oracle.redirect(folder, broker.port)
        redirected = {**broker.environment(), "PYTHONPATH": str(folder)}
        for _ in range(rounds):
            fill(broker, number)
            environment = {**broker.environment(), "RUNNER_DELIVERY": "at-most-once"}
            measure("runner", RunnerProcess(environment, SCRIPT, folder=folder), number)
            for name, limit in (("paho", "20"), ("paho without its limit", "0")):
                fill(broker, number)
                command = [sys.executable, "-c", CEILING, str(broker.port), str(authority), limit]
                measure(name, subprocess.Popen(command), number)
            fill(broker, number // 2)
            theirs = subprocess.Popen([python, "-c", ORACLE], env=redirected, stderr=subprocess.DEVNULL)
            measure("azure-iot-device", theirs, number // 2)
    speed, cpu = statistics.median(rates["runner"]), statistics.median(costs["runner"])
    print(f"at most once, {inflight} in flight, medians of {rounds} turns (the ratios are the runner's to it)")
    for name in rates:
        its_speed, its_cpu = statistics.median(rates[name]), statistics.median(costs[name])
        ratios = f"rate {speed / its_speed:5.2f}x, CPU {cpu / its_cpu:5.2f}x"
        print(f"  {name:24}{its_speed:7.0f} /s, {its_cpu:5.0f} µs of CPU a message   {ratios}")


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
    parser.add_argument("--rounds", type=int, default=5, help="turns, for at most once")
    options = parser.parse_args()
    if Mosquitto.program is None:
        print("mosquitto is not installed: nothing measured")
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        python = options.oracle or oracle.install(folder / "venv")
        at_least_once(folder, 3000)
        for inflight in (1, 20):
            at_most_once(folder, 4000, inflight, python, options.rounds)
        memory(folder, options.messages)


if __name__ == "__main__":
    main()
