"""Modules as real processes: how they start, end, are limited, and that nothing of them is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from manifestgen.edge.agent.agent import Agent, ModuleSpec, ModuleState
from manifestgen.edge.agent.process import Limits, Program

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="modules need Unix sockets"),
]
_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are kept on Linux only")
_SLEEPS = "import time; print('up', flush=True); time.sleep(60)"


def module(name: str, code: str, **more: object) -> ModuleSpec:
    program = Program((sys.executable, "-S", "-c", code), {"PATH": os.environ["PATH"]})
    return replace(ModuleSpec(name, program, policy="never"), **more)  # type: ignore[arg-type]


def eventually(found: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def reaches_out() -> None:
    """Start a process here, so that `--fast` skips the test, and not the agent's thread."""
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent(first_pause=0.02, grace=0.3)
    agent.start()
    yield agent
    if agent._thread.is_alive():
        agent.stop(0.1)


def printed(agent: Agent, name: str) -> list[str]:
    log = agent.log(name)
    return [line.text for line in log.lines()] if log is not None else []


def ended(agent: Agent, name: str, status: str) -> ModuleState:
    eventually(lambda: name in agent.states() and agent.states()[name].status == status, f"{name} never {status}")
    return agent.states()[name]


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_module_runs_with_its_own_variables_only(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    code = "import os; print(os.environ.get('SECRET_OF_OURS'), os.environ['GIVEN'])"
    spec = module("m", code)
    agent.apply([replace(spec, program=replace(spec.program, environ={"GIVEN": "yes"}))])
    state = ended(agent, "m", "stopped")
    assert (state.exit_code, printed(agent, "m")) == (0, ["None yes"])
    assert state.started is not None and state.exited is not None and state.exited >= state.started


def test_a_module_that_fails_is_started_again_with_growing_pauses_by_its_policy(agent: Agent) -> None:
    agent.apply([module("m", "import sys; print('no'); sys.exit(3)", policy="on-failure")])
    eventually(lambda: "m" in agent.states() and agent.states()["m"].restarts >= 2, "it was never started again")
    state = ended(agent, "m", "backoff")
    assert state.exit_code == 3
    assert state.restarted is not None
    assert printed(agent, "m")[:2] == ["no", "no"]


def test_a_module_that_never_ends_on_sigterm_is_killed_and_the_log_says_so(agent: Agent) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    agent.apply([module("m", deaf)])
    eventually(lambda: printed(agent, "m"), "it never came up")
    agent.apply([module("m", deaf, runs=False)])
    assert ended(agent, "m", "stopped").exit_code == 137
    assert "did not end within 0.3 s after SIGTERM" in printed(agent, "m")[-1]


@_LINUX
def test_everything_that_a_module_starts_ends_with_it(agent: Agent) -> None:
    code = (
        "import os, time\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(60)"
    )
    agent.apply([module("m", code)])
    eventually(lambda: len(printed(agent, "m")) == 2, "it never forked")
    children = [int(line) for line in printed(agent, "m")]
    assert all(map(exists, children))
    os.kill(agent.states()["m"].pid, signal.SIGKILL)
    assert ended(agent, "m", "failed").exit_code == 137
    assert not any(map(exists, children))


@_LINUX
def test_a_module_with_too_many_processes_is_killed_with_all_of_them(agent: Agent) -> None:
    code = "import os, time\nfor _ in range(12):\n    os.fork() or time.sleep(60)\ntime.sleep(60)"
    agent.apply([module("m", code, limits=Limits(0, 5))])
    state = ended(agent, "m", "failed")
    assert state.exit_code == 137
    assert state.reason == "it had 13 processes, and the limit is 5"
    assert printed(agent, "m") == [f"<4> manifestgen: killed: {state.reason}"]


@_LINUX
def test_a_module_gets_no_more_memory_than_its_limit(agent: Agent) -> None:
    alone = "x = []\nwhile True: x.append(bytearray(10**7))"
    together = "import os, time\nos.fork()\nx = bytearray(70 << 20)\ntime.sleep(60)"
    agent.apply(
        [
            module("alone", alone, limits=Limits(100 << 20, 0)),
            module("together", together, limits=Limits(100 << 20, 0)),
        ]
    )
    assert ended(agent, "alone", "failed").exit_code == 1
    assert printed(agent, "alone")[-1] == "MemoryError"
    state = ended(agent, "together", "failed")
    assert state.exit_code == 137
    assert "MiB of memory, and the limit is 100 MiB" in state.reason


def test_a_program_that_is_not_there_fails_with_its_name(agent: Agent) -> None:
    agent.apply([ModuleSpec("m", Program(("/nowhere/python",), {}), policy="never")])
    state = ended(agent, "m", "failed")
    assert (state.exit_code, state.reason) == (127, "/nowhere/python: No such file or directory")


def test_a_changed_program_replaces_the_process_and_an_unchanged_one_keeps_it(agent: Agent) -> None:
    agent.apply([module("m", _SLEEPS)])
    eventually(lambda: agent.states().get("m", ModuleState()).pid, "it never started")
    first = agent.states()["m"].pid
    agent.apply([module("m", _SLEEPS, policy="always", order=1), module("n", _SLEEPS)])
    eventually(lambda: agent.states().get("n", ModuleState()).pid, "the second never started")
    assert agent.states()["m"].pid == first
    agent.apply([module("m", _SLEEPS + " # changed")])
    eventually(lambda: agent.states()["m"].pid not in (0, first), "it was never replaced")
    eventually(lambda: "n" not in agent.states(), "what is no longer wanted is still there")
    assert agent.states()["m"].restarts == 0


def test_a_restart_on_request_is_not_a_restart_by_the_policy(agent: Agent) -> None:
    agent.apply([module("m", _SLEEPS)])
    eventually(lambda: printed(agent, "m") == ["up"], "it never came up")
    agent.restart("m")
    eventually(lambda: printed(agent, "m") == ["up", "up"], "it never came up again")
    assert agent.states()["m"].restarts == 0


def test_modules_start_in_their_order(agent: Agent) -> None:
    started: list[str] = []
    one = Agent(printed=lambda name, line: started.append(name), grace=0.1)
    one.start()
    try:
        one.apply([module(name, _SLEEPS, order=order) for order, name in ((3, "c"), (1, "a"), (2, "b"))])
        eventually(lambda: len(one.states()) == 3 and all(s.started for s in one.states().values()), "never started")
        times = {name: state.started or 0.0 for name, state in one.states().items()}
        assert sorted(times, key=lambda name: times[name]) == ["a", "b", "c"]
    finally:
        one.stop()


@_LINUX
def test_nothing_is_left_when_the_process_that_started_modules_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); "
        "os.write(1, str(os.getpid()).encode() + bytes([10])); time.sleep(60)"
    )
    program = (
        "import os, sys, time\n"
        "from manifestgen.edge.agent.agent import Agent, ModuleSpec\n"
        "from manifestgen.edge.agent.process import Program\n"
        "agent = Agent(printed=lambda name, line: print(line.text, flush=True))\n"
        "agent.start()\n"
        f"agent.apply([ModuleSpec('m', Program((sys.executable, '-S', '-c', {code!r}), dict(os.environ)))])\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        try:
            assert parent.stdout is not None
            children = [int(parent.stdout.readline()) for _ in range(2)]
            assert all(map(exists, children))
        finally:
            parent.kill()
        eventually(lambda: not any(map(exists, children)), "a process was left behind")
