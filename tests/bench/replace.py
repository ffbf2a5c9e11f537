"""Automatic deployments under load: replaced while it is killed at every request, and a canary that fails.

    python tests/bench/replace.py kills [--devices 2000]    SIGKILL before and after each request of a replacement, and
                                                            run again; --every N for some of them only
    python tests/bench/replace.py canary [--devices 2000]   5 % of the devices cannot run it: stages 5%,25%,100%

It prints tables, and ends with 1 if a targeted device was ever without a deployment that names the module, a run could
not be gone on with, or the canary left a device behind. The small twin is in tests/unit/deployments/test_replace.py.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

IMAGE = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"
NAME = "scorer"
CONDITION = "tags.site = 'lab'"
REQUESTS = (
    *("configurations", "configuration", "query", "test_queries"),
    *("create_configuration", "update_configuration", "delete_configuration"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["kills", "canary"])
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--every", type=int, default=1, help="kill at every so many requests only")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--apply", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--kill-at", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apply:
        apply_and_die(given.apply, given.kill_at)
    elif given.inside:
        sys.exit(kills(given.devices, given.every) if given.what == "kills" else canary(given.devices))
    else:
        command = [sys.executable, "-m", "manifestgen", "sandbox", "run", "--", sys.executable, *sys.argv, "--inside"]
        sys.exit(subprocess.run(command, check=False).returncode)


def hub() -> Any:
    from manifestgen.azure.iot_hub import connect
    from manifestgen.secret import Secret

    return connect(connection_string=Secret(os.environ["IOTHUB_CONNECTION_STRING"]))


def admin(method: str, path: str, body: Any) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.request(method, os.environ["MANIFESTGEN_SANDBOX"] + path, json=body).raise_for_status()


def manifest(path: Path, image: str) -> str:
    """A manifest with the module in this image."""
    system = {"type": "docker", "status": "running", "restartPolicy": "always"}
    runtime = "mcr.microsoft.com/azureiotedge"
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": f"{runtime}-agent:1.6"}},
            "edgeHub": {**system, "settings": {"image": f"{runtime}-hub:1.6"}},
        },
        "modules": {NAME: {**system, "settings": {"image": image}}},
    }
    edge_hub = {
        "schemaVersion": "1.1",
        "routes": {"up": "FROM /messages/* INTO $upstream"},
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    content = {
        "$edgeAgent": {"properties.desired": agent},
        "$edgeHub": {"properties.desired": edge_hub},
    }
    path.write_text(json.dumps({"modulesContent": content}))
    return str(path)


def command(file: str, *more: str) -> list[str]:
    return ["apply", file, "--deployment", NAME, "--target-condition", CONDITION, "--yes", *more]


def apply_and_die(file: str, at: int) -> None:
    """Apply in this process, and end it by SIGKILL at its request of this number, every second one after it is sent."""
    from manifestgen.azure.iot_hub import IotHub
    from manifestgen.cli import run
    from manifestgen.deployments import replace
    from manifestgen.target import Patience

    replace.PATIENCE = Patience(1800.0, 60.0, 0.1, 0.5)  # type: ignore[misc] # to look more often
    seen = 0

    def deadly(honest: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal seen
            seen += 1
            number = (at + 1) // 2
            if seen == number and at % 2:
                print(honest.__name__, "before", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return honest(*args)
            finally:
                # Answered by an error, too: a configuration that is looked for is not created yet.
                if seen == number:
                    print(honest.__name__, "after", flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in REQUESTS:
        setattr(IotHub, name, deadly(getattr(IotHub, name)))
    sys.exit(run(command(file, "--quiet")))


class Watch(threading.Thread):
    """Counts, again and again, targeted devices whose desired properties do not name the module.

    Attributes:
        polls: how often it looked.
        gaps: how often a device was without.
    """

    def __init__(self, devices: int) -> None:
        super().__init__(daemon=True)
        self._hub = hub()
        self._devices = devices
        self.polls = self.gaps = 0
        self._ended = threading.Event()

    def run(self) -> None:
        named = f"IS_DEFINED(properties.desired.modules.{NAME})"
        query = f"SELECT COUNT() AS n FROM devices.modules WHERE moduleId = '$edgeAgent' AND {named}"  # noqa: S608
        while not self._ended.wait(0.5):
            (row,) = self._hub.query(query)
            covered = any(
                found.condition == CONDITION and NAME in json.dumps(found.content)
                for found in self._hub.configurations()
            )
            self.polls += 1
            self.gaps += row["n"] != self._devices or not covered

    def end(self) -> None:
        self._ended.set()
        self.join()


def applied(file: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, __file__, "kills", "--apply", file, *more], capture_output=True, text=True, check=False
    )


def kills(devices: int, every: int) -> int:
    """Kill a replacement at each of its requests, before it is sent and after, and run it again."""
    admin("POST", "/devices", {"id": "press-{number}", "count": devices, "tags": {"site": "lab"}})
    service = hub()
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["MANIFESTGEN_STATE"] = str(root / "state")
        versions = (manifest(root / "a.json", f"{IMAGE}:1.4"), manifest(root / "b.json", f"{IMAGE}:1.5"))
        first = applied(versions[0])
        assert first.returncode == 0, first.stderr
        print(f"{devices:,} devices; killed at           left on the hub    polls  gaps  run again")
        at, turn, killed = 1, 0, True
        while killed:
            turn += 1
            file = versions[turn % 2]
            watch = Watch(devices)
            watch.start()
            run = applied(file, "--kill-at", str(at))
            killed = run.returncode == -signal.SIGKILL
            left = [f"{found.priority}" for found in service.configurations() if found.id.startswith(NAME)]
            began = time.perf_counter()
            again = applied(file)
            seconds = time.perf_counter() - began
            watch.end()
            ok = again.returncode == 0 and (killed or run.returncode == 0)
            (only,) = [found for found in service.configurations() if found.id.startswith(NAME)]
            ok = ok and only.priority == 10 and only.counts["reportedSuccessfulCount"] == devices
            worst |= watch.gaps > 0 or not ok
            where = run.stdout.split("\n")[-2].replace("_", " ") if killed else "not at all"
            said = f"ok, {seconds:.1f} s" if ok else again.stderr[-200:]
            priorities = f"priority {', '.join(left)}"
            print(
                f"{(at + 1) // 2:>4} {where:<28} {priorities:<18} {watch.polls:>5} {watch.gaps:>5}  {said}", flush=True
            )
            at += every
    return int(worst)


def canary(devices: int) -> int:
    """Let five in a hundred devices fail with a new content, and see that the others never get it.

    With other ids it may happen that next to none of those that fail are in the first stage, and the second one begins.
    """
    admin("POST", "/devices", {"id": "press-{number}", "count": devices, "tags": {"site": "lab"}})
    bad = f"{IMAGE}:1.5"
    admin("PUT", f"/devices/*/modules/{NAME}", {"kind": "pull", "share": 0.05, "image": bad, "message": "disk full"})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["MANIFESTGEN_STATE"] = str(root / "state")
        run = [sys.executable, "-m", "manifestgen"]
        good = command(manifest(root / "a.json", f"{IMAGE}:1.4"))
        subprocess.run([*run, *good, "--quiet"], check=True, capture_output=True)
        stages = ("--stages", "5%,25%,100%", "--abort-if-failing", "2%", "--tag-devices")
        ended = subprocess.run(
            [*run, *command(manifest(root / "b.json", bad)), *stages], check=False, capture_output=True, text=True
        )
        print(ended.stderr)
        service = hub()
        (left,) = service.configurations()
        query = "SELECT COUNT() AS n FROM devices.modules WHERE moduleId = '$edgeAgent' AND "
        wanted = f"properties.desired.modules.{NAME}.settings.image = '{IMAGE}:1.4'"
        (row,) = service.query(query + wanted)
        counts = left.counts
        print(f"exit {ended.returncode}; {row['n']:,} of {devices:,} devices should run the previous image, ", end="")
        print(f"{counts['reportedSuccessfulCount']:,} report success; stage 2: ", end="")
        reached = "stage 2 of" in ended.stderr
        print("reached" if reached else "never reached")
        return int(ended.returncode != 1 or reached or row["n"] != devices)


if __name__ == "__main__":
    main()
