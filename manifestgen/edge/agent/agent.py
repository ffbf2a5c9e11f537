"""Runs modules as processes, and keeps them running as edgeAgent would.

One thread starts, watches and ends all of them. Nothing here knows twins: `apply` takes what should run, `states` says
what does, in edgeAgent's words.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Final

from manifestgen.edge.agent.logs import LogLine, ModuleLog
from manifestgen.edge.agent.process import Limits, ModuleProcess, Program
from manifestgen.edge.policy import FIRST_PAUSE, calm, pause, status_after_exit
from manifestgen.manifest.module import LAST_ORDER

#: Seconds between SIGTERM and SIGKILL; Docker's own.
GRACE: Final = 10.0
_NOT_STARTED: Final = 127


@dataclass(frozen=True)
class ModuleSpec:
    """A module that should run.

    Attributes:
        order: `startupOrder`; lower ones are started first.
        runs: whether it should be started; it is stopped if not.
        version: changes if a process that runs must be replaced although its program is the same.
    """

    name: str
    program: Program
    policy: str = "always"
    order: int = LAST_ORDER
    runs: bool = True
    limits: Limits = field(default_factory=Limits)
    version: str = ""

    @property
    def process(self) -> tuple[object, ...]:
        """The inputs of a process: if they change, the process is replaced."""
        return self.program, self.limits, self.version


@dataclass(frozen=True)
class ModuleState:
    """A module as edgeAgent reports it. Times are in seconds since 1970.

    Attributes:
        status: `runtimeStatus`: running, stopped, failed or backoff.
        pid: of the process; 0 if there is none.
        reason: why it ended, if the exit code does not say it.
    """

    status: str = "stopped"
    pid: int = 0
    exit_code: int = 0
    restarts: int = 0
    started: float | None = None
    exited: float | None = None
    restarted: float | None = None
    reason: str = ""


class _Module:
    def __init__(self, spec: ModuleSpec) -> None:
        self.spec: ModuleSpec | None = spec  # None: to be ended and forgotten
        self.running: ModuleSpec | None = None
        self.state = ModuleState()
        self.log = ModuleLog()
        self.process: ModuleProcess | None = None
        self.open: set[str] = set()
        # Monotonic times of what is due.
        self.restart_at: float | None = None
        self.kill_at: float | None = None
        self.calm_at: float | None = None


class Agent:
    """Runs the modules of one device.

    Args:
        first_pause: seconds of the first back-off.
        grace: seconds from SIGTERM to SIGKILL.
        changed: called in the agent's thread whenever the state of a module has changed.
        printed: called in the agent's thread with each line that a module prints.
    """

    def __init__(
        self,
        *,
        first_pause: float = FIRST_PAUSE,
        grace: float = GRACE,
        changed: Callable[[], None] = lambda: None,
        printed: Callable[[str, LogLine], None] = lambda name, line: None,
    ) -> None:
        self._first_pause, self._grace = first_pause, grace
        self._changed, self._printed = changed, printed
        self._modules: dict[str, _Module] = {}
        self._states: Mapping[str, ModuleState] = {}
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._awake, self._alarm = os.pipe()
        os.set_blocking(self._awake, False)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="module processes", daemon=True)

    def start(self) -> None:
        """Start without modules."""
        self._thread.start()

    def stop(self, grace: float | None = None) -> None:
        """End all modules, with SIGTERM and after the grace time with SIGKILL, and return when they have ended."""

        def end() -> None:
            self._stopping = True
            self._grace = self._grace if grace is None else grace
            self._set(())

        self._call(end)
        self._thread.join()
        os.close(self._awake)
        os.close(self._alarm)

    def apply(self, specs: Sequence[ModuleSpec]) -> None:
        """Make these, and no others, the modules that should run; returns at once."""
        self._call(lambda: self._set(specs))

    def restart(self, name: str) -> None:
        """End a module's process and start it again, as `RestartModule` does; not a restart by the policy."""

        def again() -> None:
            module = self._modules.get(name)
            if module is not None and module.process is not None and module.spec is not None:
                module.spec = replace(module.spec, version=f"{module.spec.version}+")
                self._settle(module)

        self._call(again)

    def states(self) -> Mapping[str, ModuleState]:
        """The state of each module, by name."""
        return self._states

    def log(self, name: str) -> ModuleLog | None:
        """The log of a module; None if there is no such module."""
        module = self._modules.get(name)
        return module.log if module else None

    def _call(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        os.write(self._alarm, b"!")

    # In the agent's thread.

    def _run(self) -> None:
        self._selector.register(self._awake, selectors.EVENT_READ, None)
        while not self._stopping or self._modules:
            for key, _ in self._selector.select(self._next_due()):
                if key.data is None:
                    self._take_calls()
                else:
                    self._read(*key.data)
            now = time.monotonic()
            for module in list(self._modules.values()):
                self._due(module, now)
            self._publish()
        self._selector.close()

    def _take_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._awake, 4096)
        while not self._calls.empty():
            self._calls.get()()

    def _next_due(self) -> float | None:
        due = [
            at
            for module in self._modules.values()
            for at in (module.restart_at, module.kill_at, module.calm_at)
            if at is not None
        ]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _publish(self) -> None:
        states = {name: module.state for name, module in self._modules.items()}
        if states != self._states:
            self._states = states
            self._changed()

    def _set(self, specs: Sequence[ModuleSpec]) -> None:
        wanted = {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.order)}
        for name, module in list(self._modules.items()):
            if name not in wanted:
                module.spec = None
                self._settle(module)
        for name, spec in wanted.items():
            known = self._modules.get(name)
            if known is None:
                known = self._modules[name] = _Module(spec)
            elif known.running is not None and known.process is None and known.running.process != spec.process:
                # edgeAgent makes a new container for it, which has no past.
                known.state, known.restart_at = ModuleState(), None
            known.spec = spec
            self._settle(known)

    def _settle(self, module: _Module) -> None:
        """Bring a module to what it should be: start it, or begin to end it."""
        spec = module.spec
        if module.process is not None:
            if spec is None or not spec.runs or module.running is None or spec.process != module.running.process:
                self._end(module)
        elif spec is None:
            for name in [name for name, known in self._modules.items() if known is module]:
                del self._modules[name]
        elif not spec.runs:
            module.restart_at = None
            if module.state.status == "backoff":
                module.state = replace(module.state, status="stopped")
        elif module.state.status == "stopped" and self._may_start(module, spec):
            self._start(module, spec)

    def _may_start(self, module: _Module, spec: ModuleSpec) -> bool:
        """Whether a stopped module is to be started: not if it ended by itself, and its policy leaves it so."""
        state = module.state
        ended_itself = state.exited is not None and module.running is not None
        return not ended_itself or status_after_exit(state.exit_code, spec.policy, state.restarts) == "backoff"

    def _start(self, module: _Module, spec: ModuleSpec) -> None:
        now = time.time()
        module.restart_at = None
        module.running = spec
        try:
            module.process = process = ModuleProcess(spec.program, spec.limits)
        except OSError as error:
            module.state = replace(module.state, started=now)
            self._say(module, f"could not be started: {error.strerror or error}")
            self._ended(module, _NOT_STARTED, f"could not be started: {error.strerror or error}")
            return
        module.state = replace(module.state, status="running", started=now, exit_code=0, reason="", pid=0)
        module.calm_at = time.monotonic() + calm(self._first_pause) if module.state.restarts else None
        for name in ("stdout", "stderr", "report"):
            module.open.add(name)
            self._selector.register(getattr(process, name), selectors.EVENT_READ, (module, name))

    def _end(self, module: _Module) -> None:
        if module.process is not None and module.kill_at is None:
            module.process.terminate()
            module.kill_at = time.monotonic() + self._grace

    def _read(self, module: _Module, name: str) -> None:
        process = module.process
        if process is None:
            return
        stream: IO[bytes] = getattr(process, name)
        if name == "report":
            more = process.read_report()
            if process.pid != module.state.pid and process.exit_code is None:
                module.state = replace(module.state, pid=process.pid)
        else:
            data = os.read(stream.fileno(), 65536)
            for line in module.log.feed(name, data, time.time()):
                self._printed(self._name(module), line)
            more = bool(data)
        if not more:
            self._selector.unregister(stream)
            module.open.discard(name)
            if not module.open:
                self._collect(module, process)

    def _name(self, module: _Module) -> str:
        return module.running.name if module.running else ""

    def _collect(self, module: _Module, process: ModuleProcess) -> None:
        """The process has ended, and all that it printed was read."""
        process.close()
        module.process = None
        ordered, module.kill_at = module.kill_at is not None, None
        code = process.exit_code if process.exit_code is not None else _NOT_STARTED
        reason = process.failure or ("" if process.why == "killed" else process.why)
        if reason:
            self._say(module, f"{'could not be started' if process.failure else 'killed'}: {reason}")
        if ordered:
            self._end_ordered(module, code)
        else:
            self._ended(module, code, reason)

    def _end_ordered(self, module: _Module, code: int) -> None:
        """A module has ended because it should."""
        spec, running = module.spec, module.running
        if spec is not None and spec.runs and running is not None:
            if spec.program == running.program and spec.limits == running.limits:
                module.state = replace(module.state, status="stopped", exit_code=0, exited=None, pid=0)
            else:
                module.state = ModuleState()
        else:
            module.state = replace(module.state, status="stopped", exit_code=code, exited=time.time(), pid=0)
        module.running = None
        self._settle(module)

    def _ended(self, module: _Module, code: int, reason: str) -> None:
        """A module has ended by itself."""
        spec = module.spec
        policy = spec.policy if spec is not None and spec.runs else "never"
        status = status_after_exit(code, policy, module.state.restarts)
        module.state = replace(
            module.state, status=status, exit_code=code, exited=time.time(), pid=0, reason=reason[:512]
        )
        module.calm_at = None
        if status == "backoff":
            module.restart_at = time.monotonic() + pause(module.state.restarts, self._first_pause)
        elif spec is None:
            self._settle(module)

    def _due(self, module: _Module, now: float) -> None:
        if module.kill_at is not None and now >= module.kill_at and module.process is not None:
            self._say(module, f"did not end within {self._grace:g} s after SIGTERM: killed")
            module.process.kill()
            module.kill_at = now + self._grace
        if module.calm_at is not None and now >= module.calm_at:
            module.calm_at = None
            module.state = replace(module.state, restarts=0)
        if module.restart_at is not None and now >= module.restart_at and module.spec is not None:
            module.state = replace(module.state, restarts=module.state.restarts + 1, restarted=time.time())
            self._start(module, module.spec)

    def _say(self, module: _Module, text: str) -> None:
        self._printed(self._name(module), module.log.say(f"manifestgen: {text}", time.time()))
