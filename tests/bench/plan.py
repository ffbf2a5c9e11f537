"""How many round trips a plan takes: prints seconds and ratios. `python tests/bench/plan.py [LATENCY IN MS]`.

A device with fifty modules in the sandbox, whose hub is made to answer late: the time to read the device's whole state
is compared with that of one request.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import requests

HOST = "sandbox-hub.azure-devices.net"
MODULES = 50


def manifest(modules: int) -> dict[str, Any]:
    """A manifest of so many modules."""
    image = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
    entry = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": image}}
    system = {
        name: {**entry, "settings": {"image": f"mcr.microsoft.com/azureiotedge-{name[4:].lower()}:1.6"}}
        for name in ("edgeAgent", "edgeHub")
    }
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": system,
        "modules": {f"module{number}": entry for number in range(modules)},
    }
    hub = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    names = {"$edgeAgent": agent, "$edgeHub": hub}
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in names.items()}}


def seconds(work: Callable[[], object], repeat: int = 7) -> float:
    """The median time of a piece of work."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(latency: float) -> None:
    """Measure and print; the environment leads to a sandbox."""
    from manifestgen.azure.iot_hub import connect
    from manifestgen.device.apply import apply, read_state
    from manifestgen.device.plan import plan
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.secret import Secret

    hub = connect(connection_string=Secret(os.environ["IOTHUB_CONNECTION_STRING"]))
    wanted = Manifest.of(manifest(MODULES))
    hub.register_device("edge-bench")
    apply(plan(wanted, read_state(hub, "edge-bench")), hub)
    fault = {"kind": "latency", "seconds": latency, "host": HOST, "times": "forever"}
    with requests.Session() as admin:
        admin.trust_env = False
        admin.post(os.environ["MANIFESTGEN_SANDBOX"] + "/faults", json=fault, timeout=10).raise_for_status()

    one = seconds(lambda: hub.device("edge-bench"))
    whole = seconds(lambda: read_state(hub, "edge-bench"))
    state = read_state(hub, "edge-bench")
    computed = seconds(lambda: plan(wanted, state))
    print(f"hub answers after {latency * 1000:.0f} ms; one request {one * 1000:.0f} ms")
    print(
        f"state of a device with {MODULES} modules: {whole * 1000:.0f} ms, {whole / one:.1f} requests' worth of latency"
    )
    print(f"the plan itself: {computed * 1000:.1f} ms")


if __name__ == "__main__":
    if "MANIFESTGEN_SANDBOX" in os.environ:
        main(float(sys.argv[1]) / 1000)
    else:
        latencies = sys.argv[1:] or ["50", "200"]
        for latency in latencies:
            inside = [sys.executable, __file__, latency]
            subprocess.run([sys.executable, "-m", "manifestgen", "sandbox", "run", "--", *inside], check=True)
