"""How fast our edgeHub is beside mosquitto: `python tests/bench/edge_hub.py [--messages 3000]`.

Both have the same messages waiting for the same runner, one in flight at a time, with a `run()` that does nothing. On a
shared machine the ratio of the two says more than their rates. Then one message after another goes from a module to
another through our hub: the time between its PUBLISH and its arrival.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # this folder has a runner.py of its own: this one

from edge.hubs import running
from runner.broker import Mosquitto, mosquitto
from runner.own_edge_hub import own_edge_hub
from runner.process import RunnerProcess

from manifestgen.edge.hub import Limits

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return 1\n"
BODY = b'{"temperature":21.5}'


def _through_mosquitto(folder: Path, number: int) -> float:
    with mosquitto(folder, quiet=True) as broker:
        for count in range(number):
            broker.send(BODY, {"$.mid": f"m{count}"})
        return _rate(broker.environment(), folder, lambda: len(broker.cloud.results), number)


def _through_our_own(folder: Path, number: int) -> float:
    with own_edge_hub(folder) as broker:
        for count in range(number):
            broker.send(BODY, {"$.mid": f"m{count}"})
        return _rate(broker.environment(), folder, lambda: len(broker.results), number)


def _rate(environment: dict[str, str], folder: Path, arrived: Callable[[], int], number: int) -> float:
    """Results a second, from the hundredth on."""
    runner = RunnerProcess(environment, SCRIPT, folder=folder)
    try:
        _until(lambda: arrived() >= 100)
        first, started = arrived(), time.perf_counter()
        _until(lambda: arrived() >= number)
        return (number - first) / (time.perf_counter() - started)
    finally:
        runner.kill()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("it takes too long")
        time.sleep(0.005)


def _latencies(number: int) -> list[float]:
    """Milliseconds from a module's PUBLISH to its arrival at another module."""
    with running(Limits()) as hub:
        hub.routes(
            'FROM /messages/modules/a/* WHERE $body.temperature > 20 INTO BrokeredEndpoint("/modules/b/inputs/in")'
        )
        a, b = hub.module("a"), hub.module("b")
        found = []
        for _ in range(number):
            started = time.perf_counter()
            a.event(BODY, properties={"$.ct": "application/json", "$.ce": "utf-8"}, wait=False)
            received = b.receive()
            found.append((time.perf_counter() - started) * 1000)
            b.acknowledge(received)
            a.receive()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    number = parser.parse_args().messages
    turns: dict[str, list[float]] = {"mosquitto": [], "our edgeHub": []}
    with tempfile.TemporaryDirectory() as name:
        for turn in range(3):
            for broker, measure in (("mosquitto", _through_mosquitto), ("our edgeHub", _through_our_own)):
                if broker == "mosquitto" and Mosquitto.program is None:
                    continue
                folder = Path(name) / f"{turn}-{broker[:3]}"
                folder.mkdir()
                turns[broker].append(measure(folder, number))
    medians = {broker: statistics.median(rates) for broker, rates in turns.items() if rates}
    for broker, rate in medians.items():
        print(f"{broker:12} {rate:7.0f} messages a second through a runner, at least once")
    if len(medians) == 2:
        print(f"ratio        {medians['our edgeHub'] / medians['mosquitto']:7.2f}")
    latencies = sorted(_latencies(min(number, 2000)))
    worst = latencies[len(latencies) * 99 // 100]
    print(f"latency      {statistics.median(latencies):7.2f} ms median, {worst:.2f} ms for 99 %")


if __name__ == "__main__":
    main()
