"""Killed or interrupted anywhere: nothing is half written, the same command goes on, and nothing is done twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import (
    Completed,
    complaint,
    eventually,
    files,
    in_a_new_process,
    in_this_process,
    started,
)
from integration.forked import Forked, Forks

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.xdist_group("forks"),  # one process that forks for this file and test_interruption_walk
    pytest.mark.no_cover,  # the commands are processes of their own
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

azureml = pytest.mark.azureml
_APPLY = "applyConfigurationContent"


@pytest.fixture
def slow_build(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds that last long enough to be interrupted."""
    pytest.importorskip("azureml.core")
    from manifestgen.sandbox.world import Pace

    monkeypatch.setattr(quick.world, "pace", Pace(image_build=2.0, pull=0.0, start=0.0, retry=0.05))


def interrupted(completed: Completed) -> str:
    """What an interrupted command says: two lines, exit code 130, no traceback."""
    assert completed.code == 130, completed
    assert "Traceback" not in completed.output, completed.output
    *_, said, fix = completed.stderr.splitlines()
    assert fix.startswith("  fix: ")
    return f"{said}\n{fix}"


def nothing_half_written(root: Path) -> None:
    """No temporary file stays behind, and what is there is whole."""
    for name, content in files(root).items():
        assert not name.endswith(".tmp")
        if name.endswith(".json"):
            json.loads(content)


def held(quick: Any, path: str, *, method: str = "POST", seconds: float) -> Callable[[], bool]:
    """Hold the next matching request; returns whether it has come by now."""
    quick.fault("latency", method=method, path=path, seconds=seconds)
    return lambda: any(rule["path"] == path and rule["hit"] for rule in quick.admin("GET", "/faults"))


@azureml
@pytest.mark.parametrize("builder", ["package", "container-image"])
def test_killed_during_the_build(builder: str, project: Any, slow_build: None, asked: Any, forked: Forks) -> None:
    project.edit("builder: package", f"builder: {builder}")
    first = forked.start("deploy", project, "--yes", cwd=project.root)
    first.until_it_says("  build ")
    first.kill()
    nothing_half_written(project.root)
    assert not (project.root / "manifestgen.lock.json").exists()

    second = in_this_process("deploy", project, "--yes")
    assert second.code == 0, second
    assert "resuming the build of these inputs" in second.stderr
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)


@azureml
def test_killed_while_the_model_is_being_registered(project: Any, quick: Any, asked: Any, forked: Forks) -> None:
    pytest.importorskip("azureml.core")
    has_come = held(quick, "/models$", seconds=0.5)
    first = forked.start("deploy", project, "--yes", cwd=project.root)
    eventually(has_come, "a model to register")
    first.kill()
    eventually(lambda: asked.registered == 1, "the workspace to go on with what it was sent")

    second = in_this_process("deploy", project, "--yes")
    assert second.code == 0, second
    assert "is already registered, reusing it" in second.stderr
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)


def test_killed_while_the_modules_are_being_set(ready_made: Any, quick: Any, asked: Any, forked: Forks) -> None:
    has_come = held(quick, _APPLY, seconds=0.5)
    first = forked.start("deploy", ready_made, "--yes", cwd=ready_made.root)
    eventually(has_come, "modules to set")
    first.kill()
    eventually(lambda: asked.applied == 1, "the hub to go on with what it was sent")

    second = in_this_process("deploy", ready_made, "--yes")
    assert second.code == 0, second
    assert "nothing to change" in second.stderr
    assert asked.applied == 1


def test_killed_before_the_hub_heard_of_it(ready_made: Any, quick: Any, asked: Any) -> None:
    path = f"/twins/{re.escape(ready_made.device)}/modules/"
    has_come = held(quick, path, method="GET", seconds=0.5)
    first = started("deploy", ready_made, "--yes", cwd=ready_made.root)
    eventually(has_come, "the device's state to be read")
    first.kill()
    assert asked.applied == 0
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    assert asked.applied == 1


@azureml
def test_ctrl_c_during_the_build(project: Any, slow_build: None, asked: Any, forked: Forks) -> None:
    first = forked.start("deploy", project, "--yes", cwd=project.root)
    first.until_it_says("  build ")
    said = interrupted(first.interrupt())
    assert "Azure ML continues with what it was sent" in said
    nothing_half_written(project.root)

    second = in_this_process("deploy", project, "--yes")
    assert second.code == 0, second
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)


