"""Kills a rotation again and again: `python tests/bench/rotation.py --devices 100 --offline 3`.

A sandbox with simulated devices that pull with a token, and the command as a process of its own, ended by SIGKILL after
each of some lines that it says. After each kill the registry is asked with every password that a device's manifest
holds, and with those that devices which are offline were given last. A table of how many devices hold which password,
and of how many hold one that does not work: none, ever.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import RunningSandbox, running_sandbox

_PROJECT = """\
version: 1
image: {{builder: none, reference: "{host}/scorer:1"}}
registry: {{credentials: token, token: rotated-token}}
hub: {{host: sandbox-hub.azure-devices.net}}
"""


@dataclass
class Fleet:
    """Devices that pull with a token.

    Attributes:
        given: password that each device which is offline was given last.
    """

    sandbox: RunningSandbox
    folder: Path
    ids: list[str]
    given: dict[str, str]

    def __post_init__(self) -> None:
        from azure.identity import EnvironmentCredential

        from manifestgen.azure.acr import Registries
        from manifestgen.azure.iot_hub import connect
        from manifestgen.secret import Secret

        self.hub = connect(connection_string=Secret(self.sandbox.environment["IOTHUB_CONNECTION_STRING"]))
        self.registry = Registries(EnvironmentCredential())
        self.host = self.sandbox.world.names.login_server

    def rotating(self) -> subprocess.Popen[str]:
        """The command, running."""
        command = [sys.executable, "-m", "manifestgen", "credentials", "rotate", str(self.folder), "--yes"]
        return subprocess.Popen(
            [*command, "--devices", str(self.folder / "devices.txt"), "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def held(self) -> dict[str, str]:
        """The password in each device's manifest."""
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(self.ids, pool.map(self._password, self.ids), strict=True))

    def _password(self, device: str) -> str:
        twin = self.hub.module_twin(device, "$edgeAgent")
        assert twin is not None
        entries = twin.desired["runtime"]["settings"]["registryCredentials"]
        return str(next(iter(entries.values()))["password"])

    def row(self, what: str) -> int:
        """Print who holds what, and return how many hold a password that the registry does not take."""
        held = self.held()
        counts = Counter(held.values())
        works = {password: self._works(password) for password in {*held.values(), *self.given.values()}}
        broken = sum(not works[password] for password in [*held.values(), *self.given.values()])
        first = next(iter(self.given.values()), "")
        print(f"{what:<44} {counts.get(first, 0):>6} {len(self.ids) - counts.get(first, 0):>7} {broken:>7}")
        return broken

    def _works(self, password: str) -> bool:
        from manifestgen.cloud import Credential
        from manifestgen.errors import DeniedError
        from manifestgen.secret import Secret

        try:
            login = Credential(self.host, "rotated-token", Secret(password))
            return self.registry.digest(f"{self.host}/scorer:1", login) is not None
        except DeniedError:
            return False


def main() -> None:
    """Print the table; ends with an error if a device ever held a password that does not work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--offline", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_sandbox() as sandbox:
        os.environ.update(sandbox.environment, MANIFESTGEN_STATE=f"{folder}/state", HOME=folder)
        sys.exit(min(walk(made(sandbox, Path(folder), arguments.devices, arguments.offline)), 1))


def made(sandbox: RunningSandbox, folder: Path, count: int, offline: int) -> Fleet:
    """A fleet whose devices all run an image that they pulled with the token's first password."""
    host = sandbox.world.names.login_server
    sandbox.admin("PUT", f"/images/{host}/scorer:1", {})
    sandbox.admin("POST", "/devices", {"id": "truck-{number}", "count": count, "first": 1})
    (folder / "manifestgen.yaml").write_text(_PROJECT.format(host=host))
    ids = [device.id for device in Fleet(sandbox, folder, [], {}).hub.devices() if device.id.startswith("truck-")]
    (folder / "devices.txt").write_text("\n".join(ids) + "\n")
    for command in (["credentials", "create-token"], ["render"]):
        subprocess.run([sys.executable, "-m", "manifestgen", *command, str(folder), "-q"], check=True)
    fleet = Fleet(sandbox, folder, ids, {})
    content = json.loads((folder / "deployment.json").read_text())
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda device: fleet.hub.set_modules(device, content), ids))
    _until(lambda: all(_runs(fleet.hub.module_twin(device, "$edgeAgent")) for device in ids))
    fleet.given = dict(list(fleet.held().items())[:offline])
    for device in fleet.given:
        sandbox.admin("PUT", f"/devices/{device}", {"online": False})
    return fleet


def walk(fleet: Fleet) -> int:
    """Kill the command after more and more devices, then let it end; how many devices ever held a dead password."""
    online = len(fleet.ids) - len(fleet.given)
    print(f"{len(fleet.ids)} devices, {len(fleet.given)} offline")
    print(f"{'':<44} {'first':>6} {'second':>7} {'broken':>7}")
    broken = fleet.row("before")
    stops = [
        "created password2",
        "accepts password2",
        *(f": rotated #{n}" for n in (1, online // 4, online // 2, online)),
    ]
    for stop in stops:
        broken += _killed(fleet, stop)
    start = time.monotonic()
    code, answer = _ended(fleet)
    seconds = time.monotonic() - start
    assert (code, answer["finished"], answer["dropped"]) == (1, False, None), answer
    broken += fleet.row(f"ended with 1: {len(answer['left'])} left ({seconds:.0f} s)")
    for device in fleet.given:
        fleet.sandbox.admin("PUT", f"/devices/{device}", {"online": True})
    _until(lambda: all(_runs(fleet.hub.module_twin(device, "$edgeAgent")) for device in fleet.given))
    offline, fleet.given = fleet.given, {}
    broken += _killed(fleet, "deleted password1")
    code, answer = _ended(fleet)
    assert code == 0 and answer["finished"], answer
    print(f"{len(offline)} devices are back")
    return broken + fleet.row(f"ended with 0: {answer['dropped']} dropped")


def _killed(fleet: Fleet, stop: str) -> int:
    """Kill after a line, or after so many lines of a kind."""
    words, _, number = stop.partition(" #")
    running, left = fleet.rotating(), int(number or 1)
    assert running.stderr is not None and running.stdout is not None
    for line in running.stderr:
        left -= words in line
        if not left:
            break
    running.kill()
    running.wait()
    running.stderr.close()
    running.stdout.close()
    return fleet.row(f"killed after {f'{number} times ' if number else ''}{words!r}")


def _ended(fleet: Fleet) -> tuple[int, dict[str, Any]]:
    running = fleet.rotating()
    stdout, _ = running.communicate()
    (answer,) = json.loads(stdout)["tokens"]
    return running.returncode, answer


def _runs(twin: Any) -> bool:
    return bool(twin) and twin.reported.get("lastDesiredVersion") == twin.desired_version


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


if __name__ == "__main__":
    main()
