"""Commands as processes of their own without the seconds that each takes to import the SDKs: forks of one that has.

Run as a script, it is that process: it takes one job a line on stdin, and answers with the process's id and, when that
has ended, its exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_TIMEOUT: Final = 200.0
# What the commands import when they run.
_MODULES: Final = (
    "manifestgen.cli",
    "manifestgen.services",
    "manifestgen.deploy",
    "manifestgen.doctor",
    "manifestgen.rotate",
    "manifestgen.azure.acr",
    "manifestgen.azure.auth",
    "manifestgen.azure.iot_hub",
    "manifestgen.azure.iot_hub.sdk",
    "manifestgen.azure.registry_api",
    "manifestgen.azure.aml",
)


class Forks:
    """The process that forks, and the one command that runs at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._pid = 0

    def start(self, *arguments: str, cwd: Path) -> None:
        """Start a command with this process's environment and come back at once."""
        assert self._server.stdin is not None
        job = {"arguments": arguments, "cwd": str(cwd), "environment": dict(os.environ), "folder": str(self._folder)}
        self._server.stdin.write(f"{json.dumps(job)}\n")
        self._pid = int(self._line())

    @property
    def is_running(self) -> bool:
        return not select.select([self._server.stdout], [], [], 0)[0]

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(self._pid, signal.SIGINT)

    def ended(self) -> tuple[str, str, int]:
        """Wait for its end: stdout, stderr, exit code."""
        code = int(self._line())
        return (self._folder / "stdout").read_text(), (self._folder / "stderr").read_text(), code

    def _line(self) -> str:
        assert self._server.stdout is not None
        if not select.select([self._server.stdout], [], [], _TIMEOUT)[0]:
            os.kill(self._pid, signal.SIGKILL)
            raise TimeoutError(f"the command did not end: {(self._folder / 'stderr').read_text()}")
        return self._server.stdout.readline()

    def close(self) -> None:
        """End the process that forks."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(_TIMEOUT)
        self._server.stdout.close()


@contextlib.contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    """A process that forks, with a folder for what the commands print."""
    running = Forks(folder)
    try:
        yield running
    finally:
        running.close()


def _serve() -> None:
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(job)
        print(pid, flush=True)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(job: dict[str, Any]) -> None:
    from manifestgen.cli import main

    folder = Path(job["folder"])
    for descriptor, name in enumerate(("stdout", "stderr"), 1):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    sys.argv = ["manifestgen", *job["arguments"]]
    main()


if __name__ == "__main__":
    _serve()