def test_ctrl_c_while_the_device_is_read_does_not_wait_for_the_hub(
    ready_made: Any, quick: Any, asked: Any, forked: Forks
) -> None:
    path = f"/twins/{re.escape(ready_made.device)}/modules/"
    has_come = held(quick, path, method="GET", seconds=20)
    running = forked.start("deploy", ready_made, "--yes", cwd=ready_made.root)
    eventually(has_come, "the device's state to be read")
    before = time.monotonic()
    assert "run the same command again" in interrupted(running.interrupt())
    assert time.monotonic() - before < 10
    assert asked.applied == 0


def test_ctrl_c_while_the_modules_are_being_set(ready_made: Any, quick: Any) -> None:
    has_come = held(quick, _APPLY, seconds=20)
    running = started("deploy", ready_made, "--yes", cwd=ready_made.root)
    eventually(has_come, "modules to set")
    said = interrupted(running.interrupt())
    assert f"the modules of device '{ready_made.device}' may or may not have been set" in said
    assert "manifestgen status" in said


@pytest.mark.parametrize("command", ["deploy", "apply"])
def test_ctrl_c_while_the_device_is_waited_for(
    command: str, ready_made: Any, quick: Any, asked: Any, forked: Forks
) -> None:
    quick.admin("PUT", f"/devices/{ready_made.device}", {"online": False})
    assert in_this_process("render", ready_made).code == 0
    what = [ready_made] if command == "deploy" else [ready_made.root / "deployment.json", "--device", ready_made.device]
    running = forked.start(command, *what, "--yes", cwd=ready_made.root)
    running.until_it_says("the device is offline")
    eventually(lambda: asked.times("GET", f"/twins/{ready_made.device}/modules/$edgeHub") > 1, "the wait")
    said = interrupted(running.interrupt())
    assert "are set, but the rollout was not waited for" in said
    assert asked.applied == 1


@dataclass(frozen=True)
class Terminal:
    """A command at a terminal: what is typed goes in, what it says comes out."""

    running: Forked
    keyboard: int

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())


@pytest.fixture
def at_the_prompt(ready_made: Any, forked: Forks) -> Iterator[Terminal]:
    """A deployment that has come to its question."""
    import pty

    keyboard, terminal = pty.openpty()
    running = forked.start("deploy", ready_made, cwd=ready_made.root, stdin=os.ttyname(terminal))
    running.until_it_says("[y/N]")
    yield Terminal(running, keyboard)
    os.close(terminal)
    os.close(keyboard)


def test_ctrl_c_at_the_question(at_the_prompt: Terminal, asked: Any) -> None:
    ended = at_the_prompt.running.interrupt()
    assert "were not changed" in interrupted(ended)
    assert "set the modules of device" in ended.stderr
    assert asked.applied == 0


def test_no_is_no(at_the_prompt: Terminal, asked: Any) -> None:
    at_the_prompt.type("n\n")
    ended = at_the_prompt.running.ended()
    # Differences were found and remain; nobody interrupted anything.
    assert ended.code == 1, ended
    *_, said, fix = ended.stderr.splitlines()
    assert "stopped; " in said and "were not changed" in said and fix.startswith("  fix: ")
    assert asked.applied == 0


def test_yes_continues(at_the_prompt: Terminal, asked: Any) -> None:
    at_the_prompt.type("y\n")
    ended = at_the_prompt.running.ended()
    assert ended.code == 0, ended
    assert asked.applied == 1


@azureml
def test_two_runs_at_once_on_one_project(project: Any, slow_build: None, asked: Any, forked: Forks) -> None:
    first = forked.start("deploy", project, "--yes", cwd=project.root)
    first.until_it_says("  build ")
    for command in (["deploy", project, "--yes"], ["image", project]):
        said = complaint(in_this_process(*command), 2)
        assert "another manifestgen is running on this project" in said
    assert first.ended().code == 0
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)


def test_a_lock_left_by_a_killed_run_holds_no_one_up(ready_made: Any) -> None:
    (ready_made.root / ".manifestgen").mkdir()
    (ready_made.root / ".manifestgen" / "run.lock").touch()
    assert in_a_new_process("deploy", ready_made, "--yes", "-q", cwd=ready_made.root).code == 0


_LOST = """
import os, signal, threading, time
from manifestgen.cli._interruption import end_soon_after_ctrl_c

class Console:
    failed = False
    def fail(self, error):
        print("not noticed")

def ctrl_c():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

end_soon_after_ctrl_c(Console())
threading.Thread(target=ctrl_c, daemon=True).start()
reading, _ = os.pipe()
try:
    os.read(reading, 1)
except KeyboardInterrupt:
    print("noticed")
"""


def test_ctrl_c_just_before_a_read_begins_ends_it_too() -> None:
    """Python has taken the signal by then, so nothing would end the read: the same as a signal that ends no read."""
    ended = subprocess.run([sys.executable, "-c", _LOST], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.stderr) == ("noticed\n", "")
