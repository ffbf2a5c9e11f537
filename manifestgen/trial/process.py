"""The process in which an entry script is tried, and what it leaves behind, however it ends."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from manifestgen.trial.layout import Layout
from manifestgen.waits import waiting

# Seconds for the start of Python, and for what the runner does after the entry script's time is up.
_GRACE: Final = 30.0
_OUTPUT: Final = 64 * 1024


@dataclass(frozen=True)
class Asked:
    """A request to the process.

    Attributes:
        message: the body that run() gets; None to call init() alone.
        repeat: how often run() is called with it.
        timeout: seconds that importing, init(), and each call of run() may take.
        memory: MiB of data that the process may have; 0 for no limit.
    """

    message: bytes | None
    repeat: int = 5
    timeout: float = 120.0
    memory: int = 0


@dataclass(frozen=True)
class Left:
    """The records that a process left.

    Attributes:
        events: what `manifestgen.runner.trial` has written.
        trace: where it was when its time was up, or when it crashed; empty otherwise.
        output: the end of what it printed, on stdout and stderr.
        code: its exit code; negative for the signal that ended it.
        overdue: whether it had to be ended from outside.
    """

    events: Sequence[Mapping[str, Any]]
    trace: str
    output: str
    code: int
    overdue: bool = False

    def all(self, name: str) -> list[Mapping[str, Any]]:
        """The events of a name, in their order."""
        return [event for event in self.events if event["event"] == name]

    def first(self, name: str) -> Mapping[str, Any] | None:
        """The first event of a name."""
        return next(iter(self.all(name)), None)

    @property
    def phase(self) -> str:
        """Its last phase: import, init or run."""
        begun = self.all("begins")
        return str(begun[-1]["phase"]) if begun else "start"

    @property
    def memory(self) -> int:
        """The most memory it is known to have used, in bytes."""
        return max((int(event["memory"]) for event in self.events), default=0)


def carry_out(python: Path, layout: Layout, asked: Asked) -> Left:
    """Run the entry script in a separate process, and end all its children.

    Args:
        python: the interpreter.
        layout: its files.
        asked: what to do.
    """
    with tempfile.TemporaryDirectory(prefix="manifestgen-test-") as name:
        events = Path(name, "events.jsonl")
        events.touch()
        with Path(name, "output").open("w+b") as output:
            code, overdue = _run([str(python), "-m", "manifestgen_runner.trial", str(events)], layout, asked, output)
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - _OUTPUT))
            printed = output.read().decode("utf-8", "replace")
        trace = events.with_suffix(".trace")
        return Left(
            tuple(_lines(events)),
            trace.read_text("utf-8", "replace") if trace.exists() else "",
            printed,
            code,
            overdue,
        )


def _run(command: Sequence[str], layout: Layout, asked: Asked, output: Any) -> tuple[int, bool]:
    body = None if asked.message is None else base64.b64encode(asked.message).decode()
    request = {"input": body, "repeat": asked.repeat, "timeout": asked.timeout, "memory": asked.memory}
    process = subprocess.Popen(  # noqa: S603 - the user's own entry script, as the user asked for
        command,
        cwd=layout.app,
        env=dict(layout.environ),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with waiting("score.py"):
            # Import and init, then all calls of run(), of which only the first may take as long as it wants.
            process.communicate(json.dumps(request).encode(), timeout=3 * asked.timeout + _GRACE)
        return process.returncode, False
    except subprocess.TimeoutExpired:
        return 0, True
    except BrokenPipeError:
        return process.wait(_GRACE), False
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started: they share a group."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _lines(events: Path) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for line in events.read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):  # the last one may be half written
            found.append(json.loads(line))
    return found
