"""Every request of plan, apply, wait and rollback goes wrong in every way, one after the other.

Whatever happens, the device is left as it was or as asked, what it had is kept, the exit code and words are those of
the cloud in trouble, and the same command completes when the trouble is over. `pytest -s` prints the table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from fakes.hurry import hurry
from fakes.other_client import OtherClient
from integration.command_line import Completed, in_this_process

from manifestgen.device.snapshots import snapshots
from manifestgen.state import state_folder

pytestmark = [
    pytest.mark.no_cover,  # the same ways again and again
    # The SDKs leave sockets of their many sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HUB = "sandbox-hub.azure-devices.net"
SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "reset": {"kind": "reset"},
    "reset after": {"kind": "reset_after"},
    "truncated": {"kind": "truncate"},
}

# What may come of a fault, and does, wherever it hits; whatever sends the requests.
_EITHER = {"exit 3, as it was", "exit 3, as asked"}
OUTCOMES: dict[str, set[str]] = {
    "apply once": {"done, as asked"},
    "apply from then on": _EITHER,
    "rollback": _EITHER,
    # These two ask for nothing else than what there is.
    "plan": {"exit 3, as asked"},
    "status": {"exit 3, as asked"},
}

# More requests than a command makes to the hub: the walk ends when a fault hits none of them any more.
MOST_REQUESTS = 40


@pytest.fixture(autouse=True)
def hasty(quick: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Ask often, and give up soon on what will not end; but try once more however slow the machine is.

    A request that begins within the limit is waited for: a shorter one leaves out only what is sent again for nothing.
    """
    from manifestgen.device import apply
    from manifestgen.target import Patience as RolloutPatience

    total = 10.0 if "once" in request.node.name else 0.04
    hurry(monkeypatch, total=total, unreachable=total, first=0.005, longest=0.01)
    monkeypatch.setattr(apply, "PATIENCE", RolloutPatience(10.0, 10.0, 0.02, 0.1))
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))


@dataclass(frozen=True)
class Wanted:
    """A manifest in a file, and the modules that a device has with it."""

    file: Path
    modules: set[str]


class Walk:
    """A device that has one manifest and is to get the other, again and again."""

    def __init__(self, sandbox: Any, device: str, folder: Path) -> None:
        self.sandbox = sandbox
        self.device = device
        self._other = OtherClient(sandbox.environment["IOTHUB_CONNECTION_STRING"])
        self.applied = self._write(folder / "one.json", "alpha")
        self.other = self._write(folder / "two.json", "alpha", "beta")
        done = self.run("apply", self.applied.file, "--yes", "-q", "--no-wait")  # each test waits for what follows
        assert done.code == 0, done

    def _write(self, path: Path, *modules: str) -> Wanted:
        path.write_text(json.dumps(content({name: module(SENSOR) for name in modules})))
        return Wanted(path, set(modules))

    def run(self, *arguments: object) -> Completed:
        return in_this_process(*map(str, arguments), "--device", self.device)

    def modules(self) -> set[str]:
        """Names of the modules that the hub has for the device: what a client reads, without its request."""
        found: set[str] = self.sandbox.call(self._modules())
        return found

    async def _modules(self) -> set[str]:
        agent = self.sandbox.world.store.get("hub:modules", self.device)["$edgeAgent"]
        return set(agent["twin"]["desired"]["value"].get("modules") or {})

    def modules_by_another_client(self) -> set[str]:
        return set(self._other.desired(self.device).get("modules") or {})

    def snapshots(self) -> int:
        return len(snapshots(HUB, self.device, state_folder()))

    def hits(self) -> int:
        return sum(fault["hit"] for fault in self.sandbox.admin("GET", "/faults"))


@pytest.fixture
def walk(quick: Any, new_device: Callable[[], str], tmp_path: Path) -> Walk:
    return Walk(quick, new_device(), tmp_path)


def outcome(ended: Completed, left: set[str], before: set[str], asked: set[str]) -> str:
    """One cell of the table; anything that nobody may see is an assertion."""
    assert "Traceback" not in ended.stderr, ended
    state = "as asked" if left == asked else "as it was" if left == before else "lost"
    assert state != "lost", (ended, left)
    if ended.code == 0:
        return f"done, {state}"
    assert ended.code in (1, 3), ended
    errors = [line for line in ended.stderr.splitlines() if line.startswith(("error: ", "  fix: "))]
    assert len(errors) == 2, ended
    return f"exit {ended.code}, {state}"


@pytest.mark.parametrize("lasting", ["once", "from then on"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_request_of_apply_can_go_wrong_badly(fault: str, lasting: str, walk: Walk) -> None:
    walk_through_apply(fault, lasting, walk)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_request_of_apply_can_go_wrong_badly_over_rest(
    fault: str, walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANIFESTGEN_HUB_CLIENT", "rest")
    walk_through_apply(fault, "from then on", walk)


def walk_through_apply(fault: str, lasting: str, walk: Walk) -> None:
    """Let every request of `apply` go wrong, one after the other."""
    table: Counter[str] = Counter()
    before, after = walk.applied, walk.other
    for number in range(MOST_REQUESTS):
        kept = walk.snapshots()
        times = 1 if lasting == "once" else "forever"
        walk.sandbox.fault(host=HUB, after=number, times=times, **FAULTS[fault])
        ended = walk.run("apply", after.file, "--yes", "--prune", "-q")
        hit = walk.hits()
        walk.sandbox.admin("DELETE", "/faults")
        if not hit:
            break
        left = walk.modules()
        cell = outcome(ended, left, before.modules, after.modules)
        table[cell] += 1
        if lasting == "once":
            # One fault is nothing that the user needs to know of.
            assert cell == "done, as asked", (number, ended)
        if left == after.modules:
            assert walk.snapshots() == kept + 1 or kept == 20
        if ended.code != 0:
            again = walk.run("apply", after.file, "--yes", "--prune", "-q")
            assert again.code == 0, again
            assert walk.modules() == after.modules
        # The next one goes back again.
        before, after = after, before
    else:
        pytest.fail("the walk has no end")
    assert walk.modules_by_another_client() == walk.modules() != set()
    print(f"\napply    {fault:<12} {lasting:<13} {dict(table)}")
    assert table.keys() == OUTCOMES[f"apply {lasting}"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["plan", "rollback", "status"])
def test_no_request_of_the_other_commands_can_go_wrong_badly(command: str, fault: str, walk: Walk) -> None:
    table: Counter[str] = Counter()
    walk.run("apply", walk.other.file, "--yes", "--prune", "-q")
    now, asked = walk.other.modules, walk.applied.modules
    arguments = {
        "plan": ("plan", walk.applied.file),
        "rollback": ("rollback", "--yes", "-q"),
        "status": ("status",),
    }[command]
    for number in range(MOST_REQUESTS):
        walk.sandbox.fault(host=HUB, after=number, times="forever", **FAULTS[fault])
        ended = walk.run(*arguments)
        hit = walk.hits()
        walk.sandbox.admin("DELETE", "/faults")
        if not hit:
            break
        left = walk.modules()
        table[outcome(ended, left, now, asked if command == "rollback" else now)] += 1
        if command != "rollback" or left != asked:
            again = walk.run(*arguments)
            assert again.code == 0, again
        if command == "rollback":
            # The next one goes back again.
            now, asked = asked, now
        assert walk.modules() == now
    else:
        pytest.fail("the walk has no end")
    assert walk.modules_by_another_client() == walk.modules() != set()
    print(f"\n{command:<8} {fault:<12} from then on  {dict(table)}")
    assert table.keys() == OUTCOMES[command]
